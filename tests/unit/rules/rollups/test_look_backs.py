"""What looks back over fifteen minutes reads buckets: right but for their edges, through restarts and reloads too."""

import itertools
import math
import random
from pathlib import Path

import numpy as np
import pytest

from bus.frames import STALE, FrameWriter, SeriesLayout, SeriesTable, decode, values_of
from fleet.errors import Malformed
from rules.engine import Engine
from rules.files.load import load_rules
from rules.rollups.buckets import MINUTE_MS, Buckets, width_of
from rules.window.needs import RAW_MS

START_MS = 1_700_000_040_000
HOUR_MS = 3_600_000
FUNCTIONS = ("count", "sum", "avg", "min", "max", "last")
RULES = "\n".join(
    ["groups:", "  - name: g", "    interval: 60s", "    rules:"]
    + [f"      - {{record: {name}_of, expr: '{name}_over_time(m[1h])'}}" for name in FUNCTIONS]
    + ["      - {record: increase_of, expr: 'increase(m[1h])'}", "      - {record: rate_of, expr: 'rate(m[1h])'}"]
)


def engine_of(folder: Path, text: str = RULES) -> Engine:
    path = folder / "rules.yaml"
    path.write_text(text)
    return Engine(load_rules([path]), raw_ms=RAW_MS)


