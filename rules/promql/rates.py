"""`rate`, `increase`, `delta`: extrapolated as Prometheus does, bit for bit, in a fixed number of array operations.

Rows whose samples are all good and never fell take the short way: two gathers and some arithmetic over extents that all
rules share. The others are read cell by cell, all of them together.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from rules.arrays import Bools, Floats, Rows, Times, every, some
from rules.promql.passes import Pass
from rules.promql.ranges import (
    CELLS,
    Ends,
    Extent,
    Reach,
    RowRange,
    Samples,
    cells_from,
    chunks,
    extent,
    row_range,
    samples,
    steady,
)
from rules.window.board import Block

RATES: Final = frozenset({"rate", "increase", "delta"})
FEW: Final = 4
"""Rows up to which a loop on plain numbers costs less than array calls."""
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
        result = np.subtract(last, first, out=last)
        holes = self._corrected_where_even(result, span)
        result = self._finished(result, first, span.reach)
        if holes is not None:
            return self._with_holes(now, span, result, holes)
        return result, None if span.reach.everyone else span.reach.own.enough

    def _corrected_where_even(self, result: Floats, span: RowRange) -> Rows | None:
        """Make good the falls of rows whose times are their stream's; the other rows, None where there are none."""
        uneven = span.rough if self.counts else span.holes
        if not some(uneven):
            return None
        places = np.flatnonzero(uneven)
        if not self.counts:
            return places
        holed = span.holes[places]
        if not some(holed):
            _correct(result, span, places)
            return None
        _correct(result, span, places[~holed])
        return places[holed]

    def _with_holes(self, now: Pass, span: RowRange, result: Floats, places: Rows) -> tuple[Floats, Bools | None]:
        """Rows whose times are not their stream's, each by its own samples."""
        present = span.reach.own.enough.copy()
        for piece, rest in chunks(span.chosen(places)):
            result[places[piece]], present[places[piece]] = self._exact(now, rest)
        return result, None if every(present) else present

    def _finished(self, result: Floats, first: Floats, reach: Reach) -> Floats:
        """Extend the change over the sampled interval to the range; the result's memory is used."""
        seconds = self.range_ms / 1000.0
        factor = reach.scaled(seconds) if self.function == "rate" else reach.factor
        if self.counts:
            near = first < result + result
            if some(near):
                factor = self._from_zero(factor, result, first, reach, np.flatnonzero(near))
        result *= factor
        return result

    def _from_zero(self, factor: Floats, result: Floats, first: Floats, reach: Reach, rows: Rows) -> Floats:
        """The factor where a counter may have begun within the range: it is not extended below zero.

        One that began with at least twice its growth cannot: its zero lies two sampled intervals back, and no start is
        extended by more than 1.1 of them.
        """
        factor = factor.copy()
        if len(rows) <= FEW:
            for row in rows.tolist():
                self._one_from_zero(factor, float(result[row]), float(first[row]), reach.own, row)
            return factor
        factor[rows] = self.limited(result[rows], first[rows], reach.own.chosen(rows))
        return factor

    def limited(self, result: Floats, first: Floats, own: Extent) -> Floats:
        """The factor of rows whose counter may have begun within the range."""
        to_zero = own.sampled * (first / result)
        start = np.where((result > 0) & (first >= 0) & (to_zero < own.start), to_zero, own.start)
        factor: Floats = (own.sampled + start + own.end) / own.sampled
        return factor / (self.range_ms / 1000.0) if self.function == "rate" else factor

    def _one_from_zero(self, factor: Floats, result: float, first: float, own: Extent, row: int) -> None:
        """The same for one row."""
        sampled, start = float(own.sampled[row]), float(own.start[row])
        if result <= 0 or first < 0 or not sampled:
            return
        to_zero = sampled * (first / result)
        if to_zero < start:
            limited = (sampled + to_zero + float(own.end[row])) / sampled
            factor[row] = limited / (self.range_ms / 1000.0) if self.function == "rate" else limited

    def _exact(self, now: Pass, rows: RowRange) -> tuple[Floats, Bools]:
        """The same, from each row's own first and last sample; sample by sample where its value fell between them."""
        return self.of_ends(now, self.ends(now, rows))

    def ends(self, now: Pass, rows: RowRange) -> Ends:
        """The first and the last sample of rows that may have holes, and the change between them."""
        found = steady(now, rows)
        if self.counts and some(found.uneven):
            places = np.flatnonzero(found.uneven)
            read = samples(now, rows.chosen(places))
            found.grown[places] = _corrected(read.last - read.values[0], read.values, read.counts - 1)
        return found

    def of_ends(self, now: Pass, found: Ends) -> tuple[Floats, Bools]:
        """The function from rows' ends; what they hold of the window may be of an earlier pass."""
        end = now.at_ms - self.offset_ms
        own = extent(found.first_time, found.last_time, found.counts, end - self.range_ms, end)
        return self._extended(found.grown.copy(), found.first, own), own.enough

    def _extended(self, result: Floats, first: Floats, own: Extent) -> Floats:
        factor = (own.sampled + own.start + own.end) / own.sampled
        nowhere = np.empty(0, dtype=np.int64)
        return self._finished(result, first, Reach(nowhere, nowhere, nowhere, own, factor, every(own.enough)))

    def of_samples(self, now: Pass, read: Samples) -> tuple[Floats, Bools]:
        """The same over samples with times of their own, whose counts from row to row may differ."""
        end = now.at_ms - self.offset_ms
        last_time = read.times[np.maximum(read.counts - 1, 0), np.arange(len(read.counts))]
        own = extent(read.times[0], last_time, read.counts, end - self.range_ms, end)
        result = read.last - read.values[0]
        if self.counts:
            result = _corrected(result, read.values, read.counts - 1)
        return self._extended(result, read.values[0], own), own.enough


