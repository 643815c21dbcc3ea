"""Classic histograms: `histogram_quantile`, `histogram_fraction`, `histogram_quantiles` over series with `le`.

The buckets of one histogram lie in a column, lowest bound first; what is repaired and interpolated is so in Prometheus's
order of operations, all histograms together.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rules.arrays import Bools, Floats, Rows
from rules.labels import LabelTable
from rules.promql.grouping import rectangles
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.vector import Vector
from rules.templates.gofmt import general

BUCKET: Final = "le"
TOLERANCE: Final = 1e-12
"""Relative difference of two buckets' counts that is a matter of rounding (Prometheus's `smallDeltaTolerance`)."""


@dataclass(slots=True, eq=False)
class Histograms:
    """Which rows of a label table are the buckets of which histogram."""

    labels: LabelTable
    """One row a histogram, without `le`."""
    columns: list[tuple[Rows, Rows, Bools]]
    """Histograms of about as many buckets each: their numbers, `[bucket][histogram]` rows, and the cells that hold one."""
    bounds: Floats
    """Of each row of the table."""

    @classmethod
    def of(cls, labels: LabelTable) -> "Histograms":
        """Sort the rows; one whose `le` is no number is no bucket."""
        codes, inverse = np.unique(labels.codes(BUCKET), return_inverse=True)
        bounds = np.array([_bound(labels.strings.values[code]) for code in codes.tolist()] or [0.0])[inverse]
        rows = np.flatnonzero(~np.isnan(bounds))
        rows = rows[np.argsort(bounds[rows], kind="stable")]
        buckets = labels.take(rows).drop((BUCKET,))
        _, first, group_of = np.unique(buckets.hashes, return_index=True, return_inverse=True)
        columns = []
        for rectangle in rectangles(group_of, len(first)):
            filled = np.ones(rectangle.rows.shape, dtype=np.bool_) if rectangle.filled is None else rectangle.filled
            columns.append((rectangle.groups, rows[rectangle.rows], filled))
        return cls(buckets.take(first), columns, bounds)


def _bound(text: str) -> float:
    """Go's reading of a number; NaN where it is none."""
    try:
        return math.nan if "_" in text or text != text.strip() else float(text)
    except ValueError:
        return math.nan


@dataclass(slots=True, eq=False)
class Buckets:
    """Bounds and cumulated counts, `[bucket][histogram]`; each histogram's own number of buckets counts from the top."""

    bounds: Floats
    counts: Floats
    sizes: Rows

    @property
    def last(self) -> tuple[Rows, Rows]:
        """Where each histogram's highest bucket is."""
        return np.maximum(self.sizes - 1, 0), np.arange(len(self.sizes))

    def repaired(self) -> "Buckets":
        """Counts that never fall: differences that are rounding are evened out, others levelled to the highest before."""
        counts = self.counts.copy()
        before = counts[0].copy()
        for number in range(1, len(counts)):
            current = counts[number]
            level = (current == before) | _almost_equal(before, current) | (current < before)
            counts[number] = np.where(level, before, current)
            before = counts[number]
        return Buckets(self.bounds, counts, self.sizes)


def _almost_equal(left: Floats, right: Floats) -> Bools:
    """Prometheus's `almost.Equal`, of values that differ."""
    total, distance = np.abs(left) + np.abs(right), np.abs(left - right)
    smallest = np.finfo(np.float64).tiny
    tiny = (left == 0) | (right == 0) | (total < smallest)
    near: Bools = np.where(
        tiny, distance < TOLERANCE * smallest, distance / np.minimum(total, np.finfo(np.float64).max) < TOLERANCE
    )
    return near | (np.isnan(left) & np.isnan(right))


def read(vector: Vector, rows: Rows, filled: Bools, bounds: Floats) -> Buckets:
    """The buckets that are there now, those of one bound added up."""
    there = filled & vector.mask[rows]
    sizes = np.count_nonzero(there, axis=0)
    order = np.argsort(~there, axis=0, kind="stable")
    limits = np.take_along_axis(bounds[rows], order, axis=0)
    counts = np.take_along_axis(vector.values[rows], order, axis=0)
    inside = np.arange(len(rows))[:, None] < sizes
    again = (limits[1:] == limits[:-1]) & inside[1:]
    return _coalesced(Buckets(limits, counts, sizes), inside) if again.any() else Buckets(limits, counts, sizes)


