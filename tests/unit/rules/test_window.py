"""What the window does with frames that do not simply go to their place."""

import numpy as np
import pytest

from bus.frames import STALE, FrameWriter, SeriesLayout, decode_frame, encode_frame
from fleet.errors import Malformed
from rules.promql.errors import EvaluationError
from rules.promql.passes import Pass
from rules.promql.plan import Planner
from rules.query import LiveWindow, Query
from rules.window.needs import Need, Needs, PatternNeed
from rules.window.window import Window

STALE_FLOAT = float(np.array([STALE], dtype="<u8").view("<f8")[0])


class Feed:
    """A window and a writer."""

    def __init__(self, window: Window | None = None, depth_seconds: float = 60) -> None:
        self.live = LiveWindow(depth_seconds=depth_seconds)
        if window is not None:
            self.live.window = window
        self.window = self.live.window
        self.writer = FrameWriter(1)

    def frame(
        self, at: int, series: dict[str, float], source: str = "s/1", quality: list[int] | None = None
    ) -> list[bytes]:
        layout = SeriesLayout.of([(name[0], (("id", name[1:]),)) for name in series])
        marks = None if quality is None else np.array(quality, dtype=np.uint8)
        return [m.value for m in self.writer.messages(source, 1, layout, at, np.array(list(series.values())), marks)]

    def put(self, at: int, series: dict[str, float], source: str = "s/1", quality: list[int] | None = None) -> None:
        for piece in self.frame(at, series, source, quality):
            self.live.append(piece)

    def ask(self, expr: str, at: int) -> dict[str, float]:
        return {sample.labels.get("id", ""): sample.value for sample in Query.compile(expr).evaluate(self.live, at)}


def test_a_series_that_a_page_gains_after_a_long_quiet_time_is_seen_at_once() -> None:
    feed = Feed()
    for step in range(100):
        feed.put(step * 1_000, {"a1": 1.0})
    feed.put(100_000, {"a1": 1.0, "a2": 2.0})
    assert feed.ask("a", 100_000) == {"1": 1.0, "2": 2.0}
    assert feed.ask("count_over_time(a[10s])", 100_000) == {"1": 10.0, "2": 1.0}


def test_rings_deepen_for_a_fast_source_and_lose_nothing() -> None:
    feed = Feed(depth_seconds=100)
    for step in range(700):
        feed.put(step * 250, {"a1": float(step), "b1": 0.0})
        if step > 400:
            assert feed.ask("count_over_time(a[100s])", step * 250) == {"1": 400.0}
    assert feed.ask("sum_over_time(a[100s])", 699 * 250) == {"1": float(sum(range(300, 700)))}


def test_a_source_that_becomes_fast_after_a_long_time_loses_nothing() -> None:
    feed = Feed(depth_seconds=60)
    for step in range(100):
        feed.put(step * 5_000, {"a1": 1.0})
    for step in range(240):
        feed.put(500_000 + step * 250, {"a1": 1.0})
    assert feed.ask("count_over_time(a[60s])", 559_750) == {"1": 240.0}
    assert len(feed.live.since("a", {}, 500_000)) == 239


def test_a_frame_that_is_older_than_the_ring_is_dropped_and_counted() -> None:
    feed = Feed(depth_seconds=1)
    for step in range(50):
        feed.put(100_000 + step * 1_000, {"a1": 1.0})
    feed.put(1_000, {"a1": 9.0})
    assert feed.window.counts.too_late == 1
    assert feed.ask("a", 149_000) == {"1": 1.0}


def test_the_same_time_twice_keeps_the_first_value() -> None:
    feed = Feed()
    feed.put(1_000, {"a1": 1.0})
    feed.put(1_000, {"a1": 9.0})
    assert feed.ask("a", 1_000) == {"1": 1.0}
    assert feed.window.counts.too_late == 1


def test_a_late_sample_behind_a_hole_leaves_the_hole_where_it_was() -> None:
    feed = Feed()
    for at, quality in ((10_000, 0), (20_000, 0), (30_000, 2), (40_000, 0)):
        feed.put(at, {"a1": 1.0}, quality=[quality])
    feed.put(15_000, {"a1": 1.0})
    assert feed.ask("count_over_time(a[11s])", 40_000) == {"1": 1.0}
    assert feed.ask("count_over_time(a[35s])", 40_000) == {"1": 4.0}


def test_a_late_sample_changes_what_counts_as_a_reset() -> None:
    feed = Feed()
    for at, value in ((10_000, 10.0), (20_000, 20.0), (40_000, 40.0)):
        feed.put(at, {"a1": value})
    feed.put(30_000, {"a1": 5.0})
    assert feed.ask("resets(a[1m])", 40_000) == {"1": 1.0}
    assert feed.ask("increase(a[35s])", 40_000) == {"1": pytest.approx((40 - 10 + 20) * 35 / 30)}