def _correct(result: Floats, span: RowRange, rows: Rows) -> None:
    """Make good the falls of rows whose samples have no holes."""
    if len(rows) <= FEW:
        for row in rows.tolist():
            _correct_one(result, span, row)
        return
    result[rows] = corrected(result[rows], span.chosen(rows))


def corrected(result: Floats, span: RowRange) -> Floats:
    """Rows' changes from first to last sample, with their falls made good; none of their samples has a hole."""
    result = result.copy()
    if len(result) <= FEW:
        for row in range(len(result)):
            _correct_one(result, span, row)
        return result
    first, last = span.reach.first, span.reach.last
    cells = span.board.cell[span.places]
    step = max(CELLS // max(int((last - first).max(initial=0)) + 1, 1), 1)
    for begin in range(0, len(result), step):
        piece = slice(begin, begin + step)
        read = cells_from(span.ring, first[piece], last[piece], cells[piece])
        result[piece] = _corrected(result[piece], read, last[piece] - first[piece])
    return result


def _correct_one(result: Floats, span: RowRange, row: int) -> None:
    """The same for one row, sample by sample: a tenth of what array calls cost on so little."""
    place = span.places.start + row if isinstance(span.places, slice) else int(span.places[row])
    column = span.ring.values[:, span.board.cell[place]].tolist()
    mask, first, value = span.ring.slots - 1, int(span.reach.first[row]), float(result[row])
    before = column[first & mask]
    for number in range(first + 1, int(span.reach.last[row]) + 1):
        after = column[number & mask]
        if after < before:
            value += before
        before = after
    result[row] = value


def _corrected(result: Floats, read: Floats, steps: Times) -> Floats:
    """Add what each reset took away, oldest first; rows have so many steps from one sample to the next."""
    fell = (read[1:] < read[:-1]) & (np.arange(len(read) - 1)[:, None] < steps)
    for number in np.flatnonzero(fell.any(axis=1)).tolist():
        result = np.where(fell[number], result + read[number], result)
    return result