def _coalesced(buckets: Buckets, inside: Bools) -> Buckets:
    """Buckets of the same bound as one."""
    limits, counts = buckets.bounds.copy(), buckets.counts.copy()
    columns = np.arange(limits.shape[1])
    place = np.zeros(limits.shape[1], dtype=np.int64)
    for number in range(1, len(limits)):
        same = inside[number] & (buckets.bounds[number] == limits[place, columns])
        counts[place[same], columns[same]] += buckets.counts[number, same]
        fresh = inside[number] & ~same
        place[fresh] += 1
        limits[place[fresh], columns[fresh]] = buckets.bounds[number, fresh]
        counts[place[fresh], columns[fresh]] = buckets.counts[number, fresh]
    return Buckets(limits, counts, np.where(buckets.sizes > 0, place + 1, 0))


def quantile(buckets: Buckets, rank: float) -> Floats:
    """The quantile of each histogram."""
    width = len(buckets.sizes)
    if math.isnan(rank) or not 0 <= rank <= 1:
        return np.full(width, math.nan if math.isnan(rank) else math.copysign(math.inf, rank))
    open_ended = buckets.bounds[buckets.last] == np.inf
    buckets = buckets.repaired()
    observations = buckets.counts[buckets.last]
    wanted = rank * observations
    place = _first_reaching(buckets, wanted)
    result = _interpolated(buckets, place, wanted)
    columns = np.arange(width)
    result = np.where((place == 0) & (buckets.bounds[0] <= 0), buckets.bounds[0], result)
    highest = buckets.bounds[np.maximum(buckets.sizes - 2, 0), columns]
    result = np.where(place == buckets.sizes - 1, highest, result)
    nothing = ~open_ended | (buckets.sizes < 2) | (observations == 0)
    return np.where(nothing, np.nan, result)


def _first_reaching(buckets: Buckets, wanted: Floats) -> Rows:
    """The first bucket but the last whose count reaches the rank, found by halving as Go's `sort.Search` does."""
    low, high = np.zeros_like(buckets.sizes), np.maximum(buckets.sizes - 1, 0)
    columns = np.arange(len(low))
    while (searching := low < high).any():
        middle = (low + high) // 2
        reached = buckets.counts[np.minimum(middle, len(buckets.counts) - 1), columns] >= wanted
        low, high = np.where(searching & ~reached, middle + 1, low), np.where(searching & reached, middle, high)
    return low


def _interpolated(buckets: Buckets, place: Rows, wanted: Floats) -> Floats:
    columns = np.arange(len(place))
    before = np.maximum(place - 1, 0)
    start = np.where(place > 0, buckets.bounds[before, columns], 0.0)
    below = np.where(place > 0, buckets.counts[before, columns], 0.0)
    end, count = buckets.bounds[place, columns], buckets.counts[place, columns]
    inside = np.where(place > 0, wanted - below, wanted)
    held = np.where(place > 0, count - below, count)
    return start + (end - start) * (inside / held)


def fraction(buckets: Buckets, lower: float, upper: float) -> Floats:
    """Which share of the observations lies between two values, estimated within buckets."""
    count = buckets.counts[buckets.last]
    nothing = (buckets.bounds[buckets.last] != np.inf) | (buckets.sizes == 0) | (count == 0)
    if math.isnan(lower) or math.isnan(upper):
        return np.full(len(count), np.nan)
    if lower >= upper:
        return np.where(nothing, np.nan, 0.0)
    result = (_rank_of(buckets, upper, count) - _rank_of(buckets, lower, count)) / count
    return np.where(nothing, np.nan, result)