def test_frames_wait_for_their_table_and_then_count() -> None:
    feed = Feed()
    table, first = feed.frame(1_000, {"a1": 1.0})
    (second,) = feed.frame(2_000, {"a1": 2.0})
    feed.live.append(first)
    feed.live.append(second)
    assert feed.ask("a", 2_000) == {}
    feed.live.append(table)
    assert feed.ask("a", 2_000) == {"1": 2.0}
    assert feed.ask("count_over_time(a[10s])", 2_000) == {"1": 2.0}


def test_a_thousand_frames_wait_at_most() -> None:
    feed = Feed()
    (table, first) = feed.frame(0, {"a1": 0.0})
    feed.live.append(first)
    for step in range(1, 1_200):
        feed.live.append(feed.frame(step, {"a1": 1.0})[0])
    assert feed.window.tables.lost == 200
    feed.live.append(table)
    assert feed.ask("count_over_time(a[1m])", 2_000) == {"1": 1_000.0}


def test_memory_is_bounded_and_what_found_no_room_is_counted() -> None:
    feed = Feed(Window(Needs({"a": Need(depth_ms=60_000)}), limit_bytes=40_000))
    for number in range(40):
        feed.put(1_000, {f"a{number}x{part}": 1.0 for part in range(20)}, source=f"s/{number}")
    assert feed.window.counts.refused_series > 0
    assert feed.window.nbytes <= 60_000
    assert len(feed.ask("a", 1_000)) == 800 - feed.window.counts.refused_series


def test_a_range_that_the_full_window_cannot_hold_is_an_error_not_a_wrong_number() -> None:
    feed = Feed(Window(Needs({"a": Need(depth_ms=100_000, counter=True)}), limit_bytes=80_000))
    for step in range(1_000):
        feed.put(step * 100, {f"a{number}": float(step) for number in range(50)})
    assert feed.window.counts.shortened
    with pytest.raises(EvaluationError, match="the window is full"):
        feed.ask("rate(a[1m])", 99_900)
    assert feed.ask("count_over_time(a[2s])", 99_900)["1"] == 20.0


def test_a_source_that_runs_away_does_not_deepen_everybodys_rings() -> None:
    feed = Feed(depth_seconds=10)
    for step in range(20_000):
        feed.put(step, {"a1": 1.0})
    assert feed.window.nbytes < 2_000_000
    assert feed.window.counts.shortened


def test_silent_streams_are_forgotten_and_come_back_with_their_next_frame() -> None:
    feed = Feed()
    feed.put(0, {"a1": 1.0, "b1": 1.0}, source="s/1")
    feed.put(0, {"a2": 2.0}, source="s/2")
    feed.put(400_000, {"a2": 3.0}, source="s/2")
    assert feed.window.collect(400_000, 360_000) == 2
    assert feed.window.series == 1
    assert feed.ask("a", 400_000) == {"2": 3.0}
    feed.put(401_000, {"a1": 5.0, "b1": 6.0}, source="s/1")
    feed.put(401_000, {"a2": 7.0}, source="s/2")
    assert feed.ask("a", 401_000) == {"1": 5.0, "2": 7.0}
    assert feed.ask("count_over_time(a[5m])", 401_000) == {"1": 1.0, "2": 2.0}


def test_a_metric_that_a_reload_asks_for_is_there_with_the_next_frame() -> None:
    feed = Feed(Window(Needs({"a": Need()})))
    feed.put(0, {"a1": 1.0, "b1": 2.0})
    assert feed.ask("b", 0) == {}
    feed.window.require(Needs({"b": Need(depth_ms=60_000)}))
    feed.put(1_000, {"a1": 1.0, "b1": 3.0})
    assert feed.ask("b", 1_000) == {"1": 3.0}
    assert feed.ask("a", 1_000) == {}


def test_a_reload_that_asks_for_rates_finds_the_falls_of_before() -> None:
    feed = Feed(Window(Needs({"a": Need(depth_ms=60_000)})))
    for at, value in ((0, 5.0), (10_000, 9.0), (20_000, 2.0), (30_000, 4.0)):
        feed.put(at, {"a1": value})
    feed.window.require(Needs({"a": Need(depth_ms=60_000, counter=True)}))
    assert feed.ask("resets(a[1m])", 30_000) == {"1": 1.0}
    assert feed.ask("increase(a[31s])", 30_000)["1"] == pytest.approx(8.0 * 31 / 30)


def test_a_series_that_moves_to_another_source_is_there_once() -> None:
    feed = Feed()
    feed.put(0, {"a1": 1.0, "a2": 1.0}, source="s/1")
    feed.put(1_000, {"a2": 5.0}, source="s/2")
    assert feed.ask("a", 1_000) == {"1": 1.0, "2": 5.0}
    feed.put(2_000, {"a1": 2.0, "a2": 9.0}, source="s/1")
    assert feed.ask("a", 2_000) == {"1": 2.0, "2": 5.0}


