"""Arithmetic with Prometheus's own rounding: compensated sums, means that survive overflow, Go's minimum and maximum."""

import math
from collections.abc import Sequence

import numpy as np

from rules.arrays import Floats

_FEW = 32
"""Terms up to which plain numbers cost less than array calls."""
_WIDE = 256
"""Columns from which a loop over few terms costs less than looking at all of them at once."""


def compensated(terms: Floats) -> tuple[Floats, Floats]:
    """Kahan–Neumaier sums down the columns of `[term][column]`, in order: sums and compensations, still apart.

    TwoSum's error is exact whichever operand is larger, so these are the bits of the scalar loop; a compensation is
    meaningless where its sum is infinite.
    """
    return _wide(terms) if len(terms) <= _FEW and terms.shape[1] >= _WIDE else _long(terms)


def _wide(terms: Floats) -> tuple[Floats, Floats]:
    """Term by term: half the cost of `accumulate` where a term is a long row."""
    sums, after, added, errors = (np.empty(terms.shape[1]) for _ in range(4))
    lost = np.zeros(terms.shape[1])
    sums[:] = terms[0]
    for number in range(1, len(terms)):
        term = terms[number]
        np.add(sums, term, out=after)
        np.subtract(after, sums, out=added)
        np.subtract(after, added, out=errors)
        np.subtract(sums, errors, out=errors)
        np.subtract(term, added, out=added)
        errors += added
        if number > 1:
            lost += errors
        else:
            lost[:] = errors
        sums, after = after, sums
    return sums, lost


def _long(terms: Floats) -> tuple[Floats, Floats]:
    """All terms at once: `accumulate` adds strictly in order."""
    sums = np.add.accumulate(terms, axis=0)
    before, after = sums[:-1], sums[1:]
    added = after - before
    errors = np.subtract(after, added)
    np.subtract(before, errors, out=errors)
    np.subtract(terms[1:], added, out=added)
    errors += added
    # reduce adds row after row, except down a lone column, which it would sum pairwise
    lost = np.add.reduce(errors, axis=0) if terms.shape[1] > 1 else np.add.accumulate(errors, axis=0)[-1:].sum(axis=0)
    return sums[-1], lost


def total(terms: Floats) -> Floats:
    """Compensated sums, column by column."""
    if terms.size <= _FEW:
        return np.array([_one_total(column) for column in terms.T.tolist()])
    sums, lost = compensated(terms)
    if math.isfinite(np.add.reduce(lost)):  # no sum is infinite: its compensation would not be a number
        sums += lost
        return sums
    result: Floats = np.where(np.isinf(sums), sums, sums + lost)
    return result


def _one_total(terms: Sequence[float]) -> float:
    """The same of plain numbers."""
    sum_, lost = terms[0] if terms else 0.0, 0.0
    for value in terms[1:]:
        sum_, lost = increment(value, sum_, lost)
    return sum_ if math.isinf(sum_) else sum_ + lost


def mean(terms: Floats, counts: Floats) -> Floats:
    """Means down the columns; absent terms are zero and not counted."""
    sums, lost = compensated(terms)
    means = sums / counts + lost / counts
    overflown = np.isinf(sums)
    if overflown.any():
        means = np.where(overflown, sums, means)
        for column in np.flatnonzero(overflown & np.isfinite(terms).all(axis=0)).tolist():
            means[column] = _incremental_mean(terms[: int(counts[column]), column].tolist())
    return means


def increment(value: float, sum_: float, lost: float) -> tuple[float, float]:
    """One step of a compensated sum."""
    result = sum_ + value
    if math.isinf(result):
        return result, 0.0
    if abs(sum_) >= abs(value):
        return result, lost + ((sum_ - result) + value)
    return result, lost + ((value - result) + sum_)


def increments(values: Floats, sums: Floats, lost: Floats) -> tuple[Floats, Floats]:
    """One step of many compensated sums at once."""
    results = sums + values
    added = results - sums
    errors = (sums - (results - added)) + (values - added)
    return results, np.where(np.isinf(results), 0.0, lost + errors)


def _incremental_mean(values: Sequence[float]) -> float:
    """The mean of finite values whose sum overflows: direct as far as it goes, incremental from there on."""
    sum_, lost, average, incremental = values[0], 0.0, 0.0, False
    for count, value in enumerate(values[1:], 2):
        if not incremental:
            new, new_lost = increment(value, sum_, lost)
            if not math.isinf(new):
                sum_, lost = new, new_lost
                continue
            incremental = True
            average = sum_ / (count - 1)
            lost /= count - 1
        share = (count - 1) / count
        average, lost = increment(value / count, share * average, share * lost)
    return average + lost if incremental else sum_ / len(values) + lost / len(values)


def go_min(left: Floats | float, right: Floats | float) -> Floats:
    """Go's math.Min: minus infinity wins even over NaN."""
    result: Floats = np.where(np.isneginf(left) | np.isneginf(right), -np.inf, np.minimum(left, right))
    return result


def go_max(left: Floats | float, right: Floats | float) -> Floats:
    """Go's math.Max: infinity wins even over NaN."""
    result: Floats = np.where(np.isposinf(left) | np.isposinf(right), np.inf, np.maximum(left, right))
    return result


def interpolated(ordered: Floats, nans: Floats, counts: Floats, quantile: float) -> Floats:
    """The quantile of each column of `[rank][column]`, whose values rise with NaN (as many as `nans`) last.

    Prometheus counts NaN as the smallest value and interpolates linearly between neighbours.
    """
    columns = np.arange(ordered.shape[1])
    if math.isnan(quantile) or not 0 <= quantile <= 1:
        edge = math.nan if math.isnan(quantile) else math.copysign(math.inf, quantile)
        return np.full(len(columns), edge)
    rank = quantile * (counts - 1)
    lower = np.maximum(0.0, np.floor(rank))
    upper = np.minimum(counts - 1, lower + 1)
    weight = rank - np.floor(rank)

    def at(place: Floats) -> Floats:
        index = (place - nans).astype(np.int64)
        return np.where(index < 0, np.nan, ordered[np.maximum(index, 0), columns])

    result: Floats = np.where(weight == 0, at(lower), at(lower) * (1 - weight) + at(upper) * weight)
    return result
