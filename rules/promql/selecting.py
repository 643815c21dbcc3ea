"""Aggregations that choose or rename: topk, bottomk, limitk, limit_ratio, count_values."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from rules.arrays import Bools, Floats, Rows
from rules.labels import LabelTable
from rules.promql.errors import EvaluationError
from rules.promql.grouping import Grouping, grouped
from rules.promql.heap import survivors
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.sampling import offsets
from rules.promql.vector import Vector

_LARGEST: Final = 1 << 63


class Choosing(Node):
    """Some elements of each group, with their own labels."""

    def __init__(self, inner: Node, parameter: Node, names: tuple[str, ...], *, without: bool) -> None:
        super().__init__((inner, parameter))
        self._inner, self._parameter = inner, parameter
        self._names, self._without = names, without
        self._grouping: tuple[LabelTable, Grouping] | None = None

    def compute(self, now: Pass) -> Vector:
        parameter = self._parameter.scalar(now)
        inner = self._inner.vector(now)
        if self._grouping is None or self._grouping[0] is not inner.labels:
            self._grouping = inner.labels, grouped(inner.labels, self._names, without=self._without)
        return self.chosen(inner, self._grouping[1], parameter)

    def chosen(self, inner: Vector, grouping: Grouping, parameter: float) -> Vector:
        """The elements that stay. Raises `EvaluationError` where the parameter is none."""
        raise NotImplementedError


def _kept(inner: Vector, rows: Rows) -> Vector:
    """These rows, in this order."""
    present = np.zeros(inner.labels.size, dtype=np.bool_)
    present[rows] = True
    return Vector(inner.labels, inner.values, present, inner.marked, rows)


def _places(groups: Rows) -> Rows:
    """Each element's place in its group, where the groups are sorted."""
    return np.arange(len(groups)) - np.searchsorted(groups, groups)


def _same(left: Floats, right: Floats) -> Bools:
    """Equal, or both NaN."""
    same: Bools = (left == right) | (np.isnan(left) & np.isnan(right))
    return same


def _whole(parameter: float) -> int:
    """How many are wanted. Raises `EvaluationError`, as Prometheus does."""
    if math.isnan(parameter):
        raise EvaluationError("Parameter value is NaN")
    if parameter >= _LARGEST:
        raise EvaluationError(f"Scalar value {parameter} overflows int64")
    return max(int(parameter), 0) if math.isfinite(parameter) else 0


class Extremes(Choosing):
    """`topk(k, inner) by (…)` and `bottomk`: the k highest or lowest of each group; among equals as Prometheus's heap."""

    highest = True

    def chosen(self, inner: Vector, grouping: Grouping, parameter: float) -> Vector:
        wanted = _whole(parameter)
        if wanted < 1:
            return inner.nothing()
        rows = np.flatnonzero(inner.mask)
        values, groups = inner.values[rows], grouping.group_of[rows]
        keys = -values if self.highest else values
        order = np.lexsort((keys, np.isnan(values), groups))
        place = _places(groups[order])
        if self._tied(keys[order], place, wanted).any():  # only then the labels' order matters: it costs a sort of them
            order = np.lexsort((inner.labels.ranks[rows], keys, np.isnan(values), groups))
        keys, groups, rows = keys[order], groups[order], rows[order]
        kept = place < wanted
        for first in self._undecided(keys, place, wanted):
            mine = slice(first, int(np.searchsorted(groups, groups[first], side="right")))
            kept[mine] = False
            kept[first + survivors(keys[mine], inner.labels.ranks[rows[mine]], wanted)] = True
        return _kept(inner, rows[kept])

    @staticmethod
    def _tied(keys: Floats, place: Rows, wanted: int) -> Bools:
        """Of each group that is cut: whether the last that stays and the first that goes are equal."""
        out = np.flatnonzero(place == wanted)
        return _same(keys[out - 1], keys[out])

    def _undecided(self, keys: Floats, place: Rows, wanted: int) -> list[int]:
        """Where groups begin of which several equal elements stand at the edge, and better ones before them."""
        out = np.flatnonzero(place == wanted)
        better = ~_same(keys[out - wanted], keys[out - 1])
        firsts: list[int] = (out[self._tied(keys, place, wanted) & better] - wanted).tolist()
        return firsts


class Lowest(Extremes):
    """`bottomk`."""

    highest = False


class Limited(Choosing):
    """`limitk(k, inner) by (…)`: the first k of each group in the order of their labels."""

    def chosen(self, inner: Vector, grouping: Grouping, parameter: float) -> Vector:
        wanted = _whole(parameter)
        rows = np.flatnonzero(inner.mask)
        rows = rows[np.lexsort((inner.labels.ranks[rows], grouping.group_of[rows]))]
        return _kept(inner, rows[_places(grouping.group_of[rows]) < wanted])


class Sampled(Choosing):
    """`limit_ratio(r, inner)`: that share of the elements, by the hash of their labels; a negative one takes the others."""

    _offsets: tuple[LabelTable, Floats] | None = None

    def chosen(self, inner: Vector, grouping: Grouping, parameter: float) -> Vector:  # noqa: ARG002 - groups change nothing
        if math.isnan(parameter):
            raise EvaluationError("Ratio value is NaN")
        ratio = min(max(parameter, -1.0), 1.0)
        if not ratio:
            return inner.nothing()
        if self._offsets is None or self._offsets[0] is not inner.labels:
            self._offsets = inner.labels, offsets(inner.labels)
        offset = self._offsets[1]
        return inner.where(offset < ratio if ratio > 0 else offset >= 1.0 + ratio)


CHOOSING: Final[Mapping[str, Callable[..., Choosing]]] = MappingProxyType(
    {"topk": Extremes, "bottomk": Lowest, "limitk": Limited, "limit_ratio": Sampled}
)


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