def test_a_series_that_stands_twice_in_a_table_keeps_its_first_place() -> None:
    feed = Feed()
    layout = SeriesLayout.of([("a", (("id", "1"),)), ("a", (("id", "1"),)), ("b", ())])
    for message in feed.writer.messages("s/1", 1, layout, 0, np.array([1.0, 2.0, 3.0])):
        feed.live.append(message.value)
    assert feed.ask("a", 0) == {"1": 1.0}
    assert feed.ask("b", 0) == {"": 3.0}


def test_a_frame_with_too_few_values_is_refused_and_the_next_is_taken() -> None:
    feed = Feed()
    feed.put(0, {"a1": 1.0, "a2": 1.0})
    frame = decode_frame(feed.frame(1_000, {"a1": 7.0, "a2": 7.0})[-1])
    short = type(frame)(
        source=frame.source, boot=frame.boot, sequence=99, layout=frame.layout, at=frame.at, values=frame.values[:8]
    )
    feed.live.append(encode_frame(short))
    assert feed.window.counts.malformed == 1
    feed.put(2_000, {"a1": 2.0, "a2": 2.0})
    assert feed.ask("a", 2_000) == {"1": 2.0, "2": 2.0}


@pytest.mark.parametrize("garbage", [b"", b"\x98", b"\x94\x01", b"\x00" * 40, b"\x98" + b"\xc1" * 20])
def test_garbage_is_malformed_and_changes_nothing(garbage: bytes) -> None:
    feed = Feed()
    feed.put(0, {"a1": 1.0})
    with pytest.raises(Malformed):
        feed.live.append(garbage)
    assert feed.ask("a", 0) == {"1": 1.0}


def test_a_frame_ahead_of_time_does_not_hide_the_sample_before_it() -> None:
    feed = Feed()
    feed.put(1_000, {"a1": 1.0})
    feed.put(5_000, {"a1": 5.0})
    assert feed.ask("a", 1_500) == {"1": 1.0}
    assert feed.ask("a", 5_000) == {"1": 5.0}


def test_only_needed_metrics_are_kept() -> None:
    window = Window(Needs({"a": Need()}, [PatternNeed(lambda name: name.startswith("c"), Need())]))
    feed = Feed(window)
    feed.put(0, {"a1": 1.0, "b1": 2.0, "c1": 3.0})
    assert set(window.blocks) == {"a", "c"}


def test_a_series_older_than_five_minutes_is_gone() -> None:
    feed = Feed()
    feed.put(0, {"a1": 1.0})
    assert feed.ask("a", 299_999) == {"1": 1.0}
    assert feed.ask("a", 300_000) == {}


def test_a_stale_series_is_gone_at_once_and_a_nan_is_a_value() -> None:
    feed = Feed()
    feed.put(0, {"a1": 1.0, "a2": 1.0, "a3": float("nan")})
    feed.put(1_000, {"a1": STALE_FLOAT, "a2": 2.0, "a3": float("nan")})
    assert set(feed.ask("a", 1_000)) == {"2", "3"}


def test_quality_travels_to_the_remediator_and_stays_out_of_rules() -> None:
    feed = Feed()
    feed.put(0, {"a1": 1.0, "a2": 2.0}, quality=[6, 0])
    assert feed.ask("a", 0) == {"2": 2.0}
    assert {sample.labels["id"]: sample.quality for sample in feed.live.latest("a", {})} == {"1": 6, "2": 0}


def test_latest_and_since_answer_by_equal_labels_oldest_first() -> None:
    feed = Feed()
    for at in (0, 1_000, 2_000):
        feed.put(at, {"a1": float(at), "a2": 0.0})
    assert [(s.at_ms, s.value) for s in feed.live.since("a", {"id": "1"}, 0)] == [(1_000, 1_000.0), (2_000, 2_000.0)]
    (latest,) = feed.live.latest("a", {"id": "1"})
    assert (latest.labels, latest.at_ms) == ({"__name__": "a", "id": "1"}, 2_000)
    assert feed.live.latest("nope", {}) == []
    assert feed.live.since("nope", {}, 0) == []


def test_equal_subexpressions_are_computed_once_a_pass() -> None:
    planner = Planner()
    one, two = planner.compile("sum(rate(a[1m])) > 1"), planner.compile("sum(rate(a[1m])) < 5")
    assert one.children[0] is two.children[0]
    assert one.children[0].shared


