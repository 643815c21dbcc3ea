"""Load for the latency bench: the frames of GPU nodes onto an embedded bus, each when its time has come on the real clock."""

import argparse
import asyncio
import json
from itertools import islice
from pathlib import Path
from typing import Final

from bus.frames import FrameWriter
from bus.port import Bus, Message, open_bus
from fleet.clock import SystemClock
from hallkeeper.bench import load_rules as load

TICK_SECONDS: Final = 0.02
"""Frames whose time falls into one tick are published together, as collectors do."""
TICKS: Final = round(load.INTERVAL_SECONDS / TICK_SECONDS)


async def publish(folder: Path, stream: load.Load) -> None:
    """Every node every five seconds, until stopped; the info series to join on too."""
    clock = SystemClock()
    bus = await open_bus("embedded", data=folder, clock=clock, partitions=2)
    try:
        await _rounds(bus, clock, stream)
    finally:
        await bus.close()


async def _rounds(bus: Bus, clock: SystemClock, stream: load.Load) -> None:
    publisher = await bus.publisher()
    values, writer = load.Values(stream), FrameWriter(stream.seed + 1)
    layouts = [load.layout_of(node) for node in range(stream.nodes)]
    jobs = load.layout_of_jobs(stream.nodes)
    begun = clock.boottime_ns() / 1e9
    tick = 0
    while True:
        at = clock.now_ms()
        messages: list[Message] = []
        for node in islice(range(stream.nodes), tick % TICKS, None, TICKS):
            messages += writer.messages(load.source_of(node), 1, layouts[node], at, values.next(node))
        if tick % TICKS == 0:
            messages += writer.messages(load.JOBS_SOURCE, 1, jobs, at, load.ones(stream.nodes))
        await publisher.publish(messages)
        if tick == TICKS:
            print(json.dumps({"ready": True}), flush=True)
        tick += 1
        await clock.sleep(max(begun + tick * TICK_SECONDS - clock.boottime_ns() / 1e9, 0.0))


def main() -> None:
    """Publish until stopped; says so when every node has answered once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    asyncio.run(publish(given.folder, load.Load(seed=given.seed, nodes=given.nodes)))


if __name__ == "__main__":
    main()
