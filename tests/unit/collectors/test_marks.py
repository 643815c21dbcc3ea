"""Quality marks: what one frame and the one before it show."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.marks import Marks
from fleet.metrics import METRICS
from fleet.quality import Quality, Reason, pack, quality_of, reason_of

STALE = 0x7FF0000000000002


def marks_of(frames, names, gap_ms=1000, now_ahead=0):
    """The marks of the last of several frames."""
    marks = Marks(tuple((name, ()) for name in names))
    found = None
    values = None
    for number, frame in enumerate(frames):
        values = np.array(frame, dtype=np.float64)
        at = 1_000_000 + number * gap_ms
        found = marks.of(values, None, at, at + now_ahead)
    return values, None if found is None else [(quality_of(m), reason_of(m)) for m in found.tolist()]


def test_a_plausible_frame_has_no_marks() -> None:
    assert marks_of([[40.0, 300.0]], ["DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_POWER_USAGE"])[1] is None


def test_a_metric_that_is_not_in_the_register_is_never_marked() -> None:
    assert marks_of([[1e300], [-1e300]], ["somebody_elses_metric"])[1] is None


@pytest.mark.parametrize("value", [-1.0, 4000.0])
def test_a_value_outside_its_range_is_bad_and_its_neighbour_good(value: float) -> None:
    _, marks = marks_of([[value, 40.0]], ["DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_GPU_TEMP"])
    assert marks == [(Quality.BAD, Reason.RANGE), (Quality.GOOD, Reason.NONE)]


@pytest.mark.parametrize("metric", ["DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"])
def test_a_sentinel_is_absent_and_bad_whether_or_not_its_range_would_rule_it_out(metric: str) -> None:
    sentinel = METRICS[metric].sentinels[0]
    values, marks = marks_of([[sentinel, 40.0]], [metric, "DCGM_FI_DEV_GPU_TEMP"])
    assert marks == [(Quality.BAD, Reason.SENTINEL), (Quality.GOOD, Reason.NONE)]
    assert values.view(np.uint64)[0] == STALE


def test_a_change_faster_than_the_metric_can_is_uncertain() -> None:
    name = next(
        name
        for name, metric in METRICS.items()
        if metric.kind == "gauge" and metric.max_rate_per_second and metric.high > 1
    )
    rate = METRICS[name].max_rate_per_second
    low = max(METRICS[name].low, 0.0)
    slow, fast = [[low], [low + rate * 0.9]], [[low], [low + rate * 1.1]]
    assert marks_of(slow, [name])[1] is None
    assert marks_of(fast, [name])[1] == [(Quality.UNCERTAIN, Reason.RATE)]
    assert marks_of(fast, [name], gap_ms=2000)[1] is None, "twice the time, half the rate"


def test_a_value_that_the_device_refreshes_seldom_may_have_changed_all_that_time() -> None:
    name = ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", ())
    watts_for_30_seconds = np.array([700_000.0 * 30])
    for refresh, quality in ((30.0, None), (0.0, [pack(Quality.UNCERTAIN, Reason.RATE)])):
        marks = Marks((name,), refresh_seconds=refresh)
        marks.of(np.array([0.0]), None, 1_000, 1_000)
        found = marks.of(watts_for_30_seconds.copy(), None, 2_000, 2_000)
        assert (found if found is None else found.tolist()) == quality


def test_a_counter_that_starts_again_stays_good_and_says_so() -> None:
    _, marks = marks_of([[5e9], [10.0]], ["pdu_outlet_energy_joules_total"])
    assert marks == [(Quality.GOOD, Reason.COUNTER_RESET)]


def test_an_old_answer_and_one_from_the_future_are_uncertain_as_a_whole() -> None:
    names = ["DCGM_FI_DEV_GPU_TEMP", "x"]
    assert marks_of([[40.0, 1.0]], names, now_ahead=30_001)[1] == [(Quality.UNCERTAIN, Reason.AGE)] * 2
    assert marks_of([[40.0, 1.0]], names, now_ahead=-1_001)[1] == [(Quality.UNCERTAIN, Reason.CLOCK)] * 2
    assert marks_of([[40.0, 1.0]], names, now_ahead=29_000)[1] is None


def test_marks_of_the_wire_stay_and_good_values_without_integrity_may_become_bad() -> None:
    marks = Marks((("DCGM_FI_DEV_POWER_USAGE", ()), ("DCGM_FI_DEV_POWER_USAGE", (("a", "b"),)), ("x", ())))
    unsigned = pack(Quality.GOOD, Reason.NO_INTEGRITY)
    wire = np.array([pack(Quality.BAD, Reason.SENTINEL), unsigned, unsigned], dtype=np.uint8)
    found = marks.of(np.array([-5.0, -5.0, 1.0]), wire, 1, 1)
    assert found is not None
    assert [reason_of(mark) for mark in found.tolist()] == [Reason.SENTINEL, Reason.RANGE, Reason.NO_INTEGRITY]
    assert [quality_of(mark) for mark in found.tolist()] == [Quality.BAD, Quality.BAD, Quality.GOOD]


@given(st.lists(st.floats(width=64) | st.just(float("nan")), min_size=3, max_size=3))
def test_a_mark_is_given_exactly_when_the_register_calls_a_value_implausible(values: list[float]) -> None:
    names = ["DCGM_FI_DEV_GPU_TEMP", "pdu_phase_current_amperes", "DCGM_FI_DEV_POWER_USAGE"]
    _, marks = marks_of([values], names)
    for name, value, mark in zip(names, values, marks or [(Quality.GOOD, Reason.NONE)] * 3, strict=True):
        if value == value:
            assert (mark[0] is Quality.GOOD) == METRICS[name].plausible(value)


def test_a_stale_marker_among_the_values_disturbs_nothing() -> None:
    stale = float(np.array([STALE], dtype=np.uint64).view(np.float64)[0])
    names = ["DCGM_FI_DEV_GPU_TEMP", "pdu_outlet_energy_joules_total"]
    values = np.array([stale, stale])
    marks = Marks(tuple((name, ()) for name in names))
    assert marks.of(values, None, 1000, 1000) is None
    assert marks.of(values.copy(), None, 2000, 2000) is None
