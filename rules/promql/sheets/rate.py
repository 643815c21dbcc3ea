"""`rate`, `increase` and `delta` of many metrics at once, from pass to pass only where their ranges moved.

What a series gained over a range follows from which samples are its first and its last, and from nothing else: samples of
a number never change without that number's range moving. So a pass reads the series of those streams of which a sample
came or went, and extends all of them to the range's edges, which time alone moves. Falls and holes are made good once a
sample, not once a pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from rules.arrays import Bools, Floats, Rows, every
from rules.labels import LabelTable
from rules.promql.passes import Pass
from rules.promql.ranges import Ends, Reach, RowRange, chunks, stream_range
from rules.promql.rates import Rate, corrected
from rules.promql.sheets.leaf import Leaf
from rules.promql.sheets.places import Places
from rules.promql.sheets.sheet import Sheet, SheetNode
from rules.window.board import Pattern
from rules.window.ring import Ring

_NONE: Final[Rows] = np.empty(0, dtype=np.int64)


@dataclass(slots=True, eq=False)
class _Near:
    """Cells whose counter may have begun within the range."""

    cells: Rows
    """Line times rows plus row."""
    first: Floats
    """Their first values."""

    def renew(self, cells: Rows, first: Floats, stay: Bools | None) -> None:
        """Of those so far some stay; others come."""
        if stay is None:
            self.cells, self.first = cells, first
        elif len(cells) or not every(stay):
            self.cells = np.concatenate([self.cells[stay], cells])
            self.first = np.concatenate([self.first[stay], first])


@dataclass(slots=True, eq=False)
class _Holed:
    """Cells with a sample that is not good: their first and last ones are their own."""

    cells: Rows
    ends: Ends | None

    def renew(self, cells: Rows, ends: Sequence[Ends], stay: Bools | None) -> None:
        """Of those so far some stay; others come."""
        if stay is None or self.ends is None:
            self.cells, self.ends = cells, Ends.joined(ends) if ends else None
        elif ends or not every(stay):
            self.cells = np.concatenate([self.cells[stay], cells])
            self.ends = Ends.joined([self.ends.chosen(stay), *ends])


@dataclass(slots=True, eq=False)
class _Lie:
    """Where the samples are, for one structure of the window."""

    structure: int
    labels: LabelTable
    places: Places
    ring: Ring
    pattern: Pattern
    rows: Rows | None
    """Of the pattern; None for all of them."""
    columns: Rows
    """Of the rows in the ring, from the first of their metric's on."""
    first_cells: Rows
    """`[line][1]`: where each metric's columns begin."""
    names: frozenset[str]

    @classmethod
    def of(cls, now: Pass, leaves: Sequence[Leaf]) -> Self:
        """Find the leaves' rows; all of them lie alike."""
        for leaf in leaves:
            leaf.refresh(now)
        first = leaves[0]
        assert first.labels is not None
        pattern, rows = first.pattern(now), first.rows
        return cls(
            structure=now.window.structure,
            labels=first.labels.nameless,
            places=Places(leaves),
            ring=first.block.ring,
            pattern=pattern,
            rows=rows,
            columns=pattern.cells if rows is None else pattern.cells[rows],
            first_cells=np.array([[leaf.block.first_cell] for leaf in leaves if leaf.pattern(now)], dtype=np.int64),
            names=frozenset(leaf.block.name for leaf in leaves),
        )

    def reach(self, now: Pass, rate: Rate) -> Reach:
        """How the range lies over a line's rows."""
        streams = stream_range(now, rate.range_ms, rate.offset_ms)
        if self.rows is None:
            return streams.pattern_reach(self.pattern)
        return streams.reach(self.pattern.owners[self.rows])

    def ends(self, reach: Reach, rows: Rows) -> Floats:
        """First and last values of some rows of every line, `[2][line][row]`."""
        numbers = np.array([reach.first[rows], reach.last[rows]])
        cells = (numbers & (self.ring.slots - 1)) * self.ring.width + self.columns[rows]
        return self.ring.values.ravel().take(cells[:, None, :] + self.first_cells)


