"""Range vectors: which samples of each row lie in a range, shared by every function that reads the same one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Final

import numpy as np

from rules.arrays import Bools, Floats, Rows, Times, every, some
from rules.promql.errors import EvaluationError
from rules.promql.passes import Pass
from rules.window.board import Block, Board, Pattern
from rules.window.ring import GOOD_MASK, Ring

CELLS: Final = 1 << 20
"""Cells looked at together: 1 Mi of 8 bytes stay in a processor's cache better than a site's whole history."""


@dataclass(slots=True, eq=False)
class Extent:
    """How samples lie in their range: what extrapolation needs, per stream or per row."""

    enough: Bools
    """Two samples or more."""
    sampled: Floats
    """Seconds between the first and the last."""
    start: Floats
    """Seconds by which the first may be extended towards the range's start."""
    end: Floats
    """Seconds by which the last may be extended towards the range's end."""

    def chosen(self, rows: Rows) -> "Extent":
        """The same for some of them."""
        return Extent(self.enough[rows], self.sampled[rows], self.start[rows], self.end[rows])


def extent(first: Times, last: Times, counts: Times, start_ms: int, end_ms: int) -> Extent:
    """Prometheus's extrapolation: up to the boundary when that is within 1.1 intervals, else half an interval."""
    to_start = (first - start_ms) / 1000.0
    to_end = (end_ms - last) / 1000.0
    sampled = (last - first) / 1000.0
    average = sampled / np.maximum(counts - 1, 1)
    threshold = average * 1.1
    half = average / 2.0
    return Extent(
        enough=counts >= 2,
        sampled=sampled,
        start=np.where(to_start >= threshold, half, to_start),
        end=np.where(to_end >= threshold, half, to_end),
    )


@dataclass(slots=True, eq=False)
class Reach:
    """A range over rows: for each the numbers of its first and last sample, and what follows from their times."""

    owners: Rows
    """The rows' streams."""
    first: Times
    last: Times
    own: Extent
    factor: Floats
    """By which a change over the sampled interval becomes one over the range, where no counter begins at zero."""
    everyone: bool
    """Whether every row has two samples or more."""
    _ends: Rows | None = None
    _scaled: dict[float, Floats] = field(default_factory=dict)

    def ends(self, ring: Ring, cells: Rows) -> Rows:
        """Where first and last samples lie in the flat ring: two lines of indexes for one read."""
        if self._ends is None:
            mask = ring.slots - 1
            numbers = np.array([self.first, self.last])
            self._ends = (numbers & mask) * ring.width + cells
        return self._ends

    def chosen(self, rows: Rows) -> "Reach":
        """The same for some of the rows."""
        own = self.own.chosen(rows)
        first, last, factor = self.first[rows], self.last[rows], self.factor[rows]
        return Reach(self.owners[rows], first, last, own, factor, every(own.enough))

    def scaled(self, seconds: float) -> Floats:
        """The factor, divided by so many seconds."""
        found = self._scaled.get(seconds)
        if found is None:
            found = self._scaled[seconds] = self.factor / seconds
        return found


@dataclass(slots=True, eq=False)
class StreamRange:
    """A range over all streams, and over the rows of each pattern of streams: computed once a pass, whoever reads it."""

    first: Times
    last: Times
    extent: Extent
    reaches: dict[Pattern, Reach] = field(default_factory=dict)

    def reach(self, owners: Rows) -> Reach:
        """The same for rows."""
        own = self.extent.chosen(owners)
        factor = (own.sampled + own.start + own.end) / own.sampled
        return Reach(owners, self.first[owners], self.last[owners], own, factor, every(own.enough))

    def pattern_reach(self, pattern: Pattern) -> Reach:
        """The same for all rows of metrics that lie in that pattern."""
        found = self.reaches.get(pattern)
        if found is None:
            found = self.reaches[pattern] = self.reach(pattern.owners)
        return found


