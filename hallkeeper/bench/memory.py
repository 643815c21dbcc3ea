"""Memory of the rule engine with the whole catalogue over a whole site, through an hour of the site's own time.

The frames are those of the simulated site, every instrument of it with the series that the product's profiles give, made by
another process; they come as fast as the engine takes them. What is measured is this process: nothing of the load is in it.
"""

import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from rules.engine import Engine
from rules.files.load import load_rules
from rules.frame_feed import FETCH_LIMIT
from rules.service import SHIPPED
from rules.window.needs import RAW_MS
from rules.window.streams import FIRST_SLOTS

NODES: Final = 1_350
"""388 series each, of which 345 every second: 524,000 in all."""
PASS_SECONDS: Final = 5
"""Stream seconds between two passes over all groups: memory does not depend on it."""
COLLECT_SECONDS: Final = 60
MARKS: Final = (1, 15, 30, 60)
"""Minutes of the stream at which resident memory is noted."""
SHOWN: Final = 6


def run(*, nodes: int = NODES, minutes: int = 60, seed: int = 1) -> dict[str, object]:
    """Feed and judge; resident memory at some minutes, its peak, and what the largest arrays hold."""
    started = _status("VmRSS")
    engine = Engine(load_rules([SHIPPED]), raw_ms=RAW_MS)
    resident: dict[str, int] = {}
    spent = time.process_time()
    with _seconds(nodes, 60 * minutes, seed) as seconds:
        for second, (at_ms, messages) in enumerate(seconds, 1):
            _second(engine, second, at_ms, messages)
            if second % 60 == 0 and second // 60 in {*MARKS, minutes}:
                resident[str(second // 60)] = _status("VmRSS")
    window = engine.window
    rings = {f"ring of {ring.slots} slots, {ring.used} series": ring.nbytes for ring in window.rings}
    arrays = rings | {"newest values": window.board.nbytes, "times of streams": window.streams.nbytes}
    arrays |= {"buckets of look-backs": window.rollups.nbytes if window.rollups is not None else 0}
    largest = sorted(arrays.items(), key=lambda each: -each[1])[:SHOWN]
    return {
        "bench": "memory",
        "resident_peak_bytes": _status("VmHWM"),
        "resident_bytes_at_minute": resident,
        "resident_bytes_before": started,
        "window_bytes": window.nbytes,
        "largest_arrays_bytes": dict(largest),
        "series_that_rules_read": window.series,
        "series_with_a_ring": sum(ring.used for ring in window.rings if ring.slots > FIRST_SLOTS),
        "series_refused": window.counts.refused_series,
        "metrics_shortened": len(window.counts.shortened),
        "points": window.counts.points,
        "rules": sum(len(group.rules) for group in engine.groups.values()),
        "rules_failing": len(engine.failures),
        "alerts_open": len(engine.open),
        "minutes": minutes,
        "cpu_seconds": round(time.process_time() - spent, 1),
        "load_average": os.getloadavg()[0],
    }


def _second(engine: Engine, second: int, at_ms: int, messages: list[bytes]) -> None:
    for begin in range(0, len(messages), FETCH_LIMIT):
        engine.append_frames(messages[begin : begin + FETCH_LIMIT])
    if second % PASS_SECONDS == 0:
        engine.evaluate(at_ms)
        engine.drain_recorded()
    if second % COLLECT_SECONDS == 0:
        engine.collect(at_ms)


@contextmanager
def _seconds(nodes: int, seconds: int, seed: int) -> Iterator[Iterator[tuple[int, list[bytes]]]]:
    words = ["--nodes", str(nodes), "--seconds", str(seconds), "--seed", str(seed)]
    with subprocess.Popen(
        [sys.executable, "-m", "hallkeeper.bench.load_memory", *words], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        yield _read(process.stdout)


def _read(pipe: IO[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    while head := pipe.read(12):
        at_ms, count = struct.unpack("<QI", head)
        yield at_ms, [pipe.read(struct.unpack("<I", pipe.read(4))[0]) for _ in range(count)]


def _status(name: str) -> int:
    """Bytes of one line of the kernel's account of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
