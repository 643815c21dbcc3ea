"""Rings: the samples of many rows, `[slot][column]`; what arrives in one frame lies in adjacent columns.

So a frame is written, and compared with the one before it, as one run of memory; sample `n` of a stream lies in slot
`n & (slots - 1)`.
"""

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import as_strided

from rules.arrays import Bytes, Floats, Rows, Times

ABSENT: Final = 0xFF
"""State of a cell that was never written; other states are the packed quality, or `STALE`."""
STALE: Final = 0x03
"""State of a cell in which the series ended: the quality's unused fourth value."""
GOOD_MASK: Final = 0x03
"""`state & GOOD_MASK == 0` is a good sample, the only kind that rules see."""
BYTES_PER_CELL: Final = 9
_SPARE: Final = 1.5
"""Columns made for those in use: growing by half keeps copies rare …"""
_SPARE_OF_MANY: Final = 1.2
"""… and by a fifth where a copy and its original together weigh most."""
_MANY: Final = 65_536
_FIRST_COLUMNS: Final = 256


class Ring:
    """All rows that are kept equally deep."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.used = 0
        """Columns given out."""
        self.values: Floats = np.empty((slots, 0), dtype=np.float64)
        self.states: Bytes = np.empty((slots, 0), dtype=np.uint8)
        self._runs: dict[int, Floats] = {}
        self._marks: dict[int, Bytes] = {}

    @property
    def width(self) -> int:
        """Columns, those in reserve included."""
        return int(self.values.shape[1])

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return self.values.nbytes + self.states.nbytes

    def bytes_with(self, columns: int) -> int:
        """What the memory would be with so many more columns."""
        needed = self.used + columns
        return self.slots * BYTES_PER_CELL * (self.width if needed <= self.width else _roomy(needed))

    def allocate(self, columns: int) -> int:
        """Adjacent empty columns; the first of them."""
        first = self.used
        self.used += columns
        if self.used > self.width:
            width = max(_roomy(self.used), _FIRST_COLUMNS)
            values, states = self._empty(width)
            values[:, :first], states[:, :first] = self.values[:, :first], self.states[:, :first]
            self._become(values, states)
        self.states[:, first : self.used] = ABSENT
        return first

    def pack(self, kept: Rows) -> None:
        """Only these columns are left, in this order, from the first on."""
        values, states = self._empty(max(_roomy(len(kept)), 1) if len(kept) else 0)
        values[:, : len(kept)], states[:, : len(kept)] = self.values[:, kept], self.states[:, kept]
        self.used = len(kept)
        self._become(values, states)

    def runs(self, width: int) -> Floats:
        """Every run of so many adjacent values, by the place of its first: `slot * self.width + column`. A view."""
        if width not in self._runs:
            self._runs[width] = as_strided(self.values, (self.values.size - width + 1, width), (8, 8))
        return self._runs[width]

    def marks(self, width: int) -> Bytes:
        """The same of the states."""
        if width not in self._marks:
            self._marks[width] = as_strided(self.states, (self.states.size - width + 1, width), (1, 1))
        return self._marks[width]

    def _become(self, values: Floats, states: Bytes) -> None:
        self.values, self.states = values, states
        self._runs.clear()
        self._marks.clear()

    def take_over(self, other: "Ring", columns: Rows, newest: Times, first: int) -> None:
        """Copy columns of a shallower ring to adjacent ones of this; each sample keeps its number."""
        target = first + np.arange(len(columns))
        for back in range(other.slots):
            numbers = newest - back
            self.values[numbers & (self.slots - 1), target] = other.values[numbers & (other.slots - 1), columns]
            self.states[numbers & (self.slots - 1), target] = other.states[numbers & (other.slots - 1), columns]

    def _empty(self, width: int) -> tuple[Floats, Bytes]:
        return np.zeros((self.slots, width)), np.full((self.slots, width), ABSENT, dtype=np.uint8)


def _roomy(columns: int) -> int:
    return int(columns * (_SPARE if columns < _MANY else _SPARE_OF_MANY))