def test_a_plan_stays_while_layouts_stay_and_follows_when_they_change() -> None:
    feed = Feed()
    feed.put(0, {"a1": 1.0})
    query = Query.compile("sum by (id) (a)")
    now = Pass(feed.window, 0)
    first = query._node.evaluate(now)
    feed.put(1_000, {"a1": 2.0})
    again = query._node.evaluate(Pass(feed.window, 1_000))
    assert again.labels is first.labels
    feed.put(2_000, {"a1": 3.0, "a2": 4.0})
    grown = query._node.evaluate(Pass(feed.window, 2_000))
    assert grown.labels is not first.labels
    assert sorted(grown.values.tolist()) == [3.0, 4.0]


def test_many_messages_at_once_leave_the_window_that_one_at_a_time_leave() -> None:
    one, many = Feed(), Feed()
    messages: list[bytes] = []
    for step in range(100):
        stale = STALE_FLOAT if step % 7 == 3 else float(step)
        quality = [0, 2] if step % 11 == 5 else None
        messages += one.frame(step * 1_000, {"a1": stale, "b1": float(-step)}, f"s/{step % 3}", quality)
    messages.insert(50, messages[20])
    messages.insert(60, b"neither")
    messages.insert(70, b"\x94 nor a table")
    refused = []
    for place, message in enumerate(messages):
        try:
            one.live.window.append(message, not_after_ms=95_000)
        except Malformed:
            refused.append(place)
    taken = many.live.window.append_all(messages, not_after_ms=95_000)
    assert [place for place, _ in taken.refused] == refused == [60, 70]
    assert one.window.counts == many.window.counts
    for expr in ("a", "b", "count_over_time(a[1m])", "sum_over_time(b[1m])", "rate(b[1m])"):
        for at in (40_000, 94_000):
            assert Query.compile(expr).evaluate(one.live, at) == Query.compile(expr).evaluate(many.live, at)


def test_frames_that_go_together_leave_the_arrays_that_one_at_a_time_leave() -> None:
    """Equal pages of many nodes; values fall, nodes skip a frame, come late, twice, with a mark or from the future."""
    one, many = Feed(), Feed()
    random, before = np.random.default_rng(7), {}
    for step in range(80):
        messages: list[bytes] = []
        for node in range(24):
            at = 10_000 + step * 1_000 - (3_500 if random.random() < 0.02 else 0)
            values = {f"{name}{node}": float(random.integers(0, 5) + step) for name in ("a", "b", "c")}
            if random.random() < 0.01:
                values[f"a{node}"] = STALE_FLOAT
            if random.random() > 0.03:
                messages += one.frame(at + node, values, f"s/{node}", [0, 2, 0] if random.random() < 0.01 else None)
        messages += [before[step - 1]] if step % 9 == 4 else []
        before[step] = messages[-1]
        for message in messages:
            one.live.window.append(message, not_after_ms=89_010)
        many.live.window.append_all(messages, not_after_ms=89_010)
    assert one.window.counts == many.window.counts
    assert one.window.counts.late > 10
    assert one.window.counts.duplicates > 5
    assert one.window.counts.future > 5
    for name in ("current", "dead", "stream", "hole", "rough", "cell"):
        assert getattr(one.window.board, name).tobytes() == getattr(many.window.board, name).tobytes(), name
    assert one.window.streams.times.tobytes() == many.window.streams.times.tobytes()
    assert one.window.streams.newest == many.window.streams.newest
    assert one.window.streams.latest == many.window.streams.latest
    counted = zip(many.window.streams.clean, one.window.streams.clean, strict=True)
    assert all(lower <= exact for lower, exact in counted)  # a ring deepened after the frames that came with the cause
    for slots, ring in one.window._rings.items():
        assert ring.values.tobytes() == many.window._rings[slots].values.tobytes()
        assert ring.states.tobytes() == many.window._rings[slots].states.tobytes()


def test_a_range_shorter_than_a_few_intervals_loses_nothing_either() -> None:
    planner = Planner()
    planner.compile("sum_over_time(a[9s]) + count_over_time(b[10m])")  # times are kept as deep as the deepest needs
    feed = Feed(Window(planner.needs))
    for step in range(60):
        feed.put(step * 1_000, {"a1": float(step), "b1": 0.0})
        assert feed.ask("sum_over_time(a[9s])", step * 1_000) == {"1": float(sum(range(max(step - 8, 0), step + 1)))}


def test_other_readers_do_not_make_a_hole_a_sample() -> None:
    planner = Planner()
    planner.compile("rate(a[60s])")
    feed = Feed(Window(planner.needs))
    feed.put(1_000, {"a1": 7.0})
    feed.put(2_000, {"a1": STALE_FLOAT})
    feed.window.require(planner.needs)
    feed.put(50_000, {"a1": 9.0})
    feed.put(55_000, {"a1": 10.0})
    assert feed.ask("rate(a[54s])", 55_500) == pytest.approx({"1": (2.5 + 5 + 0.5) / 5 / 54})
