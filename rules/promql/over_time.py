"""Functions over a range that look at every sample of it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np

from rules.arrays import Bools, Floats
from rules.promql import floats
from rules.promql.ranges import Samples

Result: TypeAlias = tuple[Floats, Bools]
"""Values, and which rows have one."""


def _some(read: Samples) -> Bools:
    return read.counts > 0


def _sum(read: Samples) -> Result:
    return floats.total(read.terms), _some(read)


def _average(read: Samples) -> Result:
    return floats.mean(read.terms, np.maximum(read.counts, 1).astype(np.float64)), _some(read)


def _minimum(read: Samples) -> Result:
    return np.fmin.reduce(np.where(read.valid, read.values, np.nan), axis=0), _some(read)


def _maximum(read: Samples) -> Result:
    return np.fmax.reduce(np.where(read.valid, read.values, np.nan), axis=0), _some(read)


def _count(read: Samples) -> Result:
    return read.counts.astype(np.float64), _some(read)


def _last(read: Samples) -> Result:
    return read.last, _some(read)


def _present(read: Samples) -> Result:
    return np.ones(len(read.counts)), _some(read)


def _variance(read: Samples) -> Result:
    """Welford's way with compensated sums, in Prometheus's order of operations."""
    average = lost_average = squares = lost_squares = np.zeros(len(read.counts))
    valid = read.valid
    for number, values in enumerate(read.values):
        delta = values - (average + lost_average)
        new, new_lost = floats.increments(delta / (number + 1.0), average, lost_average)
        term = delta * (values - (new + new_lost))
        grown, grown_lost = floats.increments(term, squares, lost_squares)
        there = valid[number]
        average, lost_average = np.where(there, new, average), np.where(there, new_lost, lost_average)
        squares, lost_squares = np.where(there, grown, squares), np.where(there, grown_lost, lost_squares)
    return (squares + lost_squares) / np.maximum(read.counts, 1), _some(read)


def _deviation(read: Samples) -> Result:
    variance, some = _variance(read)
    return np.sqrt(variance), some


def _changes(read: Samples) -> Result:
    before, after = read.values[:-1], read.values[1:]
    changed = (after != before) & ~(np.isnan(after) & np.isnan(before)) & read.valid[1:]
    return changed.sum(axis=0).astype(np.float64), _some(read)


def _resets(read: Samples) -> Result:
    fell = (read.values[1:] < read.values[:-1]) & read.valid[1:]
    return fell.sum(axis=0).astype(np.float64), _some(read)


def _two_newest(read: Samples) -> tuple[Floats, Floats, Floats]:
    """The last value, the one before, and the seconds between them."""
    columns = np.arange(len(read.counts))
    last, before = np.maximum(read.counts - 1, 0), np.maximum(read.counts - 2, 0)
    seconds = (read.times[last, columns] - read.times[before, columns]) / 1000.0
    return read.values[last, columns], read.values[before, columns], seconds


def _instant_rate(read: Samples) -> Result:
    last, before, seconds = _two_newest(read)
    return np.where(last < before, last, last - before) / seconds, read.counts >= 2


def _instant_delta(read: Samples) -> Result:
    last, before, _ = _two_newest(read)
    return last - before, read.counts >= 2


def _slope(read: Samples) -> Result:
    """Least squares with compensated sums, time counted from each row's first sample."""
    valid = read.valid
    seconds = np.where(valid, (read.times - read.times[0]) / 1000.0, 0.0)
    terms = read.terms
    with_counts = read.counts.astype(np.float64)
    sum_x, sum_y, sum_xy, sum_xx = (
        sums + lost for sums, lost in map(floats.compensated, (seconds, terms, seconds * terms, seconds * seconds))
    )
    covariance = sum_xy - sum_x * sum_y / with_counts
    slope = covariance / (sum_xx - sum_x * sum_x / with_counts)
    level = ((read.values == read.values[0]) | ~valid).all(axis=0)
    flat = np.where(np.isinf(read.values[0]), np.nan, 0.0)
    return np.where(level, flat, slope), read.counts >= 2


def quantile(read: Samples, rank: float) -> Result:
    """`quantile_over_time`."""
    ordered = np.sort(np.where(read.valid, read.values, np.nan), axis=0)
    nans = (np.isnan(read.values) & read.valid).sum(axis=0).astype(np.float64)
    return floats.interpolated(ordered, nans, read.counts.astype(np.float64), rank), _some(read)


OVER_TIME: Final[Mapping[str, Callable[[Samples], Result]]] = MappingProxyType(
    {
        "sum_over_time": _sum,
        "avg_over_time": _average,
        "min_over_time": _minimum,
        "max_over_time": _maximum,
        "count_over_time": _count,
        "last_over_time": _last,
        "present_over_time": _present,
        "stddev_over_time": _deviation,
        "stdvar_over_time": _variance,
        "changes": _changes,
        "resets": _resets,
        "irate": _instant_rate,
        "idelta": _instant_delta,
        "deriv": _slope,
    }
)
