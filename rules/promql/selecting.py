"""Aggregations that choose or rename: topk, bottomk, count_values."""

import math
from typing import Final

import numpy as np

from rules.labels import LabelTable
from rules.promql.errors import EvaluationError
from rules.promql.grouping import Grouping, grouped
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.vector import Vector

_LARGEST: Final = 1 << 63


class Extremes(Node):
    """`topk(k, inner) by (…)` and `bottomk`: the k highest or lowest of each group, with their own labels."""

    def __init__(self, inner: Node, parameter: Node, names: tuple[str, ...], *, without: bool, highest: bool) -> None:
        super().__init__((inner, parameter))
        self._inner, self._parameter = inner, parameter
        self._names, self._without, self._highest = names, without, highest
        self._grouping: tuple[LabelTable, Grouping] | None = None

    def compute(self, now: Pass) -> Vector:
        parameter = self._parameter.scalar(now)
        inner = self._inner.vector(now)
        if parameter < 1:
            return inner.where(np.zeros(inner.labels.size, dtype=np.bool_))
        if math.isnan(parameter):
            raise EvaluationError("Parameter value is NaN")
        if parameter >= _LARGEST:
            raise EvaluationError(f"Scalar value {parameter} overflows int64")
        if self._grouping is None or self._grouping[0] is not inner.labels:
            self._grouping = inner.labels, grouped(inner.labels, self._names, without=self._without)
        return self._chosen(inner, self._grouping[1], int(parameter))

    def _chosen(self, inner: Vector, grouping: Grouping, wanted: int) -> Vector:
        rows = np.flatnonzero(inner.mask)
        values, groups = inner.values[rows], grouping.group_of[rows]
        order = np.lexsort((-values if self._highest else values, np.isnan(values), groups))
        ranked = groups[order]
        place = np.arange(len(rows)) - np.searchsorted(ranked, ranked)
        kept = np.zeros(inner.labels.size, dtype=np.bool_)
        kept[rows[order[place < wanted]]] = True
        return Vector(inner.labels, inner.values, kept)


class CountValues(Node):
    """`count_values("label", inner) by (…)`: how often each value occurs; its label sets follow from the values."""

    def __init__(self, inner: Node, label: str, names: tuple[str, ...], *, without: bool) -> None:
        super().__init__((inner,))
        self._inner, self._label = inner, label
        self._names, self._without = names, without

    def compute(self, now: Pass) -> Vector:
        inner = self._inner.vector(now).dense()
        strings = inner.labels.strings
        bits, inverse = np.unique(inner.values.view(np.uint64), return_inverse=True)  # bits tell minus zero from zero
        written = [strings.code(plain_number(value)) for value in bits.view(np.float64).tolist()]
        codes = np.array(written, dtype=np.int32)[inverse]
        named = inner.labels.put({self._label: codes})
        names = self._names if self._without else (*self._names, self._label)
        grouping = grouped(named, names, without=self._without)
        counts = np.bincount(grouping.group_of, minlength=grouping.labels.size).astype(np.float64)
        return Vector(grouping.labels, counts, None).checked()


def plain_number(value: float) -> str:
    """The shortest decimal that reads back as the value, never with an exponent (Go's 'f' format)."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return np.format_float_positional(value, trim="-")
