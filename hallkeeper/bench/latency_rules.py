"""How long from a frame on the bus to the alert event on it: the real rule service over the embedded bus at a site's load.

Another process publishes the frames of 1,638 nodes (524,160 series, each every five seconds); the 200 rules of the mix
are judged by the service. Counted are events that a frame caused: an alert that began or ended. A frame's time is when its
publisher gave it to the bus, an event's when the bus has accepted it; between them lie the frame's commit and reading
(`to_read`), the wait for a pass (`read_to_pass`), the pass with its templates (`pass_to_publish`), the event's commit
(`publish_to_accepted`).
"""

import argparse
import asyncio
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import structlog
from prometheus_client import CollectorRegistry

from bus.events import AlertEvent, decode_event
from fleet.clock import SystemClock
from fleet.model import Kind
from fleet.settings import Settings
from hallkeeper.bench.measure import site_of
from hallkeeper.bench.mix_rules import RULES, rule_file
from hallkeeper.bench.noting_bus import Noted, NotingBus
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
        bus = await NotingBus.at(folder, clock=clock)
        settings = Settings.model_validate({"rules": [str(folder / "bench.yaml")], "data": str(folder)})
        registry = CollectorRegistry()
        service = RulesService(site_of([], Kind.NODE), bus, clock, settings, registry)
        try:
            async with _load(folder, nodes, seed):
                return await _measured(service, bus, registry, seconds)
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


async def _measured(
    service: RulesService, bus: NotingBus, registry: CollectorRegistry, seconds: float
) -> dict[str, object]:
    clock = SystemClock()
    running = asyncio.create_task(service.run())
    async with asyncio.timeout(READY_SECONDS):
        while service.not_ready() is not None or not service.engine.evaluated_rules:
            await asyncio.wait([running], timeout=0.2)
            if running.done():
                running.result()
    await asyncio.sleep(SETTLE_SECONDS)
    began_ms, before, passes = clock.now_ms(), resource.getrusage(resource.RUSAGE_SELF), _passes(registry)
    await asyncio.sleep(seconds)
    after, judged = resource.getrusage(resource.RUSAGE_SELF), _passes(registry)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    count = judged[0] - passes[0]
    return shown(stages_of(bus.noted, began_ms)) | {
        "series": service.engine.window.series,
        "rules": RULES,
        "passes_per_second": round(count / seconds, 1),
        "mean_pass_ms": round((judged[1] - passes[1]) / max(count, 1) * 1000, 1),
        "cores": round(cpu / seconds, 3),
        "resident_bytes": after.ru_maxrss * 1024,
        "window_bytes": service.engine.window.nbytes,
        "seconds": seconds,
        "rules_failing": len(service.engine.failures),
        "load_average": os.getloadavg()[0],
    }


def _passes(registry: CollectorRegistry) -> tuple[float, float]:
    """How many passes so far, and their seconds."""
    names = ("hallkeeper_rules_passes_total", "hallkeeper_rules_pass_seconds_total")
    count, seconds = (registry.get_sample_value(name) or 0.0 for name in names)
    return count, seconds


class Stages(NamedTuple):
    """Milliseconds of one event."""

    frame_to_alert: int
    to_read: int
    read_to_pass: int
    pass_to_publish: int
    publish_to_accepted: int


def stages_of(noted: Noted, since_ms: int) -> list[Stages]:
    """For each event that a frame caused since then, how long what took."""
    return [
        found
        for value, given_ms, accepted_ms in noted.alerts
        if given_ms >= since_ms and (found := _caused(value, given_ms, accepted_ms, noted.frames)) is not None
    ]


def _caused(
    value: bytes, given_ms: int, accepted_ms: int, frames: Mapping[str, Sequence[tuple[int, int]]]
) -> Stages | None:
    event = decode_event(value)
    if not isinstance(event, AlertEvent) or str(event.state) not in CAUSED_BY_A_FRAME:
        return None
    pass_ms = event.evaluated_at_ms
    known = [both for both in frames.get(event.labels.get("node", ""), ()) if both[1] <= pass_ms]
    if not known:
        return None
    frame_ms, read_ms = known[-1]
    return Stages(
        accepted_ms - frame_ms, read_ms - frame_ms, pass_ms - read_ms, given_ms - pass_ms, accepted_ms - given_ms
    )


def shown(found: Sequence[Stages]) -> dict[str, object]:
    """Percentiles of the whole and of each stage, in milliseconds; None where no alert began or ended."""
    result: dict[str, object] = {"bench": "rules-latency", "events": len(found)}
    for place, name in enumerate(Stages._fields):
        ordered = sorted(each[place] for each in found)
        marks = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
        result |= {f"{name}_{mark}_ms": _at(ordered, share) for mark, share in marks.items()}
    return result


def _at(ordered: Sequence[int], share: float) -> int | None:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None


def main() -> None:
    """Measure and print; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--seed", type=int, default=1)
    print(json.dumps(run(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