def stream_range(now: Pass, range_ms: int, offset_ms: int) -> StreamRange:
    """The samples of every stream in a range, which is open to the left (Prometheus 3.x)."""
    key = (range_ms, offset_ms)
    found = now.ranges.get(key)
    if not isinstance(found, StreamRange):
        end = now.at_ms - offset_ms
        streams = now.window.streams
        first, last = now.numbers(end - range_ms) + 1, now.numbers(end)
        times = streams.times_at(first), streams.times_at(last)
        found = StreamRange(first, last, extent(*times, last - first + 1, end - range_ms, end))
        now.ranges[key] = found
    return found


@dataclass(slots=True, eq=False)
class RowRange:
    """A range over rows of one metric, or of several that lie in one ring."""

    board: Board
    ring: Ring
    places: Rows | slice
    """Where the rows are on the board."""
    reach: Reach
    lie: tuple[int, Pattern] | None = None
    """The first column in the ring and how they lie from there, where they are all rows of one metric."""

    def places_of(self, rows: Rows) -> Rows:
        """Where some of the rows are on the board."""
        return self.places.start + rows if isinstance(self.places, slice) else self.places[rows]

    def ends(self) -> Floats:
        """The first and the last value of each row, `[2][row]`: one read of the ring as a flat array."""
        flat = self.ring.values.ravel()
        if self.lie is None:
            return flat.take(self.reach.ends(self.ring, self.board.cell[self.places]))
        first_cell, pattern = self.lie
        return flat[first_cell:].take(self.reach.ends(self.ring, pattern.cells))

    @property
    def holes(self) -> Bools:
        """Rows with a sample in the range that is not good: their times are not their stream's."""
        return self.board.hole[self.places] >= self.reach.first

    @property
    def rough(self) -> Bools:
        """Rows with a hole, or whose value fell between two samples of the range."""
        return self.board.rough[self.places] > self.reach.first

    def chosen(self, rows: Rows) -> "RowRange":
        """Some of the rows."""
        return RowRange(self.board, self.ring, self.places_of(rows), self.reach.chosen(rows))


def row_range(now: Pass, block: Block, rows: Rows | None, range_ms: int, offset_ms: int) -> RowRange:
    """The range over a metric's rows (None: all of them)."""
    board, streams = now.window.board, stream_range(now, range_ms, offset_ms)
    if rows is None:
        pattern = now.window.pattern_of(block)
        found = RowRange(board, block.ring, block.span, streams.pattern_reach(pattern), (block.first_cell, pattern))
    else:
        places = block.start + rows
        found = RowRange(board, block.ring, places, streams.reach(board.stream[places]))
    if block.name in now.window.counts.shortened:
        _refuse_what_is_cut_off(now, block, found.reach)
    return found


def _refuse_what_is_cut_off(now: Pass, block: Block, reach: Reach) -> None:
    """Raises `EvaluationError` where a range begins before the oldest sample that a full ring holds."""
    heads, slots = now.window.streams.heads[reach.owners], block.ring.slots
    if some((reach.first <= heads - slots + 1) & (heads >= slots) & (reach.last >= reach.first)):
        raise EvaluationError(
            f"{block.name}: the window is full and holds less than the range asks for, try a shorter range, fewer metrics,"
            " or more memory for the window"
        )


@dataclass(slots=True, eq=False)
class Samples:
    """The good samples of rows in a range, oldest first: `[sample][row]`, each row's own count of them from the top."""

    values: Floats
    times: Times
    counts: Times

    @property
    def valid(self) -> Bools:
        """Cells that hold a sample."""
        there: Bools = np.arange(len(self.values))[:, None] < self.counts
        return there

    @property
    def last(self) -> Floats:
        """Each row's newest value; rows without samples yield any."""
        return self.values[np.maximum(self.counts - 1, 0), np.arange(len(self.counts))]

    @property
    def terms(self) -> Floats:
        """Values with zero where there is no sample."""
        return np.where(self.valid, self.values, 0.0)


