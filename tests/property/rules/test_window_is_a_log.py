"""The window holds what a plain log of all samples would hold, whatever the order, the layouts and the gaps."""

import math

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.frames import STALE, FrameWriter, SeriesLayout
from rules.query import LiveWindow, Query

STALE_FLOAT = float(np.array([STALE], dtype="<u8").view("<f8")[0])
DEPTH_MS = 60_000
POOL = [(name, (("id", str(number)),)) for name in ("a", "b", "c") for number in range(4)]
SOURCES = {"s/1": POOL[:7], "s/2": POOL[7:]}


FATES = ["good"] * 4 + ["stale", "bad", "uncertain", "nan"]


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, int, tuple[int, ...], list[tuple[str, float]]]]:
    """Frames: source, time, which of its series in which order, and each one's fate and value."""
    frames = []
    for source, pool in SOURCES.items():
        interval = draw(st.sampled_from([700, 1_000, 5_000, 9_000]))
        count = draw(st.integers(1, 90 if interval < 5_000 else 30))
        shapes = draw(
            st.lists(
                st.permutations(range(len(pool))).map(lambda order: order[: max(1, order[0])]), min_size=1, max_size=4
            )
        )
        for step in range(count):
            shape = tuple(draw(st.sampled_from(shapes)))
            fates = draw(
                st.lists(
                    st.sampled_from(["good"] * 12 + ["stale", "bad", "uncertain", "nan"]),
                    min_size=len(shape),
                    max_size=len(shape),
                )
            )
            frames.append(
                (
                    source,
                    step * interval,
                    shape,
                    [(fate, float(step * 10 + place)) for place, fate in zip(shape, fates, strict=True)],
                )
            )
    frames.sort(key=lambda frame: frame[1])
    for place in range(len(frames) - 1):  # some arrive late
        if draw(st.integers(0, 9)) == 0:
            far = draw(st.sampled_from([1, 2, 3, 5, 40]))
            if place + far < len(frames):
                frames[place], frames[place + far] = frames[place + far], frames[place]
    return frames


def encode(writer: FrameWriter, frame: tuple[str, int, tuple[int, ...], list[tuple[str, float]]]) -> list[bytes]:
    source, at, shape, samples = frame
    layout = SeriesLayout.of([SOURCES[source][place] for place in shape])
    values = np.array(
        [STALE_FLOAT if fate == "stale" else math.nan if fate == "nan" else value for fate, value in samples]
    )
    quality = np.array([{"bad": 2, "uncertain": 5}.get(fate, 0) for fate, _ in samples], dtype=np.uint8)
    return [
        message.value for message in writer.messages(source, 1, layout, at, values, quality if quality.any() else None)
    ]


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(histories(), st.booleans(), st.integers(0, 400))
def test_the_window_holds_what_a_log_would_hold(frames, doubled, seed) -> None:
    window, writer = LiveWindow(depth_seconds=DEPTH_MS / 1000), FrameWriter(1)
    log: dict[tuple[str, tuple[tuple[str, str], ...]], dict[int, tuple[str, float]]] = {}
    rng = np.random.default_rng(seed)
    newest: dict[str, int] = {}
    for frame in frames:
        pieces = encode(writer, frame)
        for piece in [*pieces, *pieces] if doubled else pieces:
            window.append(piece)
        source, at, shape, samples = frame
        newest[source] = max(newest.get(source, at), at)
        for place, sample in zip(shape, samples, strict=True):
            log.setdefault(SOURCES[source][place], {})[at] = sample
        if rng.random() < 0.1:
            compare(window, log, newest)
    compare(window, log, newest)
    if doubled:
        assert window.window.counts.duplicates == len(frames)


def compare(window: LiveWindow, log, newest: dict[str, int]) -> None:
    source_of = {key: source for source, pool in SOURCES.items() for key in pool}
    for name in ("a", "b", "c"):
        held = {}
        for sample in window.since(name, {}, -1):
            held.setdefault((name, (("id", sample.labels["id"]),)), {})[sample.at_ms] = sample
        for key, samples in log.items():
            if key[0] != name:
                continue
            since = newest[source_of[key]] - DEPTH_MS
            wanted = {at: (fate, value) for at, (fate, value) in samples.items() if at > since and fate != "stale"}
            mine = {at: sample for at, sample in held.get(key, {}).items() if at > since}
            assert mine.keys() == wanted.keys(), key
            for at, (fate, value) in wanted.items():
                assert mine[at].value == value or (fate == "nan" and math.isnan(mine[at].value))
                assert mine[at].quality == {"bad": 2, "uncertain": 5}.get(fate, 0)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(histories(), st.sampled_from([10_000, 30_000, 59_000]))
def test_instant_and_range_reads_see_exactly_the_good_samples(frames, span) -> None:
    window, writer = LiveWindow(depth_seconds=DEPTH_MS / 1000), FrameWriter(1)
    instant, ranged, summed = (
        Query.compile("a"),
        Query.compile(f"count_over_time(a[{span}ms])"),
        Query.compile(f"sum_over_time(a[{span}ms])"),
    )
    log: dict[str, dict[int, tuple[str, float]]] = {}
    for frame in frames:
        for piece in encode(writer, frame):
            window.append(piece)
        source, at, shape, samples = frame
        for place, sample in zip(shape, samples, strict=True):
            name, ((_, number),) = SOURCES[source][place]
            if name == "a":
                log.setdefault(number, {})[at] = sample
    now = max(frame[1] for frame in frames)
    expected = {}
    counts, sums = {}, {}
    for number, samples in log.items():
        fate, value = samples[max(samples)]
        if fate in {"good", "nan"} and max(samples) > now - 300_000:
            expected[number] = math.nan if fate == "nan" else value
        inside = [
            math.nan if fate == "nan" else value
            for at, (fate, value) in samples.items()
            if at > now - span and fate in {"good", "nan"}
        ]
        if inside:
            counts[number], sums[number] = float(len(inside)), math.fsum(inside)
    assert same({each.labels["id"]: each.value for each in instant.evaluate(window, now)}, expected)
    assert same({each.labels["id"]: each.value for each in ranged.evaluate(window, now)}, counts)
    assert same({each.labels["id"]: each.value for each in summed.evaluate(window, now)}, sums)


def same(got: dict[str, float], wanted: dict[str, float]) -> bool:
    return got.keys() == wanted.keys() and all(
        got[key] == value or (math.isnan(got[key]) and math.isnan(value)) for key, value in wanted.items()
    )
