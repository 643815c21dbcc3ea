"""`rate`, `increase`, `delta`: extrapolated as Prometheus does, bit for bit, in a fixed number of array operations.

Rows whose samples are all good and never fell take the short way: two gathers and some arithmetic over extents that all
rules share. The others are read cell by cell, all of them together.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from rules.arrays import Bools, Floats, Rows
from rules.promql.passes import Pass
from rules.promql.ranges import Extent, RowRange, Samples, chunks, extent, row_range, samples, stream_range
from rules.window.arena import Block

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

    def over(self, now: Pass, block: Block, rows: Rows | None) -> tuple[Floats, Bools]:
        """The function over rows of one metric (None: all): values, and which rows have one."""
        span = row_range(now, block, rows, self.range_ms, self.offset_ms)
        shared = stream_range(now, self.range_ms, self.offset_ms).extent
        own = Extent(
            shared.enough[span.owners], shared.sampled[span.owners], shared.start[span.owners], shared.end[span.owners]
        )
        first = span.cells(span.first)
        values = self._finished(span.cells(span.last) - first, first, own)
        present = own.enough
        uneven = span.holes | span.falls if self.counts else span.holes
        if np.count_nonzero(uneven):
            present = present.copy()
            places = np.flatnonzero(uneven)
            for piece, some in chunks(span.chosen(places)):
                values[places[piece]], present[places[piece]] = self._exact(now, some)
        return values, present

    def _finished(self, result: Floats, first: Floats, own: Extent) -> Floats:
        """Extend the change over the sampled interval to the range."""
        start = own.start
        if self.counts:
            to_zero = own.sampled * (first / result)
            start = np.where((result > 0) & (first >= 0) & (to_zero < start), to_zero, start)
        factor = (own.sampled + start + own.end) / own.sampled
        if self.function == "rate":
            factor /= self.range_ms / 1000.0
        return result * factor

    def _exact(self, now: Pass, rows: RowRange) -> tuple[Floats, Bools]:
        """The same, sample by sample."""
        read = samples(now, rows)
        end = now.at_ms - self.offset_ms
        last_time = read.times[np.maximum(read.counts - 1, 0), np.arange(len(read.counts))]
        own = extent(read.times[0], last_time, read.counts, end - self.range_ms, end)
        result = read.last - read.values[0]
        if self.counts:
            result = _corrected(result, read)
        return self._finished(result, read.values[0], own), own.enough


def _corrected(result: Floats, read: Samples) -> Floats:
    """Add what each reset took away, oldest first."""
    valid = read.valid
    for number in range(1, len(read.values)):
        fell = valid[number] & (read.values[number] < read.values[number - 1])
        if fell.any():
            result = np.where(fell, result + read.values[number - 1], result)
    return result
