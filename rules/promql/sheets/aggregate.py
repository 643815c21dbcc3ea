"""Aggregations of all lines at once: the groups of all lines side by side are the columns of one rectangle."""

from typing import Final

import numpy as np

from rules.arrays import Bools, Floats, Rows, every
from rules.labels import LabelTable
from rules.promql.aggregate import REDUCE
from rules.promql.grouping import Grouping, Rectangle, grouped
from rules.promql.matching import AnyArray
from rules.promql.passes import Pass
from rules.promql.sheets.sheet import Sheet, SheetNode

STACKED: Final = frozenset(REDUCE)
"""Aggregations without a parameter."""


class AggregateSheet(SheetNode):
    """`op by (…) (inner)`, one value a group and line; metric names are no labels to group by."""

    def __init__(self, op: str, inner: SheetNode, names: tuple[str, ...], *, without: bool) -> None:
        super().__init__((inner,))
        self._inner, self._reduce = inner, REDUCE[op]
        self._names, self._without = names, without
        self._grouping: tuple[LabelTable, Grouping] | None = None

    def compute(self, now: Pass) -> Sheet | None:
        inner = self._inner.evaluate(now)
        if inner is None:
            return None
        grouping = self._groups(inner.nameless)
        lines = max(len(inner.values), 1 if inner.present is None else len(inner.present))
        result = np.empty((lines, grouping.labels.size))
        counts: Rows = np.zeros((lines, grouping.labels.size), dtype=np.int64)
        for rectangle in grouping.rectangles:
            values, there = _read(rectangle, inner, lines)
            of_each = np.tile(rectangle.counts, lines) if there is None else np.count_nonzero(there, axis=0)
            shape = lines, len(rectangle.groups)
            result[:, rectangle.groups] = self._reduce(values, there, of_each).reshape(shape)
            counts[:, rectangle.groups] = of_each.reshape(shape)
        present = None if inner.present is None else counts > 0
        return Sheet((grouping.labels,), result, None if present is None or every(present.ravel()) else present)

    def _groups(self, labels: LabelTable) -> Grouping:
        if self._grouping is None or self._grouping[0] is not labels:
            self._grouping = labels, grouped(labels, self._names, without=self._without)
        return self._grouping[1]


def _read(rectangle: Rectangle, inner: Sheet, lines: int) -> tuple[Floats, Bools | None]:
    """The members' values, `[member][line, group]`, and which are present (None: all)."""
    values = _turned(rectangle, inner.values, lines)
    filled = rectangle.filled
    if inner.present is None:
        return values, None if filled is None else np.tile(filled, lines)
    present = _turned(rectangle, inner.present, lines)
    return values, present if filled is None else present & np.tile(filled, lines)


def _turned(rectangle: Rectangle, cells: AnyArray, lines: int) -> AnyArray:
    """Members become the first dimension; lines and groups together the second."""
    members, groups = rectangle.rows.shape
    if len(cells) < lines:
        cells = np.repeat(cells, lines, axis=0)
    if rectangle.adjacent:
        return np.ascontiguousarray(cells.reshape(lines, groups, members).transpose(2, 0, 1)).reshape(members, -1)
    return np.ascontiguousarray(cells[:, rectangle.rows].transpose(1, 0, 2)).reshape(members, -1)
