"""Recorded frames into the window, in the order in which the bus took them, up to a moment."""

from typing import Final

import numpy as np
import numpy.typing as npt

from bus.frames import STALE, Frame, SeriesTable, encode_table
from hallkeeper.replay.convoy import Convoy, Convoys, Numbers
from historian.recording.reader import Batch
from rules.window.layouts import Layout
from rules.window.sequences import Sequences
from rules.window.window import Window

FUTURE_MS: Final = 60_000
"""A frame further ahead of the bus's clock than this was dropped by the rule service, and is here."""
OWN: Final = "rules/"
"""Sources of frames that rules made: they are made again."""
LARGE: Final = 64
"""Frames of at least so many values travel apart from the small ones: what comes every second then has one pattern."""


class _Load:
    """One batch with what is derived from it once: plain lists for what is read one by one, codes for the rest."""

    def __init__(self, batch: Batch, codes: Numbers, sources: Numbers) -> None:
        self.batch = batch
        self.codes = codes
        """Of each row's source and layout."""
        self.sources = sources
        self.boot: list[int] = batch.boot.tolist()
        self.sequence: list[int] = batch.sequence.tolist()
        own = np.array([source.startswith(OWN) for source in batch.source], dtype=np.bool_)
        self.skipped: list[bool] = (own | (batch.at > batch.taken + FUTURE_MS)).tolist()
        self.sizes = batch.ends - batch.starts
        self.odd = _odd(batch)


class Feed:
    """Places one batch after the other."""

    def __init__(self, window: Window, *, together: bool = True) -> None:
        """Frames go `together` where they may, or each its own way: the window holds the same."""
        self._window = window
        self._together = together
        self._convoys = Convoys(window)
        self._sequences = Sequences()
        self._codes: dict[tuple[str, int], int] = {}
        self._sources: dict[str, int] = {}
        self._layouts: list[Layout | None] = []
        self._ready: npt.NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        self._lengths: Numbers = np.zeros(0, dtype=np.int64)
        """Values that a frame of each layout must have."""
        self._load: _Load | None = None
        self._next = 0
        self.names: set[str] = set()
        """Every metric that was ever named."""
        self.frames = 0
        self.points = 0

    def learn(self, table: SeriesTable) -> None:
        """Which series a layout stands for."""
        if not table.source.startswith(OWN):
            self.names.update([name for name, _ in table.series])
            self._window.append_table(encode_table(table))

    def take(self, batch: Batch | None) -> None:
        """The next minute; what is left of the one before is placed first."""
        if self._load is not None:
            self._place(len(self._load.batch))
        self._load, self._next = None, 0
        if batch is not None:
            known, sources = self._codes, self._sources
            pairs = zip(batch.source, batch.layout.tolist(), strict=True)
            codes = np.array([known.setdefault(pair, len(known)) for pair in pairs], dtype=np.int64)
            owners = [sources.setdefault(source, len(sources)) for source in batch.source]
            self._load = _Load(batch, codes, np.array(owners, dtype=np.int64))
            self._layouts += [None] * (len(known) - len(self._layouts))
            new = len(known) - len(self._ready)
            self._ready = np.concatenate([self._ready, np.zeros(new, dtype=np.bool_)])
            self._lengths = np.concatenate([self._lengths, np.zeros(new, dtype=np.int64)])

    def until(self, at_ms: int) -> None:
        """Place every frame that the bus had taken by then."""
        if self._load is not None:
            self._place(int(np.searchsorted(self._load.batch.taken, at_ms, side="right")))

    def _place(self, end: int) -> None:
        load, first = self._load, self._next
        if load is None or end <= first:
            return
        self._next = end
        batch, add, sources = load.batch, self._sequences.add, load.batch.source
        rows = np.array(
            [
                row
                for row in range(first, end)
                if not load.skipped[row] and add(sources[row], load.boot[row], load.sequence[row])
            ],
            dtype=np.int64,
        )
        self.frames += len(rows)
        self.points += int(load.sizes[rows].sum())
        alone = self._travel(load, rows) if self._together else rows
        for row in alone.tolist():
            self._append(load, batch, row)

    def _travel(self, load: _Load, rows: Numbers) -> Numbers:
        """Send off what may go together; the rows that must go alone, in their order."""
        if not self._convoys.settled():
            self._ready[:] = False
            for code, layout in enumerate(self._layouts):
                self._ready[code] = layout is not None and self._convoys.usable(layout)
        codes = load.codes[rows]
        plain = self._ready[codes] & ~load.odd[rows] & (self._lengths[codes] == load.sizes[rows])
        plain &= ~_shared(load.sources[rows], plain)
        left = [rows[~plain]]
        large = load.sizes[rows] >= LARGE
        for group in (rows[plain & large], rows[plain & ~large]):
            if len(group):
                left.append(self._sent(load, group))
        return np.sort(np.concatenate(left))

    def _sent(self, load: _Load, rows: Numbers) -> Numbers:
        """Send them off; those that were not fit to go with the others."""
        unfit = self._convoys.unfit(self._convoy(load, rows), load.batch.at[rows])
        left, rows = rows[unfit], rows[~unfit]
        if len(rows):
            batch = load.batch
            self._convoys.go(self._convoy(load, rows), batch.at[rows], batch.starts[rows], batch.values)
            counts = self._window.counts
            counts.frames += len(rows)
            counts.points += int(load.sizes[rows].sum())
        return left

    def _convoy(self, load: _Load, rows: Numbers) -> Convoy:
        codes = load.codes[rows]
        return self._convoys.of(codes, [self._layouts[code] for code in codes.tolist()])

    def _append(self, load: _Load, batch: Batch, row: int) -> None:
        """The window's own way."""
        quality = batch.quality[row]
        layout = self._window.append_frame(
            Frame(
                source=batch.source[row],
                boot=load.boot[row],
                sequence=load.sequence[row],
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


def _shared(sources: Numbers, plain: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Rows of sources that have more than one frame here, or one that is not plain: their order matters."""
    _, which, counts = np.unique(sources, return_inverse=True, return_counts=True)
    spoilt = np.bincount(which, weights=~plain, minlength=len(counts)) > 0
    shared: npt.NDArray[np.bool_] = ((counts > 1) | spoilt)[which]
    return shared


def _odd(batch: Batch) -> npt.NDArray[np.bool_]:
    """Frames in which not every sample is good."""
    odd = np.array([quality is not None for quality in batch.quality], dtype=np.bool_)
    marked = np.flatnonzero(batch.values.view(np.uint64) == np.uint64(STALE))
    if len(marked):
        order = np.argsort(batch.starts, kind="stable")
        odd[order[np.searchsorted(batch.starts[order], marked, side="right") - 1]] = True
    return odd
