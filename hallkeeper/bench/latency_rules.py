"""How long from a frame on the bus to the alert event on it: the real rule service over the embedded bus at a site's load.

Another process publishes the frames of 1,638 nodes (524,160 series, each every five seconds); the 200 rules of the mix
are judged by the service. Counted are events that a frame caused: an alert that began or ended. Both times are the bus's
own, at which it accepted the node's last frame before the event, and the event.
"""

import argparse
import asyncio
import json
import logging
import resource
import subprocess
import sys
import tempfile
from bisect import bisect_right
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from bus.events import AlertEvent, decode_event
from bus.frames import decode_frame
from bus.port import Bus, Record, open_bus
from bus.topics import ALERTS, FRAMES
from fleet.clock import SystemClock
from fleet.model import Kind
from fleet.settings import Settings
from hallkeeper.bench.measure import site_of
from hallkeeper.bench.mix_rules import RULES, rule_file
from rules.service import RulesService

NODES: Final = 1_638
READY_SECONDS: Final = 280.0
"""Longest time until the service has seen every node and judges."""
SETTLE_SECONDS: Final = 5.0
"""After that: the first pass over all rules is planned in it."""
CAUSED_BY_A_FRAME: Final = frozenset({"pending", "resolved"})


def run(*, seconds: float = 60.0, nodes: int = NODES, seed: int = 1) -> dict[str, object]:
    """Measure; at least an alert must have begun or ended."""
    return asyncio.run(_run(seconds, nodes, seed))


async def _run(seconds: float, nodes: int, seed: int) -> dict[str, object]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory(prefix="hallkeeper-bench-") as name:
        folder = Path(name)
        (folder / "bench.yaml").write_text(rule_file())
        clock = SystemClock()
        bus = await open_bus("embedded", data=folder, clock=clock, partitions=2)
        settings = Settings.model_validate({"rules": [str(folder / "bench.yaml")], "data": str(folder)})
        service = RulesService(site_of([], Kind.NODE), bus, clock, settings, CollectorRegistry())
        try:
            async with _load(folder, nodes, seed):
                return await _measured(service, bus, seconds)
        finally:
            await bus.close()


@asynccontextmanager
async def _load(folder: Path, nodes: int, seed: int) -> AsyncIterator[None]:
    """The frames, from another process, as soon as each node has answered once."""
    words = ["--folder", str(folder), "--nodes", str(nodes), "--seed", str(seed)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hallkeeper.bench.load_bus", *words, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(READY_SECONDS):
            await process.stdout.readline()
        yield
    finally:
        process.terminate()
        await process.wait()


async def _measured(service: RulesService, bus: Bus, seconds: float) -> dict[str, object]:
    clock = SystemClock()
    running = asyncio.create_task(service.run())
    async with asyncio.timeout(READY_SECONDS):
        while service.not_ready() is not None or not service.engine.evaluated_rules:
            await asyncio.wait([running], timeout=0.2)
            if running.done():
                running.result()
    await asyncio.sleep(SETTLE_SECONDS)
    began_ms, before, passes = clock.now_ms(), resource.getrusage(resource.RUSAGE_SELF), service.engine.evaluated_rules
    await asyncio.sleep(seconds)
    after = resource.getrusage(resource.RUSAGE_SELF)
    judged = service.engine.evaluated_rules - passes
    latencies = await latencies_of(bus, began_ms)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _shown(latencies) | {
        "series": service.engine.window.series,
        "rules": RULES,
        "passes_per_second": round(judged / RULES / seconds, 1),
        "cores": round(cpu / seconds, 3),
        "resident_bytes": after.ru_maxrss * 1024,
        "window_bytes": service.engine.window.nbytes,
        "seconds": seconds,
        "rules_failing": len(service.engine.failures),
    }


def _shown(latencies: Sequence[tuple[int, int]]) -> dict[str, object]:
    """Milliseconds from the frame to the pass and to the event; None where no alert began or ended."""
    judged, told = (sorted(each) for each in ([one for one, _ in latencies], [two for _, two in latencies]))
    return {
        "bench": "rules-latency",
        "frame_to_alert_p50_ms": _at(told, 0.5),
        "frame_to_alert_p95_ms": _at(told, 0.95),
        "frame_to_alert_p99_ms": _at(told, 0.99),
        "frame_to_alert_max_ms": _at(told, 1.0),
        "frame_to_pass_p50_ms": _at(judged, 0.5),
        "frame_to_pass_p99_ms": _at(judged, 0.99),
        "events": len(told),
    }


def _at(ordered: Sequence[int], share: float) -> int | None:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None


async def latencies_of(bus: Bus, since_ms: int) -> list[tuple[int, int]]:
    """For each event that a frame caused, milliseconds since the bus accepted that node's frame: to the pass, to the event."""
    frames: dict[str, list[int]] = {}
    for record in await _records(bus, FRAMES, since_ms - 10_000):
        if record.value and record.value[:1] != b"\x94":
            frames.setdefault(decode_frame(record.value).source.partition("/")[0], []).append(record.at_ms)
    found = [_caused(record, frames) for record in await _records(bus, ALERTS, since_ms)]
    return [both for both in found if both is not None]


def _caused(record: Record, frames: Mapping[str, list[int]]) -> tuple[int, int] | None:
    event = decode_event(record.value or b"")
    if not isinstance(event, AlertEvent) or str(event.state) not in CAUSED_BY_A_FRAME:
        return None
    times = frames.get(event.labels.get("node", ""), [])
    place = bisect_right(times, event.evaluated_at_ms)
    return (event.evaluated_at_ms - times[place - 1], record.at_ms - times[place - 1]) if place else None


async def _records(bus: Bus, topic: str, since_ms: int) -> list[Record]:
    reader = await bus.reader(topics=[topic], since_ms=since_ms)
    found: list[Record] = []
    while records := await reader.fetch(limit=1_000, timeout_seconds=0.5):
        found += records
        if topic == FRAMES and records[-1].at_ms > SystemClock().now_ms() - 500:
            break
    await reader.close()
    return [record for record in found if record.at_ms >= since_ms]


def main() -> None:
    """Measure and print; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--seed", type=int, default=1)
    print(json.dumps(run(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
