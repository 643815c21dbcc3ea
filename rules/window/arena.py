"""Arenas: rings of one depth, `[slot][row]`, in which every metric of that depth has a run of adjacent columns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from rules.arrays import Bools, Bytes, Floats, Rows, Times
from rules.labels import LabelTable, Strings

ABSENT: Final = 0xFF
"""State of a cell that was never written; other states are the packed quality, or `STALE`."""
STALE: Final = 0x03
"""State of a cell in which the series ended: the quality's unused fourth value."""
GOOD_MASK: Final = 0x03
"""`state & GOOD_MASK == 0` is a good sample, the only kind that rules see."""
_SPARE: Final = 1.5
"""Columns kept for a metric over those in use: growing by half keeps moves rare (each copies the arena once)."""
_LINE: Final = 8
"""Float64 values in a cache line."""
_ROW_ARRAYS: Final = ("current", "dead", "stream", "hole", "rough")


@dataclass(slots=True, eq=False)
class Block:
    """One metric's rows: where its columns lie, and whose they are."""

    name: str
    strings: Strings
    arena: "Arena"
    depth_ms: int
    counter: bool
    """Whether a counter function reads it, so that falls of its value are worth noting."""
    start: int = 0
    capacity: int = 0
    size: int = 0
    """Rows in use."""
    index: dict[int, int] = field(default_factory=dict)
    """Hash of a label set to the row's number within the block."""
    owners: tuple[int, int] = (-1, -1)
    """The window's version for which it holds, and the number of its rows' pattern of streams."""
    _labels: list[LabelTable] = field(default_factory=list)
    """Tables of the rows in their order, joined when somebody asks."""

    @property
    def span(self) -> slice:
        """Its rows among the arena's columns."""
        return slice(self.start, self.start + self.size)

    @property
    def labels(self) -> LabelTable:
        """One label set a row, the metric's name included; another object whenever a row comes or goes."""
        if len(self._labels) != 1:
            self._labels = [LabelTable.concat(self.strings, self._labels)]
        return self._labels[0]

    def extend(self, table: LabelTable, hashes: Sequence[int]) -> None:
        """New rows at the end; the columns have room for them."""
        for row, row_hash in enumerate(hashes, self.size):
            self.index[row_hash] = row
        self.size += table.size
        self._labels.append(table)

    def keep(self, rows: Rows) -> None:
        """Only these rows are left."""
        self._labels = [self.labels.take(rows)]
        self.size = len(rows)
        self.index = {row_hash: row for row, row_hash in enumerate(self._labels[0].hashes.tolist())}


