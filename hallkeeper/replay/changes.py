"""When each metric last changed: one comparison of the board with what it showed at the step before."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from rules.labels import LabelTable
from rules.window.board import Block, Pattern
from rules.window.ring import GOOD_MASK
from rules.window.standing import Standing
from rules.window.window import Window

Numbers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
NEVER: Final = -(1 << 62)
FEW: Final = 64
"""Rows with holes that are looked at one by one: more are left to the rules."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a metric's rows lay, and whose they were."""

    span: slice
    labels: LabelTable


@dataclass(frozen=True, slots=True)
class _Picture:
    """What the window showed at one look."""

    late: int
    values: npt.NDArray[np.uint64]
    """Each row's newest good value, as bits: one that is no number equals itself."""
    dead: Bools
    owners: Numbers
    """The rows' streams."""
    heads: Numbers
    fresh: Bools


class Changes:
    """What became of a window's values from step to step, metric by metric."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._structure = -1
        self._was: _Picture | None = None
        self._places: dict[str, _Place] = {}
        self._names: list[str] = []
        self._starts: Numbers = np.empty(0, dtype=np.int64)
        self._at: dict[str, int] = {}
        """When a value or the presence of one changed …"""
        self._moved: dict[str, int] = {}
        """… and when a value did."""
        self._born: dict[str, int] = {}
        """Metrics all of whose series began at one look, which saw their first samples."""
        self._steady: dict[tuple[Pattern, int], bytes | None] = {}
        self._owners: dict[Pattern, Numbers] = {}

    def look(self, at_ms: int, standing: Standing) -> None:
        """Take the window's values of this moment; what differs from those of the last look, in value or presence, changed now.

        A value that changed and changed back in between is found by its stream, which then took more than one sample. While
        a sample of a time still to come is there, everything counts as changed: it changes the past of a later look. So it
        does when a late sample went to its place.
        """
        window, board, streams = self._window, self._window.board, self._window.streams
        self._steady.clear()
        now = _Picture(
            late=window.counts.late + window.counts.too_late,
            values=board.current.view(np.uint64).copy(),
            dead=board.dead.copy(),
            owners=board.stream.copy()
            if self._was is None or window.structure != self._structure
            else self._was.owners,
            heads=streams.heads[: streams.size].copy(),
            fresh=standing.fresh,
        )
        spoilt = standing.ahead is not None or (self._was is not None and now.late != self._was.late)
        if self._was is None or spoilt or window.structure != self._structure:
            self._begin_anew(at_ms, now, spoilt=spoilt)
        elif len(self._starts):
            moved, odd = _differs(self._was, now)
            self._note(self._moved, moved, at_ms)
            self._note(self._at, moved if odd is None else moved | odd, at_ms)
        self._was = now

    def _note(self, when: dict[str, int], rows: Bools, at_ms: int) -> None:
        for place in np.flatnonzero(np.logical_or.reduceat(rows, self._starts)).tolist():
            when[self._names[place]] = at_ms

    def _begin_anew(self, at_ms: int, now: _Picture, *, spoilt: bool) -> None:
        """Rows came, went or moved: a metric changed unless it shows the same series with the same values."""
        blocks = sorted((b for b in self._window.blocks.values() if b.size), key=lambda block: block.start)
        for block in blocks:
            if spoilt or not self._same(block, now):
                heads = now.heads[now.owners[block.span]]
                first = not spoilt and block.name not in self._at and not heads.any()
                self._born[block.name] = at_ms if first else NEVER
                self._at[block.name] = self._moved[block.name] = at_ms
        for name in self._at.keys() - self._window.blocks.keys():
            del self._at[name], self._moved[name]
        self._structure = self._window.structure
        self._places = {block.name: _Place(block.span, block.labels) for block in blocks}
        self._names, self._starts = [b.name for b in blocks], np.array([b.start for b in blocks], dtype=np.int64)
        self._owners.clear()

    def _same(self, block: Block, now: _Picture) -> bool:
        was, place = self._was, self._places.get(block.name)
        if was is None or place is None or place.labels is not block.labels:
            return False
        old, new = place.span, block.span
        owners = now.owners[new]
        return (
            np.array_equal(was.owners[old], owners)
            and np.array_equal(was.values[old], now.values[new])
            and np.array_equal(was.dead[old], now.dead[new])
            and bool((now.heads[owners] - was.heads[owners] <= 1).all())
            and np.array_equal(was.fresh[owners], now.fresh[owners])
        )

    def changed_ms(self, name: str) -> int:
        """The look at which the metric was last found changed; `NEVER` where it has no series."""
        return self._at.get(name, NEVER)

    def flat(self, name: str, range_ms: int, now_ms: int) -> bytes | None:
        """Where every good sample of a range is its series' same value: which streams, and which rows with holes, have some.

        None where that is not so, or where one has a single sample in it: then what a rate shows cannot be told.
        """
        block, since_ms = self._window.blocks.get(name), now_ms - range_ms
        if block is None or not block.size:
            return b""
        if name in self._window.counts.shortened:  # a full ring may hold less than the range asks for
            return None
        moved_ms = self._moved[name]
        if moved_ms > since_ms and moved_ms != self._born[name]:
            return None
        holed = self._holed(block, since_ms)
        pattern = self._window.pattern_of(block)
        key = pattern, since_ms
        if key not in self._steady:
            self._steady[key] = self._two_or_none(pattern, since_ms)
        steady = self._steady[key]
        return None if steady is None or holed is None else steady + holed

    def _two_or_none(self, pattern: Pattern, since_ms: int) -> bytes | None:
        owners = self._owners.get(pattern)
        if owners is None:
            owners = self._owners[pattern] = np.unique(pattern.owners)
        streams = self._window.streams
        heads, mask = streams.heads[owners], streams.slots - 1
        first = (streams.times[heads & mask, owners] > since_ms) & (heads >= 0)
        second = (streams.times[(heads - 1) & mask, owners] > since_ms) & (heads >= 1)
        return None if (first & ~second).any() else second.tobytes()

    def _holed(self, block: Block, since_ms: int) -> bytes | None:
        """Of rows with a sample in the range that is not good: which have two good ones. None where one has a single one."""
        board, streams, ring = self._window.board, self._window.streams, block.ring
        rows = block.start + np.flatnonzero(board.hole[block.span] >= 0)
        holes, owners = board.hole[rows], board.stream[rows]
        held = holes > streams.heads[owners] - streams.slots
        rows = rows[held & (streams.times[holes & (streams.slots - 1), owners] > since_ms)]
        if not len(rows):
            return b""
        if len(rows) > FEW:
            return None
        numbers = streams.heads[board.stream[rows]] - np.arange(ring.slots)[:, None]
        times = streams.times[numbers & (streams.slots - 1), board.stream[rows]]
        good = ring.states[numbers & (ring.slots - 1), board.cell[rows]] & GOOD_MASK == 0
        counts = np.count_nonzero(good & (times > since_ms) & (numbers >= 0), axis=0)
        return None if (counts == 1).any() else rows.tobytes() + (counts > 1).tobytes()


def _differs(was: _Picture, now: _Picture) -> tuple[Bools, Bools | None]:
    """Rows whose value is another or whose stream took more than one sample; and those whose presence is (None: none)."""
    moved: Bools = now.values != was.values
    several = now.heads - was.heads > 1
    if several.any():
        moved |= several[now.owners] & (now.owners >= 0)
    present, fresh = now.dead != was.dead, now.fresh != was.fresh
    if not (present.any() or fresh.any()):
        return moved, None
    return moved, present | (fresh[now.owners] & (now.owners >= 0))
