"""A breaker's heat and what is left of its patience, against the formula."""

import numpy as np
import pytest

from rules.models.breaker import (
    NEVER_SECONDS,
    WORST_CASE,
    Curve,
    breaker_time_to_trip_seconds,
    curve_of,
    heat_after,
    worst_of,
)

COLD = np.zeros(1)


@pytest.mark.parametrize(("ratio", "seconds"), [(1.1, 600.0), (1.35, 126 / 0.8225), (2.0, 42.0), (1.05, 126 / 0.1025)])
def test_from_cold_a_load_trips_after_k_over_its_square_less_one(ratio: float, seconds: float) -> None:
    assert breaker_time_to_trip_seconds(COLD, np.array([ratio])) == pytest.approx(seconds)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 0.99, 1.0])
def test_at_its_rating_and_below_it_never_trips(ratio: float) -> None:
    assert breaker_time_to_trip_seconds(COLD, np.array([ratio])) == NEVER_SECONDS


def test_a_load_just_above_the_rating_is_never_longer_than_never() -> None:
    assert breaker_time_to_trip_seconds(COLD, np.array([np.nextafter(1.0, 2.0)])) == NEVER_SECONDS


def test_seconds_at_a_load_come_off_the_time_that_is_left() -> None:
    load = np.array([1.35, 2.0])
    heat = heat_after(np.zeros(2), load, 10.0)
    before = breaker_time_to_trip_seconds(np.zeros(2), load)
    assert breaker_time_to_trip_seconds(heat, load) == pytest.approx(before - 10.0)


def test_steps_add_up_to_the_integral() -> None:
    loads = [1.2, 1.5, 0.9, 1.1]
    heat = COLD
    for ratio in loads:
        heat = heat_after(heat, np.array([ratio]), 5.0)
    assert heat == pytest.approx(5.0 * sum(ratio**2 - 1 for ratio in loads))


def test_below_its_rating_it_cools_but_never_under_cold() -> None:
    assert heat_after(np.array([20.0]), np.array([0.5]), 10.0) == pytest.approx(12.5)
    assert heat_after(np.array([5.0]), np.array([0.5]), 60.0) == 0.0


def test_hot_enough_means_now_and_heat_grows_no_further() -> None:
    heat = heat_after(COLD, np.array([2.0]), 1_000.0)
    assert heat == WORST_CASE.heat_to_trip_seconds
    assert breaker_time_to_trip_seconds(heat, np.array([1.1])) == 0.0


def test_a_short_circuit_trips_at_once() -> None:
    assert breaker_time_to_trip_seconds(COLD, np.array([3.0])) == 0.0
    assert breaker_time_to_trip_seconds(COLD, np.array([2.99])) > 0.0


def test_a_lost_meter_neither_cools_nor_says_anything() -> None:
    lost = np.array([np.nan])
    assert heat_after(np.array([50.0]), lost, 600.0) == 50.0
    assert np.isnan(breaker_time_to_trip_seconds(np.array([50.0]), lost))


def test_of_a_data_sheets_band_the_fastest_point_counts() -> None:
    curve = curve_of([(1.35, 300.0), (2.0, 30.0), (1.0, 1.0)], instantaneous_ratio=5.0)
    assert curve == Curve(heat_to_trip_seconds=90.0, instantaneous_ratio=5.0)
    for ratio, seconds in [(1.35, 300.0), (2.0, 30.0)]:
        assert breaker_time_to_trip_seconds(COLD, np.array([ratio]), curve) <= seconds


def test_the_worst_of_curves_trips_before_each() -> None:
    one = Curve(heat_to_trip_seconds=90.0, instantaneous_ratio=5.0)
    other = Curve(heat_to_trip_seconds=200.0, instantaneous_ratio=3.0)
    assert worst_of([one, other]) == Curve(heat_to_trip_seconds=90.0, instantaneous_ratio=3.0)


def test_a_curve_without_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="above the rating"):
        curve_of([(0.9, 100.0)], instantaneous_ratio=5.0)
    with pytest.raises(ValueError, match="heat to trip above 0"):
        Curve(heat_to_trip_seconds=0.0, instantaneous_ratio=5.0)
