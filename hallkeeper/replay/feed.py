"""Recorded frames into the window, in the order in which the bus took them, up to a moment."""

from typing import Final

import numpy as np
import numpy.typing as npt

from bus.frames import STALE, Frame, encode_table
from hallkeeper.replay.convoy import Convoys, Numbers
from hallkeeper.replay.order import Order
from hallkeeper.replay.tables import RecordedTables
from historian.recording.reader import Batch
from historian.recording.told import Told
from rules.window.depth import GUESSED_INTERVAL_MS, first_slots
from rules.window.layouts import Layout
from rules.window.ring import BYTES_PER_CELL
from rules.window.window import LIMIT_BYTES, Window

Bools = npt.NDArray[np.bool_]
FUTURE_MS: Final = 60_000
"""A frame further ahead of the bus's clock than this was dropped by the rule service, and is here."""
OWN: Final = "rules/"
"""Sources of frames that rules made: they are made again."""
FASTEST_MS: Final = 500
EXPECTED_BYTES: Final = LIMIT_BYTES // 2
"""What rings may take at once on the strength of the first minute's pace."""
LARGE: Final = 64
"""Frames of at least so many values travel apart from the small ones: what comes every second then has one pattern."""


class _Load:
    """One batch with what is derived from it once."""

    def __init__(self, batch: Batch, codes: Numbers, sources: Numbers, new: Bools) -> None:
        self.batch = batch
        self.codes = codes
        """Of each row's source and layout."""
        self.sources = sources
        self.new = new
        """Rows that count: not doubled, not our own, not of a time far ahead."""
        self.sizes = batch.ends - batch.starts
        self.large = self.sizes >= LARGE
        self.odd = _odd(batch)


