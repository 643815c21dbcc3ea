"""Where the rows of several metrics lie on the board, as two dimensions."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from rules.arrays import Bools, Floats, Rows
from rules.promql.sheets.leaf import Leaf

AnyArray = TypeVar("AnyArray", Floats, Rows, Bools)


class Places:
    """`[line][row]`: as many rows of each leaf's metric. Holds for as long as the window's structure stays."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        first = leaves[0]
        assert first.labels is not None
        self.shape = len(leaves), first.labels.size
        self._starts: Rows = np.array([leaf.block.start for leaf in leaves], dtype=np.int64)
        steps = np.diff(self._starts)
        runs = [leaf.run for leaf in leaves]
        self._index: Rows | None = None
        """Each cell's place on the board, where the lines do not lie at equal distances."""
        self._first = self._step = 0
        self._bases: Rows = np.empty((0, 1), dtype=np.int64)
        if all(isinstance(run, slice) and (run.start or 0) == (_begin(runs[0])) for run in runs) and bool(
            (steps == steps[:1]).all() and (steps > 0).all()
        ):
            self._first = int(self._starts[0]) + _begin(runs[0])
            self._step = int(steps[0]) if len(steps) else self.shape[1]
            self._bases = self._first + np.arange(len(leaves))[:, None] * self._step
        else:
            own = [np.arange(leaf.block.size)[leaf.run] for leaf in leaves]
            self._index = np.array(own, dtype=np.int64).reshape(self.shape) + self._starts[:, None]

    @property
    def lasting(self) -> bool:
        """Whether `of` yields views, which show what is written later."""
        return self._index is None

    def of(self, array: AnyArray) -> AnyArray:
        """The cells of one of the board's arrays: a view where possible, else a copy."""
        if self._index is not None:
            return array[self._index]
        size = array.itemsize
        found: AnyArray = as_strided(array[self._first :], self.shape, (self._step * size, size), writeable=False)
        return found

    def at(self, rows: Rows) -> Rows:
        """Where some rows of every line are on the board, `[line][row]`."""
        return self._bases + rows if self._index is None else self._index[:, rows]


def _begin(run: Rows | slice) -> int:
    return (run.start or 0) if isinstance(run, slice) else -1
