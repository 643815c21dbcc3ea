"""`sort`, `sort_desc`, `sort_by_label`, `sort_by_label_desc`: the order in which a result is shown."""

import re
from functools import cmp_to_key
from typing import Final

import numpy as np

from rules.arrays import Rows
from rules.labels import LabelTable
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.vector import Vector

_CHUNK: Final = re.compile(r"[0-9]+|[^0-9]+")
_INT64: Final = 1 << 63


class Sorted(Node):
    """A vector in an order of its own; NaN comes last."""

    def __init__(self, function: str, inner: Node, names: tuple[str, ...]) -> None:
        super().__init__((inner,))
        self._inner, self._names = inner, names
        self._descending = function.endswith("_desc")
        self._by_label = function.startswith("sort_by_label")
        self._known: tuple[LabelTable, Rows] | None = None

    def compute(self, now: Pass) -> Vector:
        vector = self._inner.vector(now)
        return Vector(vector.labels, vector.values, vector.present, vector.marked, self._order(vector))

    def _order(self, vector: Vector) -> Rows:
        if not self._by_label:
            values = vector.values
            return np.lexsort((-values if self._descending else values, np.isnan(values)))
        if self._known is None or self._known[0] is not vector.labels:
            order = by_label(vector.labels, self._names)
            self._known = vector.labels, order[::-1] if self._descending else order
        return self._known[1]


def by_label(labels: LabelTable, names: tuple[str, ...]) -> Rows:
    """The rows in natural order of these labels' values, equal ones in the order of their whole label sets."""
    values = labels.strings.values
    columns = [[values[code] for code in labels.codes(name).tolist()] for name in names]
    ranks: list[int] = labels.ranks.tolist()

    def compared(left: int, right: int) -> int:
        for column in columns:
            if column[left] != column[right]:
                return -1 if naturally_before(column[left], column[right]) else 1
        return ranks[left] - ranks[right]

    return np.array(sorted(range(labels.size), key=cmp_to_key(compared)), dtype=np.int64)


def naturally_before(left: str, right: str) -> bool:
    """Whether one text stands before another where runs of digits count as numbers (github.com/facette/natsort)."""
    lefts: list[str] = _CHUNK.findall(left)
    rights: list[str] = _CHUNK.findall(right)
    for place, mine in enumerate(lefts):
        if place >= len(rights):
            return False
        theirs = rights[place]
        if _is_number(mine) and _is_number(theirs):
            if int(mine) != int(theirs):
                return int(mine) < int(theirs)
        elif mine != theirs:
            return mine < theirs
        if place == len(lefts) - 1:
            return True
        if place == len(rights) - 1:
            return False
    return False


def _is_number(chunk: str) -> bool:
    return chunk.isascii() and chunk.isdigit() and int(chunk) < _INT64
