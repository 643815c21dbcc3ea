"""`hour()`, `day_of_week()` and the others: civil dates in UTC out of Unix seconds, as Go counts them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from rules.arrays import Floats, Times
from rules.promql.functions import OneElement
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.vector import Vector

_DAY: Final = 86_400
_ERA_DAYS: Final = 146_097
"""Days in 400 years."""
_FIRST_YEAR: Final = -292_277_022_400
"""Go counts from its March on, in unsigned numbers that wrap: so years that begin in March have leap days at their end."""
_EPOCH_DAYS: Final = 719_468 - _FIRST_YEAR // 400 * _ERA_DAYS
"""From there to 1970-01-01."""
_LENGTHS: Final = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)


def _absolute(values: Floats) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint64]]":
    """Go's count of seconds: values towards zero, what fits into no 64 bits as the least of them (amd64's conversion)."""
    fits = (values >= -(2.0**63)) & (values < 2.0**63)
    seconds = np.where(fits, np.where(fits, values, 0.0).astype(np.int64), np.iinfo(np.int64).min)
    return seconds.astype(np.uint64) + np.uint64(_EPOCH_DAYS * _DAY)


def _civil(days: Times) -> tuple[Times, Times, Times]:
    """Year, month and day of the month (the algorithm of H. Hinnant's `civil_from_days`)."""
    era = days // _ERA_DAYS
    day_of_era = days - era * _ERA_DAYS
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = np.where(shifted < 10, shifted + 3, shifted - 9)
    year: Times = year_of_era + era * 400 + (month <= 2) + _FIRST_YEAR
    return year, month, day_of_year - (153 * shifted + 2) // 5 + 1


def _leap(year: Times) -> Times:
    leap: Times = ((year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))).astype(np.int64)
    return leap


def _weekday(days: Times) -> Times:
    return (days + 3) % 7  # the first of all days was a Wednesday


def _day(days: Times) -> Times:
    return _civil(days)[2]


def _month(days: Times) -> Times:
    return _civil(days)[1]


def _year(days: Times) -> Times:
    return _civil(days)[0]


def _yearday(days: Times) -> Times:
    year, month, day = _civil(days)
    before = np.concatenate([[0], np.cumsum(_LENGTHS)])[month - 1]
    yearday: Times = before + day + np.where(month > 2, _leap(year), 0)
    return yearday


def _month_days(days: Times) -> Times:
    year, month, _ = _civil(days)
    length: Times = _LENGTHS[month - 1] + np.where(month == 2, _leap(year), 0)
    return length


_PARTS: Final[Mapping[str, Callable[[Times], Times]]] = MappingProxyType(
    {
        "day_of_week": _weekday,
        "day_of_month": _day,
        "day_of_year": _yearday,
        "days_in_month": _month_days,
        "month": _month,
        "year": _year,
    }
)


_OF_DAY: Final[Mapping[str, tuple[int, int]]] = MappingProxyType({"minute": (60, 60), "hour": (3600, 24)})
"""Parts of a day: how many seconds one has, and how many begin anew."""


def part_of(name: str, values: Floats) -> Floats:
    """A part of the dates that values are in Unix seconds."""
    seconds = _absolute(values)
    if name in _OF_DAY:
        length, many = _OF_DAY[name]
        return (seconds // np.uint64(length) % np.uint64(many)).astype(np.float64)
    return _PARTS[name]((seconds // np.uint64(_DAY)).astype(np.int64)).astype(np.float64)


class Date(OneElement):
    """A part of the date that each value is in Unix seconds; of the evaluation's time where there is no vector."""

    def __init__(self, part: str, inner: Node | None) -> None:
        super().__init__(() if inner is None else (inner,))
        self._part, self._inner = part, inner

    def compute(self, now: Pass) -> Vector:
        if self._inner is None:
            return self.element(now, float(part_of(self._part, np.array([now.at_ms // 1000], dtype=np.float64))[0]))
        vector = self._inner.vector(now)
        return now.nameless(vector.with_values(part_of(self._part, vector.values)))
