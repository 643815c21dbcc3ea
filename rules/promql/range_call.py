"""Calls of functions over ranges."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from rules.arrays import Bools, Floats, every
from rules.promql import over_time
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.ranges import Samples, chunks, row_range, samples
from rules.promql.rates import RATES, Rate
from rules.promql.selectors import Selected, Selection
from rules.promql.tree import SelectRange, Subquery
from rules.promql.vector import Vector
from rules.rollups.buckets import FIELDS
from rules.rollups.keep import Rollups
from rules.window.board import Block
from rules.window.needs import RAW_MS

KEEP_NAMES: Final = frozenset({"last_over_time", "first_over_time"})
"""Functions whose result is a sample of the series itself."""


class RangeCall(Node):
    """`function(metric{…}[range] offset …)`."""

    def __init__(self, function: str, argument: SelectRange, parameters: Sequence[Node] = ()) -> None:
        self._function = function
        self._range_ms, self._offset_ms, self._at = argument.range_ms, argument.select.offset_ms, argument.select.at
        self._rate = Rate(function, self._range_ms, self._offset_ms)
        self._parameters = tuple(parameters)
        self.selection = Selection(argument.select)
        now_and_named = argument.select.at is None and not argument.select.offset_ms
        looks_far = function in FIELDS and argument.range_ms > RAW_MS
        self.rolled = argument.select.name if looks_far and now_and_named else None
        """The metric, where the call looks further back than raw samples of a live engine and rollups can answer it."""
        super().__init__(parameters, reads=self.selection.reads)

    def compute(self, now: Pass) -> Vector:
        rollups = now.window.rollups
        if rollups is not None and rollups.serves(self.rolled, self._function, self._range_ms):
            return self._over_rollups(now, rollups)
        parameters = [parameter.scalar(now) for parameter in self._parameters]
        found = self.selection.blocks(now)
        pieces = []
        for block, selected in found:
            labels = selected.refresh(block, self.selection.select.matchers)
            pieces.append(Vector(labels, *self._over(now, block, selected, parameters)))
        result = pieces[0] if len(pieces) == 1 else self.selection.joined(now, pieces)
        return result if self._function in KEEP_NAMES else now.nameless(result)

    def _over_rollups(self, now: Pass, rollups: Rollups) -> Vector:
        """The same on the edges of buckets, without extrapolation: what falls into the look-back counts."""
        pieces = []
        for block, selected in self.selection.blocks(now):
            labels = selected.refresh(block, self.selection.select.matchers)
            values, present = rollups.read(block.name, self._function, self._range_ms, labels, now.at_ms)
            pieces.append(Vector(labels, values, None if every(present) else present))
        result = pieces[0] if len(pieces) == 1 else self.selection.joined(now, pieces)
        return result if self._function in KEEP_NAMES else now.nameless(result)

    def _over(
        self, now: Pass, block: Block, selected: Selected, parameters: list[float]
    ) -> tuple[Floats, Bools | None]:
        offset = self._offset_ms if self._at is None else now.at_ms - now.moment(self._at, self._offset_ms)
        if self._function in RATES:
            rate = self._rate if self._at is None else Rate(self._function, self._range_ms, offset)
            return rate.over(now, block, selected.rows)
        rows = row_range(now, block, selected.rows, self._range_ms, offset)
        values, present = np.empty(len(rows.reach.owners)), np.zeros(len(rows.reach.owners), dtype=np.bool_)
        for piece, rest in chunks(rows):
            values[piece], present[piece] = over_time.result(self._function, samples(now, rest), parameters, now.at_ms)
        return values, None if every(present) else present


class SpanCall(Node):
    """`function(subquery)`."""

    def __init__(self, function: str, span: Node, argument: Subquery, parameters: Sequence[Node] = ()) -> None:
        self._function, self._argument = function, argument
        self._span, self._parameters = span, tuple(parameters)
        super().__init__((span, *parameters))

    def compute(self, now: Pass) -> Vector:
        parameters = [parameter.scalar(now) for parameter in self._parameters]
        span = self._span.span(now)
        values, present = self._over(now, span.read, parameters)
        result = Vector(span.labels, values, None if every(present) else present, span.marked)
        return result if self._function in KEEP_NAMES else now.nameless(result)

    def _over(self, now: Pass, read: Samples, parameters: list[float]) -> tuple[Floats, Bools]:
        if not len(read.values):
            return np.zeros(len(read.counts)), np.zeros(len(read.counts), dtype=np.bool_)
        if self._function in RATES:
            end = now.moment(self._argument.at, self._argument.offset_ms)
            return Rate(self._function, self._argument.range_ms, now.at_ms - end).of_samples(now, read)
        return over_time.result(self._function, read, parameters, now.at_ms)
