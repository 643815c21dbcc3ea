"""Streams: series that always arrive in the same frame share one ring of timestamps and one count of samples.

Sample `n` of a stream lies in slot `n & (slots - 1)` of every ring, whatever that ring's number of slots.
"""

from typing import Final

import numpy as np

from rules.arrays import NEVER, Rows, Times

FIRST_SLOTS: Final = 4
"""Slots of a ring whose metric is only read at its newest sample; spare for late and early frames."""
_FIRST_STREAMS: Final = 64
_COUNTED_SLOTS: Final = 16
"""Up to so many slots counting the later samples is quicker than searching (measured over 2,700 streams: at 1,024 slots 4.4 ms
against 0.1)."""


class Streams:
    """The timestamps of all streams: `times[slot][stream]`, and the number of each stream's newest sample."""

    def __init__(self) -> None:
        self.slots = FIRST_SLOTS
        self.times: Times = np.full((self.slots, _FIRST_STREAMS), NEVER, dtype=np.int64)
        self.heads: Times = np.full(_FIRST_STREAMS, -1, dtype=np.int64)
        """The number of the newest sample, -1 before the first."""
        self.rows: Rows = np.zeros(_FIRST_STREAMS, dtype=np.int64)
        """How many rows the stream has over all arenas; a stream without rows is free."""
        self.newest: list[int] = []
        """`heads` once more, as plain numbers."""
        self.latest: list[int] = []
        """The time of each stream's newest sample once more, as plain numbers: reading one out of an array costs 0.3 µs."""
        self.clean: list[int] = []
        """Samples in a row in which every row of the stream was good: after as many as a ring has slots, all its cells are
        marked good and need not be written."""
        self.sources: list[str] = []
        self._free: list[int] = []

    @property
    def size(self) -> int:
        """Streams given out so far, the free ones among them."""
        return len(self.sources)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return self.times.nbytes + self.heads.nbytes + self.rows.nbytes

    def add(self, source: str) -> int:
        """A new stream without samples."""
        if self._free:
            stream = self._free.pop()
            self.sources[stream] = source
        else:
            stream = len(self.sources)
            self.sources.append(source)
            self.newest.append(-1)
            self.latest.append(NEVER)
            self.clean.append(0)
            if stream >= len(self.heads):
                self._widen()
        self._clear(stream)
        return stream

    def copy(self, stream: int) -> int:
        """A stream with the same past: what a split leaves on its other side."""
        twin = self.add(self.sources[stream])
        self.times[:, twin] = self.times[:, stream]
        self.heads[twin] = self.newest[twin] = self.newest[stream]
        self.latest[twin] = self.latest[stream]
        self.clean[twin] = self.clean[stream]
        return twin

    def free(self, stream: int) -> None:
        """Nobody's any more."""
        self.sources[stream] = ""
        self._clear(stream)
        self._free.append(stream)

    def _clear(self, stream: int) -> None:
        self.times[:, stream] = NEVER
        self.heads[stream] = self.newest[stream] = -1
        self.latest[stream] = NEVER
        self.clean[stream] = 0
        self.rows[stream] = 0

    def time_of(self, stream: int, number: int) -> int:
        """The time of one sample that the ring still holds."""
        return int(self.times[number & (self.slots - 1), stream])

    def advance(self, stream: int, at: int) -> int:
        """One more sample, newer than all; its number."""
        number = self.newest[stream] + 1
        self.heads[stream] = self.newest[stream] = number
        self.times[number & (self.slots - 1), stream] = at
        self.latest[stream] = at
        return number

    def insert(self, stream: int, at: int) -> int | None:
        """Put a late time to its place, moving newer ones up; its number, or None when it is too old or already there."""
        mask, head = self.slots - 1, self.newest[stream]
        column = self.times[:, stream]
        newer = int(np.count_nonzero(column > at))
        place = head - newer + 1
        if newer == self.slots or (place > 0 and column[(place - 1) & mask] == at):
            return None
        for number in range(head + 1, place, -1):
            column[number & mask] = column[(number - 1) & mask]
        column[place & mask] = at
        self.heads[stream] = self.newest[stream] = head + 1
        return place

    def last_at_or_before(self, at: int) -> Times:
        """For each stream the number of its newest sample at or before `at`; below the ring's oldest where none is left."""
        if self.slots <= _COUNTED_SLOTS:
            times = self.times[:, : self.size]
            counted: Times = self.heads[: self.size] - np.count_nonzero(times > at, axis=0)
            return counted
        numbers = self.heads[: self.size].copy()
        ahead = np.flatnonzero(self.times_at(numbers) > at)
        if len(ahead):
            numbers[ahead] = self._searched(ahead, at)
        return numbers

    def _searched(self, streams: Rows, at: int) -> Times:
        """The same for streams whose newest sample is later: guessed from their pace, and halved where that is wrong."""
        times, mask = self.times, self.slots - 1
        above = self.heads[streams]  # later than `at`; `below` is not, or lies before all that is held
        below = np.maximum(above - self.slots, -1)
        oldest, newest = times[(below + 1) & mask, streams], times[above & mask, streams]
        pace = (above - below - 1) / np.maximum(newest - oldest, 1)
        guess = below + 1 + ((at - oldest) * pace).astype(np.int64)
        wide = np.flatnonzero(above - below > 1)
        while len(wide):
            high, low = above[wide], below[wide]
            for probe in (guess[wide], guess[wide] + 1):
                place = np.minimum(np.maximum(probe, low + 1), high - 1)
                later = times[place & mask, streams[wide]] > at
                high, low = np.where(later, place, high), np.where(later, low, np.maximum(low, place))
            above[wide], below[wide] = high, low
            wide = wide[high - low > 1]
            guess[wide] = (above[wide] + below[wide]) >> 1
        return below

    def times_at(self, numbers: Times) -> Times:
        """The time of one sample a stream; only meaningful where the ring still holds it."""
        times: Times = self.times[numbers & (self.slots - 1), np.arange(self.size)]
        return times

    def deepen(self, slots: int) -> None:
        """Rings of at least that many slots; every sample keeps its number."""
        if slots <= self.slots:
            return
        deeper: Times = np.full((slots, self.times.shape[1]), NEVER, dtype=np.int64)
        everyone = np.arange(self.times.shape[1])
        for back in range(self.slots):
            numbers = self.heads - back
            deeper[numbers & (slots - 1), everyone] = self.times[numbers & (self.slots - 1), everyone]
        deeper[:, self.heads < 0] = NEVER
        self.times, self.slots = deeper, slots

    def _widen(self) -> None:
        width = self.times.shape[1]
        self.times = np.concatenate([self.times, np.full_like(self.times, NEVER)], axis=1)
        self.heads = np.concatenate([self.heads, np.full(width, -1, dtype=np.int64)])
        self.rows = np.concatenate([self.rows, np.zeros(width, dtype=np.int64)])
