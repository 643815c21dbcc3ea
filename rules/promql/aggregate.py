"""Aggregations: sum, avg, min, max, count, group, stddev, stdvar, quantile by group."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from rules.arrays import Bools, Floats, Rows, every
from rules.labels import METADATA, LabelTable
from rules.promql import floats
from rules.promql.grouping import Grouping, Rectangle, grouped, justified
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.vector import Vector

_FEW: Final = 16
"""Groups up to which a long loop over members runs on plain numbers: cheaper than array calls on so few lanes."""


class Aggregation(Node):
    """`op by (…) (inner)`, one value a group."""

    def __init__(self, op: str, inner: Node, parameter: Node | None, names: tuple[str, ...], *, without: bool) -> None:
        super().__init__((inner,) if parameter is None else (inner, parameter))
        self._op = op
        self._inner, self._parameter = inner, parameter
        self._names, self._without = names, without
        self._grouping: tuple[LabelTable, Grouping] | None = None

    def compute(self, now: Pass) -> Vector:
        parameter = 0.0 if self._parameter is None else self._parameter.scalar(now)
        inner = self._inner.vector(now)
        grouping = self._groups(inner.labels)
        if inner.present is None and len(grouping.rectangles) == 1:  # everything there, all groups alike
            values, _ = self._of(grouping.rectangles[0], inner, parameter)
            return Vector(grouping.labels, values, None, self._marks(inner, grouping))
        result, counts = self._reduced(grouping, inner, parameter)
        present = counts > 0
        return Vector(grouping.labels, result, None if every(present) else present, self._marks(inner, grouping))

    def _marks(self, inner: Vector, grouping: Grouping) -> Bools | bool:
        """Groups that keep a name loose it at the end where one member does."""
        if inner.marked is False or self._without or not set(self._names) & set(METADATA):
            return False
        marked: Bools = np.bincount(grouping.group_of, inner.marks & inner.mask, grouping.labels.size) > 0
        return marked

    def _groups(self, labels: LabelTable) -> Grouping:
        if self._grouping is None or self._grouping[0] is not labels:
            self._grouping = labels, grouped(labels, self._names, without=self._without)
        return self._grouping[1]

    def _reduced(self, grouping: Grouping, inner: Vector, parameter: float) -> tuple[Floats, Rows]:
        size = grouping.labels.size
        result, counts = np.empty(size), np.zeros(size, dtype=np.int64)
        for rectangle in grouping.rectangles:
            result[rectangle.groups], counts[rectangle.groups] = self._of(rectangle, inner, parameter)
        return result, counts

    def _of(self, rectangle: Rectangle, inner: Vector, parameter: float) -> tuple[Floats, Rows]:
        """Each group's value and how many members it has now."""
        values, there = rectangle.read(inner)
        counts = rectangle.counts if there is None else np.count_nonzero(there, axis=0)
        if self._op == "quantile":
            return _quantile(values, there, counts, parameter), counts
        return REDUCE[self._op](values, there, counts), counts


def _sum(values: Floats, there: Bools | None, _: Rows) -> Floats:
    return floats.total(values if there is None else np.where(there, values, 0.0))


def _average(values: Floats, there: Bools | None, counts: Rows) -> Floats:
    values, counts = justified(values, there)
    if there is not None:
        values = np.where(np.arange(len(values))[:, None] < counts, values, 0.0)
    return floats.mean(values, np.maximum(counts, 1).astype(np.float64))


def _minimum(values: Floats, there: Bools | None, _: Rows) -> Floats:
    lowest: Floats = np.fmin.reduce(values if there is None else np.where(there, values, np.nan), axis=0)
    return lowest


def _maximum(values: Floats, there: Bools | None, _: Rows) -> Floats:
    highest: Floats = np.fmax.reduce(values if there is None else np.where(there, values, np.nan), axis=0)
    return highest


def _count(_: Floats, __: Bools | None, counts: Rows) -> Floats:
    return counts.astype(np.float64)


def _group(_: Floats, __: Bools | None, counts: Rows) -> Floats:
    return np.ones(len(counts))


def _variance(values: Floats, there: Bools | None, _: Rows) -> Floats:
    """Welford's way, member by member, as Prometheus does it across series."""
    values, counts = justified(values, there)
    if values.shape[1] <= _FEW < len(values):
        columns = zip(values.T, counts.tolist(), strict=True)
        return np.array([_welford(column[:count].tolist()) for column, count in columns])
    average = values[0].copy()
    squares = np.where(np.isfinite(average), 0.0, np.nan)
    for number in range(1, len(values)):
        delta = values[number] - average
        moved = average + delta / (number + 1.0)
        inside = number < counts
        squares = np.where(inside, squares + delta * (values[number] - moved), squares)
        average = np.where(inside, moved, average)
    return squares / np.maximum(counts, 1)


def _welford(values: list[float]) -> float:
    if not values:
        return math.nan
    average, squares = values[0], 0.0 if math.isfinite(values[0]) else math.nan
    for number, value in enumerate(values[1:], 2):
        delta = value - average
        average += delta / number
        squares += delta * (value - average)
    return squares / len(values)


def _deviation(values: Floats, there: Bools | None, counts: Rows) -> Floats:
    return np.sqrt(_variance(values, there, counts))


def _quantile(values: Floats, there: Bools | None, counts: Rows, rank: float) -> Floats:
    known = values if there is None else np.where(there, values, np.nan)
    nans = np.count_nonzero(np.isnan(known), axis=0) - (len(values) - counts)
    return floats.interpolated(np.sort(known, axis=0), nans.astype(np.float64), counts.astype(np.float64), rank)


REDUCE: Final[Mapping[str, Callable[[Floats, Bools | None, Rows], Floats]]] = MappingProxyType(
    {
        "sum": _sum,
        "avg": _average,
        "min": _minimum,
        "max": _maximum,
        "count": _count,
        "group": _group,
        "stdvar": _variance,
        "stddev": _deviation,
    }
)
"""Aggregations without a parameter, of `[member][group]`."""
