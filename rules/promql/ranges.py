"""Range vectors: which samples of each row lie in a range, shared by every function that reads the same one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from rules.arrays import Bools, Floats, Rows, Times
from rules.promql.errors import EvaluationError
from rules.promql.passes import Pass
from rules.window.arena import GOOD_MASK, Arena, Block

_CELLS: Final = 1 << 20
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
class StreamRange:
    """A range over all streams: numbers of the first and the last sample in it."""

    first: Times
    last: Times
    extent: Extent


def stream_range(now: Pass, range_ms: int, offset_ms: int) -> StreamRange:
    """Computed once a pass for all metrics and rules. The range is open to the left (Prometheus 3.x)."""
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
    """A range over rows of one metric."""

    arena: Arena
    columns: Rows | slice
    owners: Rows
    first: Times
    last: Times
    holes: Bools
    """Rows with a sample in the range that is not good: their times are not their stream's."""

    def cells(self, numbers: Times) -> Floats:
        """The values of one sample a row, out of the ring as one flat array (half the cost of two indexes)."""
        arena = self.arena
        columns = np.arange(self.columns.start, self.columns.stop) if isinstance(self.columns, slice) else self.columns
        flat = (numbers & (arena.slots - 1)) * arena.width + columns
        return arena.values.ravel().take(flat)

    @property
    def falls(self) -> Bools:
        """Rows whose value fell between two samples of the range."""
        return self.arena.reset[self.columns] > self.first

    def chosen(self, rows: Rows) -> "RowRange":
        """Some of the rows."""
        columns = self.columns.start + rows if isinstance(self.columns, slice) else self.columns[rows]
        return RowRange(self.arena, columns, self.owners[rows], self.first[rows], self.last[rows], self.holes[rows])


def row_range(now: Pass, block: Block, rows: Rows | None, range_ms: int, offset_ms: int) -> RowRange:
    """The range over a metric's rows (None: all of them, shared during the pass)."""
    key = (block.name, range_ms, offset_ms)
    if rows is None:
        found = now.views.get(key)
        if isinstance(found, RowRange):
            return found
    streams = stream_range(now, range_ms, offset_ms)
    columns: Rows | slice = block.span if rows is None else block.start + rows
    owners = block.arena.stream[columns]
    first, last = streams.first[owners], streams.last[owners]
    if block.name in now.window.counts.shortened:
        heads = now.window.streams.heads[owners]
        if bool(((first <= heads - block.arena.slots) & (last >= first)).any()):
            raise EvaluationError(
                f"{block.name}: the window is full and holds less than the range asks for, try a shorter range, fewer"
                " metrics, or more memory for the window"
            )
    result = RowRange(block.arena, columns, owners, first, last, block.arena.hole[columns] >= first)
    if rows is None:
        now.views[key] = result
    return result


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


def samples(now: Pass, rows: RowRange) -> Samples:
    """Read the cells of rows that may have holes."""
    counts = rows.last - rows.first + 1
    depth = max(int(counts.max(initial=0)), 1)
    numbers = rows.first + np.arange(depth)[:, None]
    columns = np.arange(rows.columns.start, rows.columns.stop) if isinstance(rows.columns, slice) else rows.columns
    slots = numbers & (rows.arena.slots - 1)
    values = rows.arena.values[slots, columns]
    streams = now.window.streams
    times = streams.times[numbers & (streams.slots - 1), rows.owners]
    if not rows.holes.any():
        return Samples(values, times, counts)
    good = (rows.arena.states[slots, columns] & GOOD_MASK == 0) & (np.arange(depth)[:, None] < counts)
    order = np.argsort(~good, axis=0, kind="stable")
    return Samples(
        np.take_along_axis(values, order, axis=0), np.take_along_axis(times, order, axis=0), good.sum(axis=0)
    )


def chunks(rows: RowRange) -> Iterator[tuple[slice, RowRange]]:
    """Pieces of many rows, each small enough to be looked at whole."""
    total = len(rows.owners)
    depth = max(int((rows.last - rows.first + 1).max(initial=1)), 1)
    step = max(_CELLS // depth, 1)
    if total <= step:
        yield slice(0, total), rows
        return
    for begin in range(0, total, step):
        piece = np.arange(begin, min(begin + step, total))
        yield slice(begin, begin + len(piece)), rows.chosen(piece)
