"""Functions over a range that look at every sample of it."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np

from rules.arrays import Bools, Floats
from rules.promql import floats, regression
from rules.promql.integral import integral
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


def _first(read: Samples) -> Result:
    return read.values[0], _some(read)


def _time_of_first(read: Samples) -> Result:
    return read.times[0] / 1000.0, _some(read)


def _time_of_last(read: Samples) -> Result:
    return read.times[np.maximum(read.counts - 1, 0), np.arange(len(read.counts))] / 1000.0, _some(read)


def _time_of(read: Samples, extreme: Floats) -> Result:
    """When the extreme was measured last; where all are NaN, the last of them counts."""
    there = read.valid & ((read.values == extreme) | np.isnan(extreme))
    place = len(read.values) - 1 - there[::-1].argmax(axis=0)
    return read.times[place, np.arange(len(read.counts))] / 1000.0, _some(read)


def _time_of_minimum(read: Samples) -> Result:
    return _time_of(read, _minimum(read)[0])


def _time_of_maximum(read: Samples) -> Result:
    return _time_of(read, _maximum(read)[0])


def _median_deviation(read: Samples) -> Result:
    """The median of the distances from the median; NaN wherever one sample is."""
    valid, counts = read.valid, read.counts.astype(np.float64)
    none = np.zeros(len(counts))
    ordered = np.sort(np.where(valid, read.values, np.nan), axis=0)
    median = floats.interpolated(ordered, none, counts, 0.5)
    distances = np.sort(np.where(valid, np.abs(read.values - median), np.nan), axis=0)
    nans = (np.isnan(read.values) & valid).any(axis=0)
    return np.where(nans, np.nan, floats.interpolated(distances, none, counts, 0.5)), _some(read)


def _slope(read: Samples) -> Result:
    return regression.line(read, read.times[0])[0], read.counts >= 2


def _predicted(read: Samples, parameters: Sequence[float], at_ms: int) -> Result:
    slope, value = regression.line(read, np.full(len(read.counts), at_ms))
    return slope * parameters[0] + value, read.counts >= 2


def _smoothed(read: Samples, parameters: Sequence[float], _: int) -> Result:
    if not _some(read).any():
        return np.zeros(len(read.counts)), _some(read)
    return regression.smoothed(read, *parameters), read.counts >= 2


def _integral(read: Samples, parameters: Sequence[float], _: int) -> Result:
    return integral(read, parameters), _some(read)


def _quantile(read: Samples, parameters: Sequence[float], _: int) -> Result:
    ordered = np.sort(np.where(read.valid, read.values, np.nan), axis=0)
    nans = (np.isnan(read.values) & read.valid).sum(axis=0).astype(np.float64)
    return floats.interpolated(ordered, nans, read.counts.astype(np.float64), parameters[0]), _some(read)


OVER_TIME: Final[Mapping[str, Callable[[Samples], Result]]] = MappingProxyType(
    {
        "sum_over_time": _sum,
        "avg_over_time": _average,
        "min_over_time": _minimum,
        "max_over_time": _maximum,
        "count_over_time": _count,
        "first_over_time": _first,
        "last_over_time": _last,
        "mad_over_time": _median_deviation,
        "ts_of_first_over_time": _time_of_first,
        "ts_of_last_over_time": _time_of_last,
        "ts_of_min_over_time": _time_of_minimum,
        "ts_of_max_over_time": _time_of_maximum,
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

PARAMETRIC: Final[Mapping[str, Callable[[Samples, Sequence[float], int], Result]]] = MappingProxyType(
    {
        "quantile_over_time": _quantile,
        "predict_linear": _predicted,
        "integral": _integral,
        "double_exponential_smoothing": _smoothed,
    }
)


def result(function: str, read: Samples, parameters: Sequence[float], at_ms: int) -> Result:
    """The function over every row's samples, at an evaluation of that time."""
    if function in PARAMETRIC:
        return PARAMETRIC[function](read, parameters, at_ms)
    return OVER_TIME[function](read)
