"""`integral(v[…], strategy)`: the area below each row's samples, in seconds; NaN counts as zero."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from rules.arrays import Floats
from rules.promql import floats
from rules.promql.ranges import Samples

LEFT: Final = 0
RIGHT: Final = 1
TRAPEZOIDAL: Final = 2


def integral(read: Samples, parameters: Sequence[float]) -> Floats:
    """Compensated sums in Prometheus's order; a strategy that is none of the three is the trapezoidal one."""
    strategy = parameters[0] if parameters and parameters[0] in {LEFT, RIGHT} else TRAPEZOIDAL
    values = np.where(np.isnan(read.values), 0.0, read.values)
    sums, lost = np.zeros(len(read.counts)), np.zeros(len(read.counts))
    for number in range(1, len(values)):
        height, rest = _height(values[number - 1], values[number], int(strategy))
        seconds = (read.times[number] - read.times[number - 1]) / 1000.0
        new, new_lost = floats.increments(height * seconds, sums, lost + rest * seconds)
        counts = (number < read.counts) & ((height != 0) | (rest != 0))
        sums, lost = np.where(counts, new, sums), np.where(counts, new_lost, lost)
    return np.where(np.isinf(sums), sums, sums + lost)


def _height(before: Floats, after: Floats, strategy: int) -> tuple[Floats, Floats]:
    """The height between two samples, and what rounding took from it."""
    nothing = np.zeros_like(before)
    if strategy != TRAPEZOIDAL:
        return (before if strategy == LEFT else after), nothing
    whole, rest = floats.increments(after, before, nothing)
    halves, halves_rest = floats.increments(after / 2, before / 2, nothing)
    overflown = np.isinf(whole) & np.isfinite(before) & np.isfinite(after)
    return np.where(overflown, halves, whole / 2), np.where(overflown, halves_rest, rest / 2)
