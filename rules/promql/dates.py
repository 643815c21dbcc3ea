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
_EPOCH_DAYS: Final = 719_468
"""Days from 0000-03-01, where years that begin in March have leap days at their end, to 1970-01-01."""
_LENGTHS: Final = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)


def _whole_seconds(values: Floats) -> Times:
    """Towards zero; what fits into no 64 bits becomes the least of them, as on amd64."""
    fits = (values >= -(2.0**63)) & (values < 2.0**63)
    return np.where(fits, np.where(fits, values, 0.0).astype(np.int64), np.iinfo(np.int64).min)


def _civil(seconds: Times) -> tuple[Times, Times, Times]:
    """Year, month and day of the month (the algorithm of H. Hinnant's `civil_from_days`)."""
    days = seconds // _DAY + _EPOCH_DAYS
    era = days // _ERA_DAYS
    day_of_era = days - era * _ERA_DAYS
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = np.where(shifted < 10, shifted + 3, shifted - 9)
    year: Times = year_of_era + era * 400 + (month <= 2)
    return year, month, day_of_year - (153 * shifted + 2) // 5 + 1


def _leap(year: Times) -> Times:
    leap: Times = ((year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))).astype(np.int64)
    return leap


def _minute(seconds: Times) -> Times:
    return seconds // 60 % 60


def _hour(seconds: Times) -> Times:
    return seconds // 3600 % 24


def _weekday(seconds: Times) -> Times:
    return (seconds // _DAY + 4) % 7


def _day(seconds: Times) -> Times:
    return _civil(seconds)[2]


def _month(seconds: Times) -> Times:
    return _civil(seconds)[1]


def _year(seconds: Times) -> Times:
    return _civil(seconds)[0]


def _yearday(seconds: Times) -> Times:
    year, month, day = _civil(seconds)
    before = np.concatenate([[0], np.cumsum(_LENGTHS)])[month - 1]
    yearday: Times = before + day + np.where(month > 2, _leap(year), 0)
    return yearday


def _month_days(seconds: Times) -> Times:
    year, month, _ = _civil(seconds)
    days: Times = _LENGTHS[month - 1] + np.where(month == 2, _leap(year), 0)
    return days


_PARTS: Final[Mapping[str, Callable[[Times], Times]]] = MappingProxyType(
    {
        "minute": _minute,
        "hour": _hour,
        "day_of_week": _weekday,
        "day_of_month": _day,
        "day_of_year": _yearday,
        "days_in_month": _month_days,
        "month": _month,
        "year": _year,
    }
)


class Date(OneElement):
    """A part of the date that each value is in Unix seconds; of the evaluation's time where there is no vector."""

    def __init__(self, part: str, inner: Node | None) -> None:
        super().__init__(() if inner is None else (inner,))
        self._part, self._inner = _PARTS[part], inner

    def compute(self, now: Pass) -> Vector:
        if self._inner is None:
            return self.element(now, float(self._part(np.array([now.at_ms // 1000]))[0]))
        vector = self._inner.vector(now)
        return now.nameless(vector.with_values(self._part(_whole_seconds(vector.values)).astype(np.float64)))