class Source:
    """Two series in one frame, once every ten seconds, from a seed; every value that was sent is remembered."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.writer = FrameWriter(seed)
        self.layout = SeriesLayout.of([("m", (("a", "1"),)), ("m", (("a", "2"),))])
        self.values = [100.0, 5.0]
        self.sent: list[tuple[int, list[float | None]]] = []

    def feed(self, engine: Engine, at_ms: int) -> None:
        told: list[float | None] = []
        for place in range(2):
            self.values[place] += self.draw.randrange(9)
            if self.draw.random() < 0.02:
                self.values[place] = float(self.draw.randrange(3))
            told.append(None if self.draw.random() < 0.1 else self.values[place])
        self.sent.append((at_ms, told))
        marker = np.array([STALE], dtype="<u8").view("<f8")[0]
        frame = np.array([marker if value is None else value for value in told])
        for message in self.writer.messages("s/x", 1, self.layout, at_ms, frame):
            engine.append_frame(message.value)

    def between(self, place: int, first_ms: int, last_ms: int) -> list[float]:
        return [told[place] for at, told in self.sent if first_ms <= at <= last_ms and told[place] is not None]


def recorded(engine: Engine, at_ms: int) -> dict[str, list[float]]:
    """What the recording rules say for the first time: their values, one a series."""
    engine.evaluate(at_ms)
    found: dict[str, list[float]] = {}
    name = ""
    for message in engine.drain_recorded():
        told = decode(message.value)
        if isinstance(told, SeriesTable):
            name = told.series[0][0].removesuffix("_of")
        else:
            found[name] = values_of(told).tolist()
    return found


def grown(values: list[float]) -> float:
    return sum(after if after < before else after - before for before, after in itertools.pairwise(values))


@pytest.mark.parametrize("seed", range(5))
def test_an_hour_is_told_on_the_edges_of_minutes(tmp_path: Path, seed: int) -> None:
    engine, source = engine_of(tmp_path), Source(seed)
    for step in range(800):
        source.feed(engine, START_MS + 10_000 * step)
    at_ms = START_MS + 10_000 * 799
    first_ms = (at_ms // MINUTE_MS - 59) * MINUTE_MS
    found = recorded(engine, at_ms)
    for place in range(2):
        values = source.between(place, first_ms, at_ms)
        assert found["count"][place] == len(values)
        assert found["sum"][place] == pytest.approx(sum(values))
        assert found["avg"][place] == pytest.approx(sum(values) / len(values))
        assert (found["min"][place], found["max"][place]) == (min(values), max(values))
        assert found["last"][place] == values[-1]
        before = source.between(place, 0, first_ms - 1)[-1:]
        assert found["increase"][place] == pytest.approx(grown(before + values))
        assert found["rate"][place] == pytest.approx(grown(before + values) / 3600)


def test_raw_samples_are_not_kept_for_it(tmp_path: Path) -> None:
    engine, source = engine_of(tmp_path), Source(1)
    for step in range(800):
        source.feed(engine, START_MS + 10_000 * step)
    assert engine.window.blocks["m"].ring.slots * 10_000 <= 4 * RAW_MS


def test_a_restart_keeps_what_was_kept_and_counts_nothing_twice(tmp_path: Path) -> None:
    one, two, source, twin = engine_of(tmp_path), engine_of(tmp_path), Source(3), Source(3)
    for step in range(600):
        source.feed(one, START_MS + 10_000 * step)
    kept = one.look_backs()
    assert kept is not None
    two.restore_look_backs(kept)
    for step in range(650):  # the bus is read again from before
        twin.feed(two, START_MS + 10_000 * step)
    for step in range(600, 650):
        source.feed(one, START_MS + 10_000 * step)
    assert recorded(two, START_MS + 6_490_000) == recorded(one, START_MS + 6_490_000)


def test_a_reload_keeps_the_past_of_look_backs_that_stay(tmp_path: Path) -> None:
    engine, other, source = engine_of(tmp_path), engine_of(tmp_path), Source(4)
    for step in range(500):
        source.feed(engine, START_MS + 10_000 * step)
    other.restore_look_backs(engine.look_backs() or b"")
    at_ms = START_MS + 4_990_000
    (tmp_path / "rules.yaml").write_text(RULES.replace("name: g", "name: h").replace("count_of", "number_of"))
    engine.reload(load_rules([tmp_path / "rules.yaml"]), at_ms)
    after = recorded(engine, at_ms)
    assert after["number"][0] > 300
    assert engine.look_backs() == other.look_backs()


def test_silence_ends_with_the_look_back(tmp_path: Path) -> None:
    buckets = Buckets(HOUR_MS, ["sum_over_time", "last_over_time", "min_over_time", "increase"])
    buckets.widen(1)
    column = np.array([0])
    buckets.add(START_MS, column, np.array([7.0]), np.array([2.0]))
    end = START_MS // MINUTE_MS * MINUTE_MS + HOUR_MS
    for function, value in (("sum_over_time", 7.0), ("last_over_time", 7.0), ("min_over_time", 7.0)):
        values, present = buckets.read(function, end - 1)
        assert (values.tolist(), present.tolist()) == ([value], [True])
        assert not buckets.read(function, end)[1].any()
    assert not buckets.read("increase", end - 1)[1].any(), "one sample says of no increase, as in Prometheus"
    buckets.add(START_MS + 5 * HOUR_MS, column, np.array([9.0]), np.array([2.0]))
    assert buckets.read("sum_over_time", START_MS + 5 * HOUR_MS)[0].tolist() == [9.0]
    buckets.add(START_MS, column, np.array([100.0]), np.array([0.0]))
    assert buckets.read("sum_over_time", START_MS + 5 * HOUR_MS)[0].tolist() == [9.0], (
        "what came too late counts no more"
    )


@pytest.mark.parametrize(("hours", "minutes"), [(1, 1), (24, 1), (24 * 7, 7), (24 * 30, 30), (24 * 365, 365)])
def test_buckets_are_minutes_and_at_most_a_1440th_of_the_look_back(hours: int, minutes: int) -> None:
    assert width_of(hours * HOUR_MS) == minutes * MINUTE_MS
    assert Buckets(hours * HOUR_MS, ["rate"]).slots <= 1441


def test_other_bytes_are_refused(tmp_path: Path) -> None:
    engine = engine_of(tmp_path)
    for noise in (b"", b"\x81\xa1a\x01", b"nonsense", engine.look_backs()[:-1] if engine.look_backs() else b"x"):
        with pytest.raises(Malformed, match="look-backs"):
            engine.restore_look_backs(noise)
    assert math.isfinite(engine.window.rollups.nbytes)
