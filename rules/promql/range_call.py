"""Calls of functions over ranges."""

from collections.abc import Sequence

import numpy as np

from rules.arrays import Bools, Floats, every
from rules.promql import over_time
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.ranges import Samples, chunks, row_range, samples
from rules.promql.rates import RATES, Rate
from rules.promql.selectors import Selected, Selection
from rules.promql.tree import SelectRange
from rules.promql.vector import Vector
from rules.window.board import Block


class RangeCall(Node):
    """`function(metric{…}[range] offset …)`."""

    def __init__(self, function: str, argument: SelectRange, parameters: Sequence[Node] = ()) -> None:
        self._function = function
        self._range_ms, self._offset_ms = argument.range_ms, argument.select.offset_ms
        self._rate = Rate(function, self._range_ms, self._offset_ms)
        self._parameters = tuple(parameters)
        self.selection = Selection(argument.select)
        super().__init__(parameters, reads=self.selection.reads)

    def compute(self, now: Pass) -> Vector:
        parameters = [parameter.scalar(now) for parameter in self._parameters]
        found = self.selection.blocks(now)
        pieces = []
        for block, selected in found:
            labels = selected.refresh(block, self.selection.select.matchers)
            pieces.append(Vector(labels, *self._over(now, block, selected, parameters)))
        result = pieces[0] if len(pieces) == 1 else self.selection.joined(now, pieces)
        return result if self._function == "last_over_time" else result.nameless()

    def _over(
        self, now: Pass, block: Block, selected: Selected, parameters: list[float]
    ) -> tuple[Floats, Bools | None]:
        if self._function in RATES:
            return self._rate.over(now, block, selected.rows)
        rows = row_range(now, block, selected.rows, self._range_ms, self._offset_ms)
        values, present = np.empty(len(rows.reach.owners)), np.zeros(len(rows.reach.owners), dtype=np.bool_)
        for piece, rest in chunks(rows):
            values[piece], present[piece] = self._apply(samples(now, rest), parameters)
        return values, None if every(present) else present

    def _apply(self, read: Samples, parameters: list[float]) -> tuple[Floats, Bools]:
        if self._function == "quantile_over_time":
            return over_time.quantile(read, parameters[0])
        return over_time.OVER_TIME[self._function](read)
