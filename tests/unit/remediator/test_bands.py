"""The three bands: above for a moment, below for long, and lost metering is neither."""

import pytest

from remediator.bands import below_for, need, newest, over_for
from remediator.proof import Reading

NOW = 1_000_000


def every_second(*values: float, until: int = NOW, quality: int = 0) -> list[Reading]:
    return [Reading(until - 1000 * (len(values) - 1 - n), value, quality) for n, value in enumerate(values)]


def test_over_for_two_seconds_is_every_reading_of_them() -> None:
    assert over_for(every_second(32, 32, 32, 32), 32, 0.99, 2, NOW)
    assert not over_for(every_second(32, 32, 30, 32), 32, 0.99, 2, NOW)
    assert not over_for(every_second(30, 30, 32, 32), 32, 0.99, 2, NOW)


def test_below_for_two_minutes_is_every_reading_of_them() -> None:
    assert below_for(every_second(*[28] * 122), 32, 0.9, 120, NOW)
    assert not below_for(every_second(*[28] * 100), 32, 0.9, 120, NOW)
    assert not below_for(every_second(*[28] * 60, 30, *[28] * 61), 32, 0.9, 120, NOW)


@pytest.mark.parametrize(
    ("why", "readings"),
    [
        ("nothing was ever read", []),
        ("it fell silent", every_second(*[32] * 10, until=NOW - 6_000)),
        ("a gap in between", [*every_second(*[32] * 3, until=NOW - 7_000), *every_second(32)]),
        ("not good", every_second(*[32] * 10, quality=2)),
        ("one reading alone", every_second(32)),
    ],
)
def test_lost_metering_is_neither_over_nor_below(why: str, readings: list[Reading]) -> None:
    assert not over_for(readings, 32, 0.99, 2, NOW)
    assert not below_for(readings, 40, 0.9, 2, NOW)


def test_the_newest_good_reading_counts_while_it_is_young() -> None:
    assert newest([Reading(NOW - 1000, 5.0), Reading(NOW, 9.0, 2)], NOW).value == 5.0
    assert newest([Reading(NOW - 6000, 5.0)], NOW) is None


def test_the_need_is_what_lies_above_the_target_with_a_margin() -> None:
    assert need(33.6, 32, 0.95, 1.1) == pytest.approx((33.6 - 30.4) * 1.1)
    assert need(29, 32, 0.95, 1.1) == 0
