"""When groups are judged, when silence means nothing, and how device events count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.events import DeviceEvent
from bus.frames import FrameWriter
from bus.port import Record
from fleet.errors import Malformed
from fleet.model import Asset, AssetId, Kind
from rules.events import EventCounters
from rules.files.model import AlertRule, Place, RuleGroup
from rules.lag import Lag
from rules.promql.parse import parse
from rules.query import LiveWindow, Query
from rules.templates import Template
from rules.timetable import Timetable
from rules.window.sequences import Sequences


def table() -> Timetable:
    return Timetable(
        {
            "a": RuleGroup(uid="a", name="a", rules=(), interval_ms=1_000),
            "p": RuleGroup(uid="p", name="p", rules=(), interval_ms=5_000, protective=True),
        }
    )


def test_every_group_is_due_at_the_start_and_then_once_an_interval() -> None:
    turns = table()
    assert turns.due(0) == ["a", "p"]
    assert turns.due(999) == []
    assert turns.due(1_000) == ["a"]
    assert [turns.due(5_000), turns.due(5_000)] == [["p"], ["a"]]


def test_what_arrives_wakes_a_group_at_once_but_not_within_its_spacing() -> None:
    turns = table()
    turns.due(0)
    turns.wake(["a", "p"])
    assert turns.due(9) == []
    assert turns.due(10) == ["p"]
    assert turns.due(39) == []
    assert turns.due(40) == ["a"]
    turns.wake(["a"])
    assert turns.due(500) == ["a"]


def test_a_paced_group_keeps_its_interval_whatever_arrives() -> None:
    turns = Timetable({"a": RuleGroup(uid="a", name="a", rules=(), interval_ms=1_000, paced=True)})
    turns.due(0)
    turns.wake(["a"])
    assert turns.due(999) == []
    assert turns.due(1_000) == ["a"]


def rule(severity: str) -> AlertRule:
    place = Place(file="a.yaml", line=1, column=1)
    labels = {"severity": Template.parse(severity)}
    return AlertRule(uid=f"a/{severity}", name="A", expr="a > 1", tree=parse("a > 1"), place=place, labels=labels)


def mixed() -> Timetable:
    """An ordinary group, one with a critical rule, a protective one, in that order."""
    groups = {
        "o": RuleGroup(uid="o", name="o", rules=(rule("warning"),), interval_ms=1_000),
        "c": RuleGroup(uid="c", name="c", rules=(rule("critical"),), interval_ms=1_000),
        "p": RuleGroup(uid="p", name="p", rules=(rule("warning"),), interval_ms=1_000, protective=True),
    }
    return Timetable(groups)


def test_protective_groups_come_first_then_critical_ones_each_as_a_slice_of_its_own() -> None:
    turns = mixed()
    assert turns.due(0) == ["o", "c", "p"]
    turns.wake(["o", "c", "p"])
    assert [turns.due(50) for _ in range(4)] == [["p"], ["c"], ["o"], []]


def test_a_slice_holds_no_more_than_what_was_judged_in_fifty_milliseconds_before() -> None:
    groups = {uid: RuleGroup(uid=uid, name=uid, rules=(), interval_ms=1_000) for uid in "abcd"}
    turns = Timetable(groups)
    turns.due(0)
    for uid, cost in (("a", 20.0), ("b", 25.0), ("c", 10.0), ("d", 500.0)):
        turns.took([uid], cost)
    turns.wake("abcd")
    assert [turns.due(50) for _ in range(4)] == [["a", "b"], ["c"], ["d"], []]


def test_a_critical_group_waits_for_one_slice_of_others_and_others_for_one_of_it() -> None:
    turns, now, seen = mixed(), 10, []
    turns.due(0)
    turns.took(["o"], 2_000.0)
    for _ in range(12):  # each slice takes so long that everybody is late again
        turns.wake(["o", "c"])
        now += 2_000
        seen += turns.due(now)
    assert seen.count("c") >= 2
    assert seen.count("o") >= 2
    assert not any(seen[place] == seen[place + 1] == "o" for place in range(len(seen) - 1))


@pytest.mark.parametrize(("cost", "spacing"), [(0.5, 36), (12.0, 25), (20.0, 30), (26.0, 39), (500.0, 40)])
def test_wait_and_pass_take_thirty_seven_milliseconds_together_where_passes_leave_a_third_of_the_time(
    cost: float, spacing: int
) -> None:
    turns = table()
    turns.due(0)
    turns.took(["a"], cost)
    turns.wake(["a"])
    assert turns.due(spacing - 1) == []
    assert turns.due(spacing) == ["a"]


def test_the_wait_ends_when_the_next_group_is_due() -> None:
    turns = table()
    turns.due(0)
    assert turns.seconds_until_next(400) == 0.6
    turns.wake(["p"])
    assert turns.seconds_until_next(4) == 0.006
    assert turns.seconds_until_next(50_000) == 0.0


@given(st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=60))
def test_no_group_starves_and_none_is_judged_too_often(steps: list[tuple[int, bool]]) -> None:
    turns, now, begun = table(), 0, 0
    assert turns.due(0)
    for advance, wakes in steps:
        now += advance
        if wakes:
            turns.wake(["a"])
        while due := turns.due(now):  # slice after slice
            if "a" in due:
                assert now - begun >= 40
                begun = now
        assert now - begun < 1_000


def record(at_ms: int, partition: int = 1) -> Record:
    return Record("telemetry.frames", partition, 0, "k", b"", (), at_ms)


def test_old_records_mean_that_the_bus_lags() -> None:
    lag = Lag(0)
    lag.took([record(9_000)], 10_000)
    assert not lag.lagging
    lag.took([record(9_000), record(1_000, partition=2)], 10_000)
    assert lag.lagging
    assert lag.milliseconds == 9_000
    lag.took([], 10_000)
    assert not lag.lagging


def test_silence_asks_the_bus_whether_it_is_still_there() -> None:
    lag = Lag(0)
    lag.took([record(0)], 0)
    lag.took([], 2_000)
    assert not lag.quiet(2_000)
    assert lag.quiet(3_000)
    lag.asked(None, 3_000)
    assert lag.lagging
    lag.asked(0, 6_000)
    assert not lag.lagging


FIELDS = ("asset", "source", "kind", "code", "severity", "text", "at_ms")


def event(at_ms: int = 0, code: str = "79", asset: str = "dgx-001", text: str = "") -> DeviceEvent:
    return DeviceEvent(asset=asset, source="s", kind="xid", code=code, severity="critical", text=text, at_ms=at_ms)


def counters() -> EventCounters:
    node = Asset(
        id=AssetId("dgx-001"), kind=Kind.NODE, zone=3, labels={"node": "dgx-001", "rack": "r1", "zone": "3", "row": "x"}
    )
    return EventCounters({"dgx-001": node})


def increase(
    counts: EventCounters, times: list[int], window: LiveWindow | None = None
) -> list[tuple[dict[str, str], float]]:
    window = window or LiveWindow(depth_seconds=600)
    writer = FrameWriter(1)
    for at in times:
        for message in counts.frames(at, writer):
            window.append(message.value)
    found = Query.compile("increase(device_events_total[5m])").evaluate(window, times[-1] + 1)
    return [(dict(sample.labels), sample.value) for sample in found]


def test_a_first_event_is_an_increase_with_the_assets_labels() -> None:
    counts = counters()
    assert counts.count(event(1_000_000), 1_000_000)
    ((labels, value),) = increase(counts, [1_000_000])
    assert labels == {"asset": "dgx-001", "node": "dgx-001", "rack": "r1", "zone": "3", "kind": "xid", "code": "79"}
    assert value > 0


def test_the_same_event_counts_once() -> None:
    counts = counters()
    assert counts.count(event(), 0)
    assert not counts.count(event(), 0)
    assert counts.count(event(text="another"), 0)


def test_an_old_event_counts_without_an_increase() -> None:
    counts = counters()
    counts.count(event(0), 1_000_000)
    ((_, value),) = increase(counts, [1_000_000, 1_015_000])
    assert value == 0


def test_an_event_after_a_restart_is_an_increase_of_one() -> None:
    before = counters()
    for number in range(5):
        before.count(event(text=str(number)), 0)
    after = counters()
    after.restore(before.state())
    assert not after.count(event(text="3"), 0)
    assert after.count(event(1_000_000, text="new"), 1_000_000)
    ((_, value),) = increase(after, [1_000_000])
    assert 1 <= value < 3  # Prometheus extends what two samples show


def told(counts: EventCounters, metric: str) -> dict[str, float]:
    """What the counters say now, by place and GPU."""
    window, writer = LiveWindow(depth_seconds=600), FrameWriter(1)
    for message in counts.frames(10_000_000, writer):
        window.append(message.value)
    found = Query.compile(metric).evaluate(window, 10_000_100)
    return {f"{each.labels.get('gpu', '')} {each.labels.get('place', '')}".strip(): each.value for each in found}


def test_a_burst_is_what_follows_within_three_minutes_of_the_last_event() -> None:
    counts = counters()
    for at in (0, 100_000, 280_000, 460_001, 640_000):
        counts.count(event(at, text=str(at)), at)
    restored = counters()
    restored.restore(counts.state())
    restored.count(event(900_000), 900_000)
    assert told(counts, "device_event_bursts_total") == {"": 2}
    assert told(restored, "device_event_bursts_total") == {"": 3}
    assert told(restored, "device_events_total") == {"": 6}


def test_an_event_that_comes_out_of_order_begins_no_burst_of_its_own() -> None:
    counts = counters()
    for at in (500_000, 100_000, 400_000):
        counts.count(event(at, text=str(at)), at)
    assert told(counts, "device_event_bursts_total") == {"": 1}


def test_counters_carry_the_gpu_and_what_the_text_says() -> None:
    counts = counters()
    text = "NVLink: fatal error detected on link 6(0x2, 0x0, 0x0, 0x0, 0x0)"
    for number, gpu in enumerate(["3", "3", "x" * 9]):
        one = event(number, code="74", text=text)
        counts.count(DeviceEvent(**{name: getattr(one, name) for name in FIELDS}, labels={"gpu": gpu}), 0)
    assert told(counts, "device_events_total") == {"3 link 6": 2, "link 6": 1}


def test_an_unknown_asset_still_counts() -> None:
    counts = counters()
    counts.count(event(asset="stranger"), 0)
    ((labels, _),) = increase(counts, [1_000])
    assert labels == {"asset": "stranger", "kind": "xid", "code": "79"}


@pytest.mark.parametrize("damage", [b"", b"\x00", b"\x81\xa1a\x01"])
def test_damaged_counters_are_refused(damage: bytes) -> None:
    with pytest.raises(Malformed):
        counters().restore(damage)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 80)), max_size=200))
def test_sequences_know_exactly_what_they_saw(frames: list[tuple[int, int]]) -> None:
    sequences, seen = Sequences(), set()
    for boot, sequence in frames:
        assert sequences.add("s", boot, sequence) is ((boot, sequence) not in seen)
        seen.add((boot, sequence))


def test_sequences_stay_small() -> None:
    sequences = Sequences()
    for sequence in range(0, 100_000, 2):
        assert sequences.add("s", 1, sequence)
    (seen,) = sequences._sources["s"].values()
    assert len(seen.firsts) <= 64


def test_a_bus_that_gives_nothing_out_while_records_wait_lags_however_quietly_it_does_so() -> None:
    lag = Lag(0)
    lag.took([], 3_000)
    lag.asked(7, 3_000)
    assert lag.lagging
    lag.took([], 3_500)
    assert lag.lagging
    lag.asked(0, 6_500)
    assert not lag.lagging
