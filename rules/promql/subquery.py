"""Range vectors that are no plain selectors' samples in place: subqueries, and selectors as results of their own."""

from typing import Final

import numpy as np

from rules.labels import LabelTable
from rules.promql.errors import EvaluationError, ExpressionError
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.ranges import Samples, row_range, samples
from rules.promql.selectors import Selection
from rules.promql.span import Span, Stack
from rules.promql.tree import SelectRange, Subquery, Type

DEFAULT_STEP_MS: Final = 60_000
"""Of subqueries that name none: Prometheus's global `evaluation_interval` when nobody sets it."""

MOST_STEPS: Final = 11_000
"""Of one subquery: what Prometheus allows a range query; its own subqueries it bounds by samples alone."""
MOST_SAMPLES: Final = 50_000_000
"""Of one subquery: Prometheus's `--query.max-samples`."""


class SubqueryNode(Node):
    """`expression[range:step] @ … offset …`: the expression at every multiple of the step within the range."""

    type = Type.MATRIX

    def __init__(self, tree: Subquery, inner: Node) -> None:
        super().__init__((inner,))
        self._tree, self._inner = tree, inner
        self._step_ms = DEFAULT_STEP_MS if tree.step_ms is None else tree.step_ms
        self._stack = Stack()
        if tree.range_ms // self._step_ms > MOST_STEPS:
            raise ExpressionError(f"a subquery takes at most {MOST_STEPS} steps, try a longer step or a shorter range")

    def compute(self, now: Pass) -> Span:
        tree = self._tree
        step = self._step_ms
        end = now.moment(tree.at, tree.offset_ms)
        start = end - tree.range_ms
        times = np.arange((start // step + 1) * step, end + 1, step, dtype=np.int64)
        if not len(times):
            empty = np.empty((0, 0))
            labels = LabelTable(now.window.strings, {}, 0)
            return Span(labels, Samples(empty, empty.astype(np.int64), np.empty(0, dtype=np.int64)))
        first, *rest = times.tolist()
        pieces = [self._inner.vector(now.at(first))]
        if pieces[0].labels.size * len(times) > MOST_SAMPLES:
            raise EvaluationError("query processing would load too many samples into memory in query execution")
        pieces += [self._inner.vector(now.at(at)) for at in rest]
        return self._stack.span(pieces, times)


class SelectorSpan(Node):
    """`metric{…}[range]` as a result of its own: the samples as they were measured."""

    type = Type.MATRIX

    def __init__(self, tree: SelectRange) -> None:
        self.selection = Selection(tree.select)
        self._tree = tree
        super().__init__(reads=self.selection.reads)

    def compute(self, now: Pass) -> Span:
        select = self._tree.select
        offset = now.at_ms - now.moment(select.at, select.offset_ms)
        labels: list[LabelTable] = []
        pieces: list[Samples] = []
        for block, selected in self.selection.blocks(now):
            labels.append(selected.refresh(block, select.matchers))
            pieces.append(samples(now, row_range(now, block, selected.rows, self._tree.range_ms, offset)))
        return Span(self.selection.join(now.window.strings, labels), _side_by_side(pieces))


def _side_by_side(pieces: list[Samples]) -> Samples:
    """The rows of all, in order; shorter pieces end in cells that hold no sample."""
    depth = max((len(piece.values) for piece in pieces), default=0)

    def deep(
        array: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
        return np.concatenate([array, np.zeros((depth - len(array), array.shape[1]), dtype=array.dtype)])

    if not pieces:
        return Samples(np.empty((0, 0)), np.empty((0, 0), dtype=np.int64), np.empty(0, dtype=np.int64))
    return Samples(
        np.concatenate([deep(piece.values) for piece in pieces], axis=1).astype(np.float64),
        np.concatenate([deep(piece.times) for piece in pieces], axis=1).astype(np.int64),
        np.concatenate([piece.counts for piece in pieces]),
    )
