"""`rate`, `increase`, `delta`: extrapolated as Prometheus does, bit for bit, in a fixed number of array operations.

Rows whose samples are all good and never fell take the short way: two gathers and some arithmetic over extents that all
rules share. The others are read cell by cell, all of them together.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from rules.arrays import Bools, Floats, Rows, Times, every, some
from rules.promql.passes import Pass
from rules.promql.ranges import Extent, Reach, RowRange, chunks, extent, row_range, samples, values
from rules.window.board import Block

RATES: Final = frozenset({"rate", "increase", "delta"})
COUNTERS: Final = frozenset({"rate", "increase", "irate", "resets"})
"""Functions that look at falls of the value."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One of the functions over one range."""

    function: str
    range_ms: int
    offset_ms: int

    @property
    def counts(self) -> bool:
        """Whether it corrects for resets and never extends below zero."""
        return self.function != "delta"

    def over(self, now: Pass, block: Block, rows: Rows | None) -> tuple[Floats, Bools | None]:
        """The function over rows of one metric (None: all): values, and which rows have one (None: all)."""
        span = row_range(now, block, rows, self.range_ms, self.offset_ms)
        first, last = span.ends()
        result = self._finished(np.subtract(last, first, out=last), first, span.reach)
        present = span.reach.own.enough
        uneven = span.rough if self.counts else span.holes
        if some(uneven):
            present = present.copy()
            places = np.flatnonzero(uneven)
            for piece, rest in chunks(span.chosen(places)):
                result[places[piece]], present[places[piece]] = self._exact(now, rest)
            return result, None if every(present) else present
        return result, None if span.reach.everyone else present

    def _finished(self, result: Floats, first: Floats, reach: Reach) -> Floats:
        """Extend the change over the sampled interval to the range; the result's memory is used."""
        seconds = self.range_ms / 1000.0
        if self.counts and not every(first >= result + result):
            factor = self._from_zero(result, first, reach.own)
            if self.function == "rate":
                factor /= seconds
        else:
            factor = reach.scaled(seconds) if self.function == "rate" else reach.factor
        result *= factor
        return result

    @staticmethod
    def _from_zero(result: Floats, first: Floats, own: Extent) -> Floats:
        """The factor where some counter may have begun within the range: it is not extended below zero.

        One that began with at least twice its growth cannot: its zero lies two sampled intervals back, and no start is
        extended by more than 1.1 of them.
        """
        to_zero = own.sampled * (first / result)
        start = np.where((result > 0) & (first >= 0) & (to_zero < own.start), to_zero, own.start)
        factor: Floats = (own.sampled + start + own.end) / own.sampled
        return factor

    def _exact(self, now: Pass, rows: RowRange) -> tuple[Floats, Bools]:
        """The same, sample by sample."""
        if not some(rows.holes):  # the times are the stream's: only falls are to be made good
            first, last = rows.ends()
            result = _corrected(last - first, values(rows), rows.reach.last - rows.reach.first)
            return self._finished(result, first, rows.reach), rows.reach.own.enough
        read = samples(now, rows)
        end = now.at_ms - self.offset_ms
        last_time = read.times[np.maximum(read.counts - 1, 0), np.arange(len(read.counts))]
        own = extent(read.times[0], last_time, read.counts, end - self.range_ms, end)
        result = read.last - read.values[0]
        if self.counts:
            result = _corrected(result, read.values, read.counts - 1)
        factor = (own.sampled + own.start + own.end) / own.sampled
        reach = Reach(rows.reach.owners, rows.reach.first, rows.reach.last, own, factor, every(own.enough))
        return self._finished(result, read.values[0], reach), own.enough


def _corrected(result: Floats, read: Floats, steps: Times) -> Floats:
    """Add what each reset took away, oldest first; rows have so many steps from one sample to the next."""
    fell = (read[1:] < read[:-1]) & (np.arange(len(read) - 1)[:, None] < steps)
    for number in np.flatnonzero(fell.any(axis=1)).tolist():
        result = np.where(fell[number], result + read[number], result)
    return result
