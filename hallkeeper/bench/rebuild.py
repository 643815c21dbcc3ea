"""A restart at 524,160 series: the window out of its picture, then what came since off the bus; and what taking the picture holds.

An engine is fed from another process, a child writes its picture while frames go on arriving, and the last minute of frames
lies on an embedded bus behind the picture's positions. A fresh engine then does what a restarted service does. Times are wall
clock: a rebuild is waited for; CPU of this process stands beside them.
"""

import asyncio
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from bus.frames import decode_frame
from bus.port import Bus, Consumer, Message, open_bus
from bus.topics import FRAMES
from fleet.clock import SystemClock
from hallkeeper.bench import load_rules as load
from hallkeeper.bench.feed_rules import WARM_SECONDS, messages_of, read_second
from hallkeeper.bench.mix_rules import rule_file
from rules.engine import Engine
from rules.forked import forked
from rules.frame_feed import FETCH_LIMIT
from rules.memory import WINDOW_FILE
from rules.picture_file import pieces, read_back
from rules.window.tables import TABLE

SINCE_SECONDS: Final = 60
"""Between two pictures: so much a restart reads at most, besides the time for which nothing ran."""
LOOK_SECONDS: Final = 0.001


def run(*, nodes: int = 1_638, seed: int = 1) -> dict[str, object]:
    """Measure; `nodes` of 320 series each."""
    with tempfile.TemporaryDirectory(prefix="hallkeeper-bench-") as folder:
        return asyncio.run(_run(Path(folder), replace(load.Load(seed=seed), nodes=nodes)))


async def _run(folder: Path, stream: load.Load) -> dict[str, object]:
    rules = folder / "bench.yaml"
    rules.write_text(rule_file())
    engine, path = Engine([rules]), folder / WINDOW_FILE
    bus = await open_bus("embedded", data=folder, clock=SystemClock(), partitions=2)
    try:
        with messages_of(stream, WARM_SECONDS + SINCE_SECONDS) as pipe:
            for _ in range(WARM_SECONDS):
                engine.append_frames(read_second(pipe))
            at_ms = load.START_MS + (WARM_SECONDS - 1) * 1000 + 999
            engine.evaluate(at_ms)
            result = await _held(engine, path, at_ms)
            await _publish(bus, pipe)
        return result | await _rebuilt(Engine([rules]), path, bus, at_ms)
    finally:
        await bus.close()


async def _held(engine: Engine, path: Path, at_ms: int) -> dict[str, object]:
    """A picture, and the longest that anything on the loop had to wait while it was taken and written."""
    gaps: list[float] = []

    async def look() -> None:
        before = time.perf_counter()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = time.perf_counter()
            gaps.append(now - before - LOOK_SECONDS)
            before = now

    looking = asyncio.create_task(look())
    await asyncio.sleep(0.1)
    began, cpu = time.perf_counter(), time.thread_time()
    held = await forked([(path, lambda: pieces(engine, at_ms=at_ms, bus="bench", positions={(FRAMES, 1): 0}))])
    took, used = time.perf_counter() - began, time.thread_time() - cpu
    looking.cancel()
    written = await asyncio.to_thread(path.stat)
    return {
        "bench": "rebuild",
        "series": engine.window.series,
        "picture_bytes": written.st_size,
        "picture_seconds": round(took, 3),
        "picture_held_ms": round(held * 1000, 2),
        "longest_wait_of_the_loop_ms": round(max(gaps) * 1000, 2),
        "picture_cpu_of_the_engine_ms": round(used * 1000, 2),
    }


async def _publish(bus: Bus, pipe: IO[bytes]) -> None:
    publisher = await bus.publisher()
    for _ in range(SINCE_SECONDS):
        await publisher.publish(
            [
                Message(FRAMES, "tables" if value[:1] == TABLE else decode_frame(value).source, value, partition=1)
                for value in read_second(pipe)
            ]
        )


async def _rebuilt(engine: Engine, path: Path, bus: Bus, at_ms: int) -> dict[str, object]:
    began, cpu = time.perf_counter(), time.process_time()
    place = read_back(path, engine, now_ms=at_ms, bus="bench")
    restored = time.perf_counter()
    reader = await bus.reader(topics=[FRAMES], positions=place.positions)
    points = await _appended(engine, reader)
    appended = time.perf_counter()
    engine.evaluate(at_ms + SINCE_SECONDS * 1000)
    return {
        "rebuild_seconds": round(time.perf_counter() - began, 3),
        "restore_seconds": round(restored - began, 3),
        "read_seconds": round(appended - restored, 3),
        "first_pass_seconds": round(time.perf_counter() - appended, 3),
        "rebuild_cpu_seconds": round(time.process_time() - cpu, 3),
        "points_since": points,
        "series_after": engine.window.series,
    }


async def _appended(engine: Engine, reader: Consumer) -> int:
    """Everything that lies on the bus; how many points it was."""
    before = engine.window.counts.points
    while records := await reader.fetch(limit=FETCH_LIMIT, timeout_seconds=0.0):
        engine.append_frames([record.value or b"" for record in records])
    return engine.window.counts.points - before