def cells_from(ring: Ring, first: Times, last: Times, cells: Rows) -> Floats:
    """Every sample of rows from first to last, `[sample][row]`; a row with fewer ends in whatever follows."""
    depth = max(int((last - first).max(initial=0)) + 1, 1)
    read: Floats = ring.values[(first + np.arange(depth)[:, None]) & (ring.slots - 1), cells]
    return read


@dataclass(slots=True, eq=False)
class Ends:
    """The first and the last good sample of rows that may have holes."""

    first: Floats
    first_time: Times
    last_time: Times
    counts: Times
    uneven: Bools
    """Rows whose value may have fallen in between; none of the others did."""
    grown: Floats
    """The change from first to last."""

    def chosen(self, rows: Bools) -> "Ends":
        """Of some of the rows."""
        return Ends(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})

    @classmethod
    def joined(cls, parts: "Sequence[Ends]") -> "Ends":
        """Of all their rows."""
        if len(parts) == 1:
            return parts[0]
        return cls(**{each.name: np.concatenate([getattr(one, each.name) for one in parts]) for each in fields(cls)})


def steady(now: Pass, rows: RowRange) -> Ends:
    """Each row's ends, without putting its samples in order."""
    reach, ring, streams = rows.reach, rows.ring, now.window.streams
    lengths = reach.last - reach.first + 1
    depth = max(int(lengths.max(initial=0)), 1)
    step, columns = np.arange(depth)[:, None], np.arange(len(lengths))
    places = ((reach.first + step) & (ring.slots - 1)) * ring.width + rows.board.cell[rows.places]
    read = ring.values.ravel().take(places)
    good = (ring.states.ravel().take(places) & GOOD_MASK == 0) & (step < lengths)
    first, last = good.argmax(axis=0), depth - 1 - good[::-1].argmax(axis=0)
    highest = np.maximum.accumulate(np.where(good, read, -np.inf), axis=0)
    fell = (highest[:-1] > read[1:]) & good[1:]
    times = streams.times[(reach.first + np.array([first, last])) & (streams.slots - 1), reach.owners]
    ends = read[np.array([first, last]), columns]
    return Ends(
        first=ends[0],
        grown=ends[1] - ends[0],
        first_time=times[0],
        last_time=times[1],
        counts=np.count_nonzero(good, axis=0),
        uneven=fell.any(axis=0) | np.isnan(highest[-1]),
    )


def samples(now: Pass, rows: RowRange) -> Samples:
    """Read the cells of rows that may have holes."""
    reach, ring, streams = rows.reach, rows.ring, now.window.streams
    counts = reach.last - reach.first + 1
    depth = max(int(counts.max(initial=0)), 1)
    numbers = reach.first + np.arange(depth)[:, None]
    slots, cells = numbers & (ring.slots - 1), rows.board.cell[rows.places]
    read = ring.values[slots, cells]
    times = streams.times[numbers & (streams.slots - 1), reach.owners]
    if not some(rows.holes):
        return Samples(read, times, counts)
    good = (ring.states[slots, cells] & GOOD_MASK == 0) & (np.arange(depth)[:, None] < counts)
    order = np.argsort(~good, axis=0, kind="stable")
    return Samples(np.take_along_axis(read, order, axis=0), np.take_along_axis(times, order, axis=0), good.sum(axis=0))


def chunks(rows: RowRange) -> Iterator[tuple[slice, RowRange]]:
    """Pieces of many rows, each small enough to be looked at whole."""
    reach = rows.reach
    total = len(reach.owners)
    depth = max(int((reach.last - reach.first + 1).max(initial=1)), 1)
    step = max(CELLS // depth, 1)
    if total <= step:
        yield slice(0, total), rows
        return
    for begin in range(0, total, step):
        piece = np.arange(begin, min(begin + step, total))
        yield slice(begin, begin + len(piece)), rows.chosen(piece)
