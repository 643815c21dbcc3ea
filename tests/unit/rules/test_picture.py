"""A picture of the window: what comes back is what was there, and what cannot be trusted is refused with its reason."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from bus.frames import STALE, FrameWriter, SeriesLayout
from fleet.errors import Malformed
from rules.engine import Engine
from rules.forked import forked, through
from rules.keeping import write_whole
from rules.picture_file import pieces, read_back

RULES = """
groups:
  - name: g
    interval: 1s
    rules:
      - {alert: Hot, expr: 'temperature > 80', for: 5s}
      - {alert: Fast, expr: 'rate(energy_total[1m]) > 3 or increase(energy_total[10m]) > 900'}
      - {alert: Odd, expr: 'max_over_time(temperature[5m]) - min_over_time(temperature[5m]) > 90'}
      - {record: "temperature:max", expr: max by (node) (temperature)}
"""
QUERIES = (
    "temperature",
    "rate(energy_total[1m])",
    "increase(energy_total[10m])",
    "avg_over_time(temperature[5m])",
    "count_over_time(energy_total[10m])",
    "temperature:max",
    "count by (__name__) ({__name__=~'.+'})",
)
START_MS = 1_700_000_000_000
STALE_FLOAT = float(np.array([STALE], dtype="<u8").view("<f8")[0])


def history(seed: int, count: int) -> Iterator[bytes]:
    """Frames of some nodes whose series come and go: stale, bad, late and doubled ones among them."""
    random = Random(seed)
    writers = [FrameWriter(seed + node) for node in range(4)]
    totals = [0.0] * 4
    for number in range(count):
        node = random.randrange(4)
        totals[node] = 0.0 if random.random() < 0.02 else totals[node] + random.uniform(0, 9)
        names = [("temperature", sensor) for sensor in "abc"[: random.choice((3, 3, 3, 2))]] + [("energy_total", "a")]
        layout = SeriesLayout.of([(name, (("node", f"n{node}"), ("sensor", sensor))) for name, sensor in names])
        values = [random.choice((random.uniform(0, 99), random.uniform(0, 99), STALE_FLOAT)) for _ in names[1:]]
        quality = bytes([random.choice((0, 0, 0, 1, 2)) for _ in names]) if random.random() < 0.2 else None
        late = random.choice((0, 0, 0, 0, 3_000))
        at = START_MS + number * 400 - late
        messages = [
            m.value
            for m in writers[node].messages(f"n{node}/x", 1, layout, at, np.array([*values, totals[node]]), quality)
        ]
        yield from messages
        if random.random() < 0.05:
            yield messages[-1]


def engine_of(folder: Path, rules: str = RULES) -> Engine:
    path = folder / "test.yaml"
    path.write_text(rules)
    return Engine([path], boot=5)


def answers(engine: Engine, at_ms: int) -> list[object]:
    return [
        sorted((tuple(sorted(one.labels.items())), repr(one.value)) for one in engine.ask(query, at_ms))
        for query in QUERIES
    ]


def picture(engine: Engine, path: Path, at_ms: int) -> None:
    path.write_bytes(b"".join(pieces(engine, at_ms=at_ms, bus="embedded", positions={("telemetry.frames", 1): 7})))


@pytest.mark.parametrize("seed", range(6))
def test_an_engine_that_goes_on_from_a_picture_answers_as_one_that_never_stopped(tmp_path: Path, seed: int) -> None:
    frames = list(history(seed, 400))
    cut = Random(seed).randrange(50, len(frames) - 50)
    one, two = engine_of(tmp_path), engine_of(tmp_path)
    for place, frame in enumerate(frames[:cut]):
        one.append_frame(frame)
        if place % 40 == 0:
            one.evaluate(START_MS + place * 400)
    now = START_MS + cut * 400
    picture(one, tmp_path / "w", now)
    two.window.strings.code("something that was there before")
    found = read_back(tmp_path / "w", two, now_ms=now + 5_000, bus="embedded")
    assert found.positions == {("telemetry.frames", 1): 7}
    assert answers(one, now) == answers(two, now)
    for number, frame in enumerate(frames[cut - 20 :]):  # some come once more: they were seen
        one.append_frame(frame)
        two.append_frame(frame)
        if number % 25 == 0:
            at = START_MS + (cut + number) * 400
            one.evaluate(at)
            two.evaluate(at)
            assert answers(one, at) == answers(two, at)
    assert two.window.counts.duplicates >= 20
    assert one.window.collect(now + 1_000_000_000, 1) == two.window.collect(now + 1_000_000_000, 1) > 0


def test_a_picture_that_cannot_be_trusted_is_refused_with_its_reason_and_leaves_the_window_empty(
    tmp_path: Path,
) -> None:
    engine = engine_of(tmp_path)
    for frame in history(1, 60):
        engine.append_frame(frame)
    path = tmp_path / "w"
    picture(engine, path, START_MS)
    whole = path.read_bytes()
    other = tmp_path / "other"
    other.mkdir()

    def why(content: bytes = whole, *, now_ms: int = START_MS, bus: str = "embedded", rules: str = RULES) -> str:
        path.write_bytes(content)
        fresh = engine_of(other, rules)
        with pytest.raises(Malformed) as refused:
            read_back(path, fresh, now_ms=now_ms, bus=bus)
        assert fresh.window.series == 0
        return str(refused.value)

    assert "no picture" in why(b"something else of some length")
    assert "no picture" in why(whole[:10])
    assert "version 2, this release reads 1" in why(whole[:3] + b"\x02" + whole[4:])
    assert "torn" in why(whole[:-1])
    assert "torn" in why(whole[: len(whole) // 2])
    for place in Random(1).sample(range(4, len(whole)), 60):
        assert why(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]), "whichever bit it is"
    assert "another bus" in why(bus="kafka://elsewhere:9092")
    assert "other rules" in why(rules=RULES.replace("[5m]", "[6m]"))
    assert "1000 s old" in why(now_ms=START_MS + 1_000_000)
    assert "-1 s old" in why(now_ms=START_MS - 1_000)
    read_back_again = engine_of(other)
    path.write_bytes(whole)
    read_back(path, read_back_again, now_ms=START_MS, bus="embedded")
    assert read_back_again.window.series > 0


async def test_a_child_writes_what_was_there_at_the_fork_while_its_parent_goes_on(tmp_path: Path) -> None:
    path, values = tmp_path / "w", np.zeros(1_000_000)

    def slowly() -> Iterator[memoryview]:
        for row in values.reshape(100, -1):
            yield row.data.cast("B")

    writing = asyncio.create_task(forked([(path, slowly), (tmp_path / "second", lambda: iter([b"x"]))]))
    while not writing.done():
        await asyncio.sleep(0)
        values += 1.0
    assert 0.0 < await writing < 5.0
    assert values[0] > 0
    assert path.read_bytes() == bytes(8_000_000)
    assert (tmp_path / "second").read_bytes() == b"x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["second", "w"]


async def test_a_child_that_cannot_write_is_an_error_of_the_disk_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"old")

    def fails() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("something of ours")

    def dies() -> Iterator[bytes]:
        yield b"half"
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(FileNotFoundError):
        await forked([(tmp_path / "nowhere" / "w", lambda: iter([b"x"]))])
    for wrong in (fails, dies):
        with pytest.raises(OSError, match="."):
            await forked([(path, wrong)])
        assert path.read_bytes() == b"old"


def children() -> set[int]:
    """Of this process, those that still run."""
    own = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {int(one) for one in own if Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[0] != "Z"}


async def test_who_stops_waiting_ends_the_child(tmp_path: Path) -> None:
    def for_ever() -> Iterator[bytes]:
        while True:
            yield b""

    before = children()
    writing = asyncio.create_task(forked([(tmp_path / "w", for_ever)]))
    await asyncio.sleep(0.1)
    (child,) = children() - before
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    async with asyncio.timeout(5):
        while child in children():
            await asyncio.sleep(0.01)


async def test_without_a_child_the_same_goes_through_a_disk_of_the_callers(tmp_path: Path) -> None:
    async def disk(path: Path, content: bytes) -> None:
        write_whole(path, content)

    await through(disk)([(tmp_path / "w", lambda: iter([b"a", memoryview(b"b")]))])
    assert (tmp_path / "w").read_bytes() == b"ab"