class RateSheet(SheetNode):
    """The function over another metric a line."""

    def __init__(self, rate: Rate, leaves: Sequence[Leaf]) -> None:
        super().__init__()
        self._rate, self._leaves = rate, tuple(leaves)
        self._lie: _Lie | None = None
        self._first = self._last = _NONE
        """For which samples the rest holds."""
        self._grown = self._result = np.empty((0, 0))
        """What each cell gained from its first sample to its last; and the memory of results."""
        self._bases: Rows = _NONE
        """`[line][1]`: each line's first cell."""
        self._near, self._holed = _Near(_NONE, np.empty(0)), _Holed(_NONE, None)

    def compute(self, now: Pass) -> Sheet | None:
        lie = self._lie
        if lie is None or lie.structure != now.window.structure:
            lie = self._lie = _Lie.of(now, self._leaves)
            self._first = _NONE
        if not lie.labels.unique or lie.names & now.window.counts.shortened.keys():
            return None
        reach = lie.reach(now, self._rate)
        self._renew(now, lie, reach)
        values, present = self._extended(now, reach)
        return Sheet((lie.labels,), values, present)

    def _renew(self, now: Pass, lie: _Lie, reach: Reach) -> None:
        """Look again where a first or last sample is another than before."""
        if len(self._first) != len(reach.first):
            rows, stays = np.arange(len(reach.first)), None
            self._bases = np.arange(len(self._leaves))[:, None] * len(rows)
            self._grown = np.empty(lie.places.shape)
            self._result = np.empty(lie.places.shape)
        else:
            moved = (self._first != reach.first) | (self._last != reach.last)
            rows, stays = np.flatnonzero(moved), ~moved
        if len(rows):
            self._first = _NONE  # nothing holds until all of it is done
            self._look(now, lie, reach, rows, stays)
        self._first, self._last = reach.first, reach.last

    def _look(self, now: Pass, lie: _Lie, reach: Reach, rows: Rows, stays: Bools | None) -> None:
        """Read the ends of some rows; `stays` tells those that are not among them."""
        board, cells = now.window.board, self._bases + rows
        first, last = lie.ends(reach, rows)
        grown = np.subtract(last, first, out=last)
        places = lie.places.at(rows)
        if self._rate.counts:
            uneven = np.flatnonzero(board.rough.take(places) > reach.first[rows])
        else:
            uneven = np.flatnonzero(board.hole.take(places) >= reach.first[rows])
        span = RowRange(board, lie.ring, places.ravel()[uneven], reach.chosen(rows[uneven % len(rows)]))
        holes = span.holes
        if self._rate.counts:
            even = np.flatnonzero(~holes)
            fallen = uneven[even]
            if len(fallen):
                grown.ravel()[fallen] = corrected(grown.ravel()[fallen], span.chosen(even))
            near = np.flatnonzero(first < grown + grown)
            stay = _staying(self._near.cells, stays)
            self._near.renew(cells.ravel()[near], first.ravel()[near], stay)
        self._grown.ravel()[cells] = grown
        torn = np.flatnonzero(holes)
        ends = [self._rate.ends(now, piece) for _, piece in chunks(span.chosen(torn))] if len(torn) else []
        self._holed.renew(cells.ravel()[uneven[torn]], ends, _staying(self._holed.cells, stays))

    def _extended(self, now: Pass, reach: Reach) -> tuple[Floats, Bools | None]:
        """What was gained, as far as the range goes; values, and which cells have one."""
        rate, own, width = self._rate, reach.own, len(reach.first)
        factor = reach.scaled(rate.range_ms / 1000.0) if rate.function == "rate" else reach.factor
        result = np.multiply(self._grown, factor, out=self._result)
        near = self._near.cells
        if len(near):
            grown = self._grown.ravel()[near]
            result.ravel()[near] = grown * rate.limited(grown, self._near.first, own.chosen(near % width))
        present = None if reach.everyone else own.enough[None]
        ends = self._holed.ends
        if ends is not None and len(self._holed.cells):
            present = np.repeat(own.enough[None], len(result), axis=0)
            result.ravel()[self._holed.cells], present.ravel()[self._holed.cells] = rate.of_ends(now, ends)
        return result, None if present is None or every(present.ravel()) else present


def _staying(cells: Rows, stays: Bools | None) -> Bools | None:
    """Of these cells those whose rows stay as they were; None where none does."""
    return None if stays is None else stays[cells % len(stays)]
