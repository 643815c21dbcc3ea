"""Frames that travel together leave the window as frames that go alone do; and what is asked of it is answered alike."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bus.frames import STALE, FrameWriter, SeriesLayout
from bus.port import Record
from bus.topics import FRAMES
from hallkeeper.replay.feed import Feed
from hallkeeper.replay.window import JoinedNeeds, SharedWindow
from historian.recording.reader import Recording
from historian.recording.writer import RecordingWriter
from rules.query import LiveWindow
from rules.rollups.keep import Rollups
from rules.window.needs import Need, Needs
from rules.window.window import Window

START = 1_700_000_040_000
NAMES = {"power": Need(depth_ms=60_000), "joules_total": Need(depth_ms=120_000, counter=True), "up": Need()}
LOOK_BACKS = {
    "joules_total": {3_600_000: frozenset({"increase"}), 86_400_000: frozenset({"avg_over_time", "max_over_time"})}
}
STALE_VALUE = np.array([STALE], dtype=np.uint64).view(np.float64)[0]


def layout(source: str, *, gpus: int = 40, extra: str = "") -> SeriesLayout:
    names = [("power", "gpu"), ("joules_total", "gpu"), ("unread", "gpu")]
    series = [(name, [("asset", source), (label, str(n))]) for name, label in names for n in range(gpus)]
    return SeriesLayout.of(
        [*series, ("up", [("asset", source)]), *([("power", [("asset", source), ("x", extra)])] if extra else [])]
    )


def stream(seed: int, seconds: int) -> Iterator[Record]:
    """Sources with all that goes wrong: late, doubled and lost frames, ends, bad quality, resets, layouts that change."""
    rng = np.random.default_rng(seed)
    writer, offset = FrameWriter(boot=seed), 0
    shapes = {f"n{n}/dcgm": layout(f"n{n}", gpus=40 if n % 2 else 3) for n in range(12)}
    ups = {source: SeriesLayout.of([("up", [("asset", source.partition("/")[0])])]) for source in shapes}
    counters = {source: rng.random(40) * 1e6 for source in shapes}
    held: list[Record] = []
    for second in range(seconds):
        for number, source in enumerate(shapes):
            if (second + number) % (1 + number % 3):
                continue
            at = START + 1000 * second + 37 * number
            if rng.random() < 0.01:
                shapes[source] = layout(source.partition("/")[0], gpus=40 if number % 2 else 3, extra=f"e{second % 3}")
            shape = ups[source] if rng.random() < 0.03 else shapes[source]
            counters[source] += rng.random(40) * 10
            counters[source][rng.random(40) < 0.005] = 0.0
            values = values_of(shape, counters[source], rng)
            quality = rng.integers(0, 12, len(values)).astype(np.uint8) if rng.random() < 0.05 else None
            for message in writer.messages(source, number % 3, shape, at, values, quality):
                offset += 1
                record = Record(FRAMES, number % 3, offset, message.key, message.value, (), at + 5)
                if rng.random() < 0.03:
                    held.append(record)
                elif rng.random() > 0.01:
                    yield record
                    if rng.random() < 0.02:
                        yield record
        while held and rng.random() < 0.3:
            late = held.pop(0)
            yield Record(
                *[getattr(late, name) for name in ("topic", "partition", "offset", "key", "value", "headers")],
                START + 1000 * second + 900,
            )


def values_of(shape: SeriesLayout, counters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    gpu = [int(dict(labels).get("gpu", 0)) for _, labels in shape.series]
    found = np.array(
        [
            counters[n] if name == "joules_total" else rng.random()
            for (name, _), n in zip(shape.series, gpu, strict=True)
        ]
    )
    if rng.random() < 0.05:
        found[rng.random(len(found)) < 0.3] = STALE_VALUE
    if rng.random() < 0.05:
        found[0] = np.nan
    return found


def recorded(folder: Path, seed: int, seconds: int = 200) -> Recording:
    writer = RecordingWriter(folder, site=None, name="s", version="1")
    writer.add(stream(seed, seconds))
    writer.close()
    return Recording(folder)


def placed(
    recording: Recording, *, together: bool, step_ms: int = 1000, limit: int | None = None
) -> tuple[Window, Feed]:
    window = Window(Needs(NAMES))
    window.rollups = Rollups(LOOK_BACKS)
    feed = Feed(window, together=together)
    for segment in recording.segments()[:limit]:
        for told in recording.told(segment):
            feed.learn(told)
        feed.take(recording.frames(segment))
        for at_ms in range(segment.from_ms // step_ms * step_ms, segment.until_ms + step_ms, step_ms):
            feed.until(at_ms)
    feed.take(None)
    return window, feed


def contents(window: Window) -> dict[tuple[str, tuple[tuple[str, str], ...]], list[tuple[int, bytes, int]]]:
    """Every sample that the window holds, by series, with the bits of its value."""
    found = {}
    for name, block in window.blocks.items():
        ring, streams = block.ring, window.streams
        for row in range(block.size):
            stream, cell = window.board.stream[block.start + row], window.board.cell[block.start + row]
            head = int(streams.heads[stream])
            samples = [
                (
                    streams.time_of(stream, number),
                    ring.values[number & (ring.slots - 1), cell].tobytes(),
                    int(ring.states[number & (ring.slots - 1), cell]),
                )
                for number in range(max(0, head - ring.slots + 1), head + 1)
            ]
            place = block.start + row
            marks = [bool(window.board.dead[place]), int(window.board.hole[place]), int(window.board.rough[place])]
            newest = window.board.current[place].tobytes()
            found[name, tuple(sorted(block.labels.row(row).items()))] = [*samples, (head, newest, marks)]
    return found


@pytest.mark.parametrize("seed", range(2))
def test_frames_that_travel_together_leave_the_same_window(tmp_path: Path, seed: int) -> None:
    recording = recorded(tmp_path / "r", seed)
    (alone, one), (together, other) = (placed(recording, together=way) for way in (False, True))
    assert one.frames == other.frames > 500
    assert contents(alone) == contents(together)
    assert alone.rollups is not None
    assert together.rollups is not None
    assert b"joules_total" in alone.rollups.encode()
    assert alone.rollups.encode() == together.rollups.encode()
    assert alone.counts.points == together.counts.points
    assert alone.counts.frames == together.counts.frames
    assert alone.counts.late == together.counts.late


def test_most_frames_do_travel_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = recorded(tmp_path / "r", 1)
    alone = []
    append = Window.append_frame
    monkeypatch.setattr(Window, "append_frame", lambda self, frame: alone.append(frame) or append(self, frame))
    _, feed = placed(recording, together=True)
    assert len(alone) < feed.frames / 2


def test_a_coarser_step_leaves_the_same_window(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "r", 3, seconds=120)
    (fine, _), (coarse, _) = (placed(recording, together=True, step_ms=step) for step in (1000, 7000))
    assert contents(fine) == contents(coarse)


def test_the_shared_window_answers_as_the_live_one(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "r", 2, seconds=130)
    window, _ = placed(recording, together=True)
    live = LiveWindow(depth_seconds=60, names=frozenset(NAMES))
    live.window = window
    shared = SharedWindow(window, {})
    for name in (*NAMES, "nothing"):
        for matchers in (
            {},
            {"asset": "n3"},
            {"asset": "n3", "gpu": "7"},
            {"asset": "n1", "nope": ""},
            {"asset": "none"},
        ):
            assert repr(shared.latest(name, matchers)) == repr(live.latest(name, matchers))
            for since in (0, START + 100_000):
                assert repr(shared.since(name, matchers, since)) == repr(live.since(name, matchers, since))
    assert shared.latest("power", {"asset": "n3"})


def test_joined_needs_serve_both() -> None:
    joined = JoinedNeeds(
        Needs({"a": Need(depth_ms=5, counter=True), "b": Need()}), {"a": Need(depth_ms=9), "c": Need(depth_ms=1)}
    )
    assert joined.of("a") == Need(depth_ms=9, counter=True)
    assert (joined.of("b"), joined.of("c"), joined.of("d")) == (Need(), Need(depth_ms=1), None)
    assert joined.deepest_ms == 9
    assert joined.names == {"a", "b", "c"}
