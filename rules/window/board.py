"""The board: each series' newest state, one row a series, the rows of one metric side by side.

Reading a metric's newest values is one contiguous slice, whatever sources they came from. The samples before the newest
lie in rings (`rules.window.ring`), at the column that a row's `cell` names.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from rules.arrays import Bools, Floats, Rows, Times
from rules.labels import LabelTable, Strings
from rules.window.ring import Ring
from rules.window.standing import Standing

_SPARE: Final = 1.5
"""Rows kept for a metric over those in use: growing by half keeps moves rare."""
_LINE: Final = 8
"""Float64 values in a cache line."""
_ARRAYS: Final = ("current", "dead", "stream", "hole", "rough", "cell")
_EMPTY: Final = {"current": 0.0, "dead": True, "stream": -1, "hole": -1, "rough": -1, "cell": -1}


@dataclass(slots=True, eq=False)
class Pattern:
    """How a metric's rows lie in streams and ring; metrics of the same pages share one."""

    owners: Rows
    """The rows' streams."""
    cells: Rows
    """The rows' columns in the ring, counted from its first."""


@dataclass(slots=True, eq=False)
class Block:
    """One metric's rows: where they lie, and whose they are."""

    name: str
    strings: Strings
    ring: Ring
    depth_ms: int
    counter: bool
    """Whether a counter function reads it, so that falls of its value are worth noting."""
    start: int = 0
    capacity: int = 0
    size: int = 0
    """Rows in use."""
    first_cell: int = 0
    """The lowest column of its rows in the ring, for the structure that `pattern` names."""
    index: dict[int, int] = field(default_factory=dict)
    """Hash of a label set to the row's number within the block."""
    pattern: "tuple[int, Pattern] | None" = None
    """The window's structure for which it holds, and how its rows lie in streams and ring."""
    kept: tuple[Standing, Floats, Bools | None] | None = None
    """How the streams stood, the rows' newest values as a view of the board, and which of them count (None: all)."""
    _labels: list[LabelTable] = field(default_factory=list)
    """Tables of the rows in their order, joined when somebody asks."""

    @property
    def span(self) -> slice:
        """Its rows on the board."""
        return slice(self.start, self.start + self.size)

    @property
    def labels(self) -> LabelTable:
        """One label set a row, the metric's name included; another object whenever a row comes or goes."""
        if len(self._labels) != 1:
            self._labels = [LabelTable.concat(self.strings, self._labels)]
        return self._labels[0]

    def extend(self, table: LabelTable, hashes: Sequence[int]) -> None:
        """New rows at the end; the board has room for them."""
        for row, row_hash in enumerate(hashes, self.size):
            self.index[row_hash] = row
        self.size += table.size
        self._labels.append(table)

    def keep(self, rows: Rows) -> None:
        """Only these rows are left."""
        self._labels = [self.labels.take(rows)]
        self.size = len(rows)
        self.index = {row_hash: row for row, row_hash in enumerate(self._labels[0].hashes.tolist())}


class Board:
    """All rows."""

    def __init__(self) -> None:
        self.blocks: dict[str, Block] = {}
        self.current: Floats = np.empty(0, dtype=np.float64)
        """The newest good value of each row."""
        self.dead: Bools = np.empty(0, dtype=np.bool_)
        """Whether the newest sample is not good: stale, bad, uncertain, or never there."""
        self.deaths = 0
        """Counts up whenever one of `dead` may have changed."""
        self.stream: Rows = np.empty(0, dtype=np.int64)
        self.hole: Times = np.empty(0, dtype=np.int64)
        """Number of the newest sample that is not good (-1: none)."""
        self.rough: Times = np.empty(0, dtype=np.int64)
        """Number of the newest sample that is below its predecessor, or follows a hole (-1: none): a counter's sums from
        before it to after it are not last minus first."""
        self.cell: Rows = np.empty(0, dtype=np.int64)
        """The row's column in its metric's ring."""

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return sum(int(getattr(self, name).nbytes) for name in _ARRAYS)

    @property
    def series(self) -> int:
        """Rows in use."""
        return sum(block.size for block in self.blocks.values())

    def fits(self, block: Block, rows: int) -> bool:
        """Whether the block has room for so many rows in all."""
        return rows <= block.capacity

    def lay_out(self, wanted: dict[str, int]) -> None:
        """Give every block its rows anew, with reserve; `wanted` names blocks that will have that many."""
        old_spans = {name: block.span for name, block in self.blocks.items()}
        start = 0
        for name, block in self.blocks.items():
            block.capacity = max(block.capacity, _roomy(max(block.size, wanted.get(name, 0))))
            block.start = start
            start += block.capacity
        for array_name in _ARRAYS:
            old = getattr(self, array_name)
            new = _aligned(start) if array_name == "current" else np.full(start, _EMPTY[array_name], dtype=old.dtype)
            for name, span in old_spans.items():
                new[self.blocks[name].span] = old[span]
            setattr(self, array_name, new)

    def keep_rows(self, block: Block, kept: Rows) -> None:
        """Drop all rows of a block but these, closing the gaps."""
        source, stop = block.start + kept, block.start + block.size
        target = slice(block.start, block.start + len(kept))
        for name in _ARRAYS:
            array = getattr(self, name)
            array[target] = array[source]
            array[target.stop : stop] = _EMPTY[name]
        block.keep(kept)

    def begin(self, rows: Rows, stream: int, head: int, first_cell: int) -> None:
        """Rows that begin in a stream behind its sample `head`, with adjacent columns in their ring."""
        self.dead[rows] = True
        self.deaths += 1
        self.hole[rows] = head
        self.rough[rows] = head + 1
        self.stream[rows] = stream
        self.cell[rows] = first_cell + np.arange(len(rows))

    def rows_in(self, ring: Ring) -> Rows:
        """Every row whose samples lie in a ring."""
        spans = [
            np.arange(block.start, block.start + block.size) for block in self.blocks.values() if block.ring is ring
        ]
        return np.concatenate([np.empty(0, dtype=np.int64), *spans])


def _roomy(rows: int) -> int:
    """Room for so many rows: with reserve, and a whole number of cache lines."""
    return -(-max(int(rows * _SPARE), _LINE) // _LINE) * _LINE


def _aligned(width: int) -> Floats:
    """Zeros that begin on a cache line: a device's eight values of one metric then lie in one line instead of two."""
    raw = np.zeros(width + _LINE, dtype=np.float64)
    first = (-raw.ctypes.data % (8 * _LINE)) // 8
    return raw[first : first + width]
