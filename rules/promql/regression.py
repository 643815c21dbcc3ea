"""Lines through samples and smoothed levels: `deriv`, `predict_linear`, `double_exponential_smoothing`."""

import numpy as np

from rules.arrays import Floats, Times
from rules.promql import floats
from rules.promql.errors import EvaluationError
from rules.promql.ranges import Samples


def line(read: Samples, origin: Times) -> tuple[Floats, Floats]:
    """Each row's slope a second and its value at `origin`: least squares with compensated sums, as Prometheus adds them.

    A row that stands still has its line without a sum, and most rows do.
    """
    first = read.values[0]
    level = ((read.values == first) | ~read.valid)[1:].all(axis=0)
    endless = np.isinf(first)
    slope, value = np.where(endless, np.nan, 0.0), np.where(endless, np.nan, first)
    moving = np.flatnonzero(~level)
    if len(moving):
        rest = Samples(read.values[:, moving], read.times[:, moving], read.counts[moving])
        slope[moving], value[moving] = _fitted(rest, origin[moving])
    return slope, value


def _fitted(read: Samples, origin: Times) -> tuple[Floats, Floats]:
    seconds = np.where(read.valid, (read.times - origin) / 1000.0, 0.0)
    terms = read.terms
    counts = read.counts.astype(np.float64)
    sum_x, sum_y, sum_xy, sum_xx = (
        sums + lost for sums, lost in map(_sums, (seconds, terms, seconds * terms, seconds * seconds))
    )
    covariance = sum_xy - sum_x * sum_y / counts
    slope = covariance / (sum_xx - sum_x * sum_x / counts)
    return slope, sum_y / counts - slope * sum_x / counts


def _sums(terms: Floats) -> tuple[Floats, Floats]:
    """Compensated sums whose compensation is dropped where they overflow, as Prometheus does."""
    sums, lost = floats.compensated(terms)
    return sums, np.where(np.isinf(sums), 0.0, lost)


def smoothed(read: Samples, factor: float, trend_factor: float) -> Floats:
    """Double exponential smoothing (Holt's): the level after each row's last sample. Raises `EvaluationError`."""
    for name, value in (("smoothing", factor), ("trend", trend_factor)):
        if value <= 0 or value >= 1:
            short = "sf" if name == "smoothing" else "tf"
            raise EvaluationError(f"invalid {name} factor. Expected: 0 < {short} < 1, got: {value:f}")
    values, valid = read.values, read.valid
    level: Floats = values[0]
    before = np.zeros_like(level)
    trend = values[min(1, len(values) - 1)] - values[0]
    for number in range(1, len(values)):
        if number > 1:
            trend = np.where(valid[number], trend_factor * (level - before) + (1 - trend_factor) * trend, trend)
        new = factor * values[number] + (1 - factor) * (level + trend)
        before, level = np.where(valid[number], level, before), np.where(valid[number], new, level)
    return level