class Feed:
    """Places one batch after the other."""

    def __init__(self, window: Window, *, together: bool = True) -> None:
        """Frames go `together` where they may, or each its own way: the window holds the same."""
        self._window = window
        self._together = together
        self._convoys = Convoys(window)
        self._order = Order()
        self._tables = RecordedTables(window.needs.of)
        window.tables = self._tables
        self._codes: dict[tuple[int, int], int] = {}
        self._sources: dict[str, int] = {}
        self._layouts: list[Layout | None] = []
        self._ready: Bools = np.zeros(0, dtype=np.bool_)
        self._lengths: Numbers = np.zeros(0, dtype=np.int64)
        """Values that a frame of each layout must have."""
        self._load: _Load | None = None
        self._next = 0
        self._depths: dict[int, int] = {}
        """Series that are read, by how far back (ms)."""
        self.names: set[str] = set()
        """Every metric that was ever named."""
        self.frames = 0
        self.points = 0

    def learn(self, told: Told) -> None:
        """Which series layouts stand for."""
        named = told.names(lambda source: not source.startswith(OWN))
        self.names.update(named)
        for name, count in named.items():
            need = self._window.needs.of(name)
            if need is not None:
                self._depths[need.depth_ms] = self._depths.get(need.depth_ms, 0) + count
        for table in self._tables.keep(told):
            self._window.append_table(encode_table(table))

    def take(self, batch: Batch | None) -> None:
        """The next minute; what is left of the one before is placed first."""
        if self._load is not None:
            self._place(len(self._load.batch))
        self._load, self._next = None, 0
        if batch is not None:
            known = self._sources
            owners = np.array([known.setdefault(name, len(known)) for name in batch.names], dtype=np.int64)
            own = np.array([name.startswith(OWN) for name in batch.names], dtype=np.bool_)
            sources = owners[batch.owner]
            skipped = own[batch.owner] | (batch.at > batch.taken + FUTURE_MS)
            new = self._order.new(sources, batch.boot, batch.sequence, skipped)
            self._load = _Load(batch, self._coded(sources, batch), sources, new)
            if not self.frames:
                self._expect(self._load)

    def _expect(self, load: _Load) -> None:
        """Make rings as deep as the recording's pace asks for, where memory allows it: deepening them later costs more."""
        first = np.unique(load.codes, return_index=True)[1]
        series, points = int(load.sizes[first].sum()), int(load.sizes.sum())
        lasts_ms = int(load.batch.taken[-1] - load.batch.taken[0])
        pace_ms = min(max(lasts_ms * series // max(points, 1), FASTEST_MS), GUESSED_INTERVAL_MS)
        cells = sum(first_slots(depth_ms, pace_ms) * count for depth_ms, count in self._depths.items())
        if cells * BYTES_PER_CELL <= EXPECTED_BYTES:
            self._window.guessed_interval_ms = pace_ms

    def _coded(self, sources: Numbers, batch: Batch) -> Numbers:
        """A number for each source's each layout."""
        layouts, place = np.unique(batch.layout, return_inverse=True)
        pairs, which = np.unique(sources * len(layouts) + place, return_inverse=True)
        known, numbers = self._codes, layouts.tolist()
        found = [
            known.setdefault((pair // len(numbers), numbers[pair % len(numbers)]), len(known))
            for pair in pairs.tolist()
        ]
        new = len(known) - len(self._layouts)
        self._layouts += [None] * new
        self._ready = np.concatenate([self._ready, np.zeros(new, dtype=np.bool_)])
        self._lengths = np.concatenate([self._lengths, np.zeros(new, dtype=np.int64)])
        return np.array(found, dtype=np.int64)[which]

    def until(self, at_ms: int) -> None:
        """Place every frame that the bus had taken by then."""
        if self._load is not None:
            self._place(int(np.searchsorted(self._load.batch.taken, at_ms, side="right")))

    def _place(self, end: int) -> None:
        load, first = self._load, self._next
        if load is None or end <= first:
            return
        self._next = end
        rows = first + np.flatnonzero(load.new[first:end])
        self.frames += len(rows)
        self.points += int(load.sizes[rows].sum())
        alone = self._travel(load, rows) if self._together else rows
        for row in alone.tolist():
            self._append(load, load.batch, row)

    def _travel(self, load: _Load, rows: Numbers) -> Numbers:
        """Send off what may go together; the rows that must go alone, in their order."""
        if not self._convoys.settled():
            for code, layout in enumerate(self._layouts):
                self._ready[code] = layout is not None and self._convoys.usable(layout)
        codes, sources, large = load.codes[rows], load.sources[rows], load.large[rows]
        plain = self._ready[codes] & ~load.odd[rows] & (self._lengths[codes] == load.sizes[rows])
        several = np.bincount(sources)[sources] > 1
        plain &= ~self._entangled(codes, sources, plain, large)
        left = [rows[~plain]]
        for size in (large, ~large):
            chosen = plain & size
            if (several & chosen).any() and not self._convoys.apart(codes[chosen], self._layouts):
                left.append(rows[chosen & several])
                chosen &= ~several
            if chosen.any():
                left.append(self._sent(load, rows[chosen]))
        return np.sort(np.concatenate(left))

    @staticmethod
    def _entangled(codes: Numbers, sources: Numbers, plain: Bools, large: Bools) -> Bools:
        """Rows of sources whose order matters: one frame is not plain, or comes twice, or they travel apart."""
        bad = ~plain | (np.bincount(codes)[codes] > 1)
        small = np.bincount(sources, weights=~large) > 0
        entangled: Bools = (
            (np.bincount(sources, weights=bad) > 0) | (small & (np.bincount(sources, weights=large) > 0))
        )[sources]
        return entangled

    def _sent(self, load: _Load, rows: Numbers) -> Numbers:
        """Send them off; those that were not fit to go with the others."""
        convoy = self._convoys.of(load.codes[rows], self._layouts)
        unfit = self._convoys.unfit(convoy, load.batch.at[rows])
        left = rows[unfit]
        if len(left):
            rows = rows[~unfit]
            convoy = self._convoys.of(load.codes[rows], self._layouts)
        if len(rows):
            batch = load.batch
            self._convoys.go(convoy, batch.at[rows], batch.starts[rows], batch.values)
            counts = self._window.counts
            counts.frames += len(rows)
            counts.points += int(load.sizes[rows].sum())
        return left

    def _append(self, load: _Load, batch: Batch, row: int) -> None:
        """The window's own way."""
        quality = batch.quality[row]
        layout = self._window.append_frame(
            Frame(
                source=batch.names[batch.owner[row]],
                boot=int(batch.boot[row]),
                sequence=int(batch.sequence[row]),
                layout=int(batch.layout[row]),
                at=int(batch.at[row]),
                values=batch.values[batch.starts[row] : batch.ends[row]].tobytes(),
                quality=None if quality is None else quality.tobytes(),
            )
        )
        if layout is not None:
            code = int(load.codes[row])
            self._layouts[code], self._lengths[code] = layout, layout.size
            self._ready[code] = self._convoys.usable(layout)


def _odd(batch: Batch) -> Bools:
    """Frames in which not every sample is good."""
    odd = np.array([quality is not None for quality in batch.quality], dtype=np.bool_)
    marked = np.flatnonzero(batch.values.view(np.uint64) == np.uint64(STALE))
    if len(marked):
        order = np.argsort(batch.starts, kind="stable")
        odd[order[np.searchsorted(batch.starts[order], marked, side="right") - 1]] = True
    return odd
