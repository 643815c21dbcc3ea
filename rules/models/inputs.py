"""A model's inputs, compiled: an instant expression becomes `Series`, a range selector `History`."""

from typing import Final, Protocol

import numpy as np

from rules.arrays import Rows
from rules.labels import LabelTable
from rules.models.port import History, Input, Series
from rules.promql.errors import ExpressionError
from rules.promql.node import Node
from rules.promql.parse import parse
from rules.promql.passes import Pass
from rules.promql.plan import Planner
from rules.promql.ranges import row_range, samples
from rules.promql.selectors import Selection
from rules.promql.tree import Call, Select, SelectRange
from rules.promql.vector import Vector

_READS_EVERY_SAMPLE: Final = "count_over_time"
"""Planning this over a range makes the window hold every sample of it."""


class Reader(Protocol):
    """One input of one model."""

    def read(self, now: Pass) -> Input:
        """What it is at the pass. Raises `EvaluationError`."""


class InstantReader:
    """An expression that yields one value a series."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def read(self, now: Pass) -> Series:
        value = self._node.evaluate(now)
        if not isinstance(value, Vector):
            value = Vector(LabelTable(now.window.strings, {}, 1), np.array([value]), None)
        at = np.full(value.labels.size, now.at_ms, dtype=np.int64)
        return Series(value.labels, value.values, value.mask, at)


class PlainReader:
    """One metric, with the times of its samples."""

    def __init__(self, node: Node, select: Select) -> None:
        self._node = node
        self._selection = Selection(select)

    def read(self, now: Pass) -> Series:
        vector = self._node.vector(now)
        times = [np.empty(0, dtype=np.int64)]
        for block, selected in self._selection.blocks(now):
            selected.refresh(block, self._selection.select.matchers)
            times.append(now.past(block, selected.all_rows(block), now.at_ms)[2])
        return Series(vector.labels, vector.values, vector.mask, np.concatenate(times))


class RangeReader:
    """A range selector of one metric."""

    def __init__(self, tree: SelectRange) -> None:
        """Raises `ExpressionError` where it does not name its metric."""
        if tree.select.name is None:
            raise ExpressionError("a model's range must name its metric")
        self._tree = tree
        self._selection = Selection(tree.select)

    def read(self, now: Pass) -> History:
        found = self._selection.blocks(now)
        if not found:
            none = np.empty((0, 0))
            empty: Rows = np.empty(0, dtype=np.int64)
            return History(LabelTable(now.window.strings, {}, 0), none, none.astype(np.int64), empty)
        ((block, selected),) = found
        labels = selected.refresh(block, self._tree.select.matchers)
        rows = row_range(now, block, selected.rows, self._tree.range_ms, self._tree.select.offset_ms)
        read = samples(now, rows)
        return History(labels, read.values, read.times, np.maximum(read.counts, 0))


def reader_of(expr: str, planner: Planner) -> Reader:
    """The reader of an input. Raises `ExpressionError`."""
    tree = parse(expr)
    if isinstance(tree, SelectRange):
        planner.node(Call(_READS_EVERY_SAMPLE, (tree,)))
        return RangeReader(tree)
    if isinstance(tree, Select) and tree.name is not None and not tree.offset_ms:
        return PlainReader(planner.node(tree), tree)
    return InstantReader(planner.node(tree))