def _rank_of(buckets: Buckets, value: float, count: Floats) -> Floats:
    """How many observations lie below a value."""
    width = len(buckets.sizes)
    ranks, known = np.zeros(width), np.zeros(width, dtype=np.bool_)
    below = np.zeros(width)
    start = np.where(buckets.bounds[0] <= 0, -np.inf, 0.0)
    for number, (end, reached) in enumerate(zip(buckets.bounds, buckets.counts, strict=True)):
        inside = number < buckets.sizes
        if number:
            start = buckets.bounds[number - 1]
        at_edge = inside & ~known & (start >= value)
        ranks, known = np.where(at_edge, below, ranks), known | at_edge
        within = inside & ~known & (start < value) & (end > value)
        estimate = np.where(start == -np.inf, reached, below + (reached - below) * (value - start) / (end - start))
        ranks, known = np.where(within, estimate, ranks), known | within
        below = np.where(inside, reached, below)
    return np.where(~known | (ranks > count), count, ranks)


class HistogramFunction(Node):
    """A function of whole histograms."""

    def __init__(self, inner: Node, parameters: Sequence[Node]) -> None:
        super().__init__((inner, *parameters))
        self._inner, self._parameters = inner, tuple(parameters)
        self._known: tuple[LabelTable, Histograms] | None = None

    def over(self, now: Pass, function: Callable[..., Floats], *parameters: float) -> Vector:
        """The function over every histogram; its name stays for the caller to drop."""
        vector = self._inner.vector(now)
        if self._known is None or self._known[0] is not vector.labels:
            self._known = vector.labels, Histograms.of(vector.labels)
        found = self._known[1]
        values, present = np.zeros(found.labels.size), np.zeros(found.labels.size, dtype=np.bool_)
        for groups, rows, filled in found.columns:
            buckets = read(vector, rows, filled, found.bounds)
            values[groups], present[groups] = function(buckets, *parameters), buckets.sizes > 0
        return Vector(found.labels, values, present)


class Quantile(HistogramFunction):
    """`histogram_quantile(rank, buckets)`."""

    def __init__(self, inner: Node, rank: Node) -> None:
        super().__init__(inner, (rank,))

    def compute(self, now: Pass) -> Vector:
        return now.nameless(self.over(now, quantile, self._parameters[0].scalar(now)))


class Fraction(HistogramFunction):
    """`histogram_fraction(lower, upper, buckets)`."""

    def __init__(self, inner: Node, lower: Node, upper: Node) -> None:
        super().__init__(inner, (lower, upper))

    def compute(self, now: Pass) -> Vector:
        lower, upper = (parameter.scalar(now) for parameter in self._parameters)
        return now.nameless(self.over(now, fraction, lower, upper))


class Quantiles(HistogramFunction):
    """`histogram_quantiles(buckets, "label", rank, …)`: each rank under a label of its own."""

    def __init__(self, inner: Node, label: str, ranks: Sequence[Node]) -> None:
        super().__init__(inner, ranks)
        self._label = label
        self._joined: tuple[LabelTable, tuple[str, ...], LabelTable] | None = None

    def compute(self, now: Pass) -> Vector:
        ranks = [parameter.scalar(now) for parameter in self._parameters]
        pieces = [self.over(now, quantile, rank) for rank in ranks]
        labels = self._labels(pieces[0].labels, tuple(_openmetrics(rank) for rank in ranks))
        values = np.concatenate([piece.values for piece in pieces])
        result = now.nameless(Vector(labels, values, np.concatenate([piece.mask for piece in pieces])))
        return result if now.delays_names else result.checked()  # the same rank twice

    def _labels(self, labels: LabelTable, ranks: tuple[str, ...]) -> LabelTable:
        if self._joined is None or self._joined[0] is not labels or self._joined[1] != ranks:
            tables = [labels.constant({self._label: rank}) for rank in ranks]
            self._joined = labels, ranks, LabelTable.concat(labels.strings, tables)
        return self._joined[2]


def _openmetrics(value: float) -> str:
    """A number as OpenMetrics writes label values: whole ones with a point."""
    text = general(value or 0.0, -1)  # minus zero has no sign there
    return text if not math.isfinite(value) or "." in text or "e" in text else f"{text}.0"