class Arena:
    """All rings of one depth, and each row's newest state."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.blocks: list[Block] = []
        self.values: Floats = np.empty((slots, 0), dtype=np.float64)
        self.states: Bytes = np.empty((slots, 0), dtype=np.uint8)
        self.current: Floats = np.empty(0, dtype=np.float64)
        """The newest good value of each row."""
        self.dead: Bools = np.empty(0, dtype=np.bool_)
        """Whether the newest sample is not good: stale, bad, uncertain, or never there."""
        self.stream: Rows = np.empty(0, dtype=np.int64)
        self.hole: Times = np.empty(0, dtype=np.int64)
        """Number of the newest sample that is not good (-1: none)."""
        self.rough: Times = np.empty(0, dtype=np.int64)
        """Number of the newest sample that is below its predecessor, or follows a hole (-1: none): a counter's sums from
        before it to after it are not last minus first."""

    @property
    def width(self) -> int:
        """Columns, those in reserve included."""
        return int(self.values.shape[1])

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        rows = sum(int(getattr(self, name).nbytes) for name in _ROW_ARRAYS)
        return self.values.nbytes + self.states.nbytes + rows

    def bytes_with(self, rows: int) -> int:
        """What the memory would be with so many more rows, reserve included."""
        used = sum(block.size for block in self.blocks) + rows
        return int(used * _SPARE) * (self.slots * 9 + len(_ROW_ARRAYS) * 8)

    def fits(self, block: Block, rows: int) -> bool:
        """Whether the block's columns have room for so many rows in all."""
        return rows <= block.capacity

    def lay_out(self, wanted: dict[str, int]) -> None:
        """Give every block its columns anew, with reserve; `wanted` names blocks that will hold that many rows."""
        capacities = {
            block.name: max(block.capacity, _roomy(max(block.size, wanted.get(block.name, 0)))) for block in self.blocks
        }
        width = sum(capacities.values())
        old_spans = [(block, block.span) for block in self.blocks]
        start = 0
        for block in self.blocks:
            block.start, block.capacity = start, capacities[block.name]
            start += block.capacity
        self._move(width, [(span, slice(block.start, block.start + block.size)) for block, span in old_spans])

    def _move(self, width: int, spans: list[tuple[slice, slice]]) -> None:
        """New arrays of that width with the old columns at their new places."""
        values = _aligned(self.slots, width)
        states = np.full((self.slots, width), ABSENT, dtype=np.uint8)
        rows = {name: np.full(width, _EMPTY[name], dtype=getattr(self, name).dtype) for name in _ROW_ARRAYS}
        rows["current"] = _aligned(1, width)[0]
        for old, new in spans:
            values[:, new] = self.values[:, old]
            states[:, new] = self.states[:, old]
            for name, array in rows.items():
                array[new] = getattr(self, name)[old]
        self.values, self.states = values, states
        for name, array in rows.items():
            setattr(self, name, array)

    def adopt(self, blocks: Sequence[Block], heads: Times) -> None:
        """Take over blocks of shallower arenas with all their samples; `heads` are the numbers of the streams' newest."""
        moved = [(block, block.arena, block.span) for block in blocks]
        spans = [(slice(0, self.width), slice(0, self.width))]
        start = self.width
        for block in blocks:
            block.arena.blocks.remove(block)
            self.blocks.append(block)
            block.arena, block.start, block.capacity = self, start, _roomy(block.size)
            start += block.capacity
        self._move(start, spans)
        for block, old, span in moved:
            self._copy_rows(block, old, span, heads)
        for old in {id(old): old for _, old, _ in moved}.values():
            old.lay_out({})

    def _copy_rows(self, block: Block, old: "Arena", span: slice, heads: Times) -> None:
        """A block's samples out of a shallower ring: each keeps its number, so it changes its slot."""
        for name in _ROW_ARRAYS:
            getattr(self, name)[block.span] = getattr(old, name)[span]
        source, target = np.arange(span.start, span.stop), np.arange(block.start, block.start + block.size)
        newest = heads[self.stream[block.span]]
        for back in range(old.slots):
            numbers = newest - back
            self.values[numbers & (self.slots - 1), target] = old.values[numbers & (old.slots - 1), source]
            self.states[numbers & (self.slots - 1), target] = old.states[numbers & (old.slots - 1), source]

    def keep_rows(self, block: Block, kept: Rows) -> None:
        """Drop all rows of the block but these, closing the gaps."""
        source, target = block.start + kept, slice(block.start, block.start + len(kept))
        self.values[:, target] = self.values[:, source]
        self.states[:, target] = self.states[:, source]
        self.states[:, target.stop : block.start + block.size] = ABSENT
        for name in _ROW_ARRAYS:
            array = getattr(self, name)
            array[target] = array[source]
            array[target.stop : block.start + block.size] = _EMPTY[name]
        block.keep(kept)


_EMPTY: Final = {"current": 0.0, "dead": True, "stream": -1, "hole": -1, "rough": -1}


def _roomy(rows: int) -> int:
    """Columns for so many rows: with reserve, and a whole number of cache lines."""
    return -(-max(int(rows * _SPARE), _LINE) // _LINE) * _LINE


def _aligned(slots: int, width: int) -> Floats:
    """Zeros that begin on a cache line: a device's eight values of one metric then lie in one line instead of two."""
    raw = np.zeros(slots * width + _LINE, dtype=np.float64)
    first = (-raw.ctypes.data % (8 * _LINE)) // 8
    return raw[first : first + slots * width].reshape(slots, width)
