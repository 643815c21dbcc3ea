"""Frames into cells: newest samples at the end of their stream, late ones at their place."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from bus.frames import STALE as STALE_BITS
from bus.frames import Frame
from rules.arrays import Bytes, Floats, some
from rules.window.board import Board
from rules.window.layouts import Part
from rules.window.ring import GOOD_MASK, STALE

_STALE: Final = np.uint64(STALE_BITS)


def may_be_marked(frames: Sequence[Frame]) -> bool:
    """Whether a stale marker is among the values of several frames: one look at all of them costs less than one at each."""
    together = np.frombuffer(b"".join([frame.values for frame in frames]), dtype=np.uint64)
    return some(together == _STALE)


def states_of(frame: Frame, values: Floats, *, marked: bool = True) -> Bytes | None:
    """The state of each sample; None where all are good. `marked` is whether one may be stale."""
    if frame.quality is None:
        if not marked:
            return None
        stale = values.view(np.uint64) == _STALE
        return np.where(stale, np.uint8(STALE), np.uint8(0)) if some(stale) else None
    stale = values.view(np.uint64) == _STALE
    states = np.frombuffer(frame.quality, dtype=np.uint8).copy()
    states[states & GOOD_MASK == GOOD_MASK] &= 0xFE  # the unused fourth quality counts as bad, and must not look stale
    states[stale] = STALE
    return states


def write(board: Board, part: Part, number: int, values: Floats, clean: int) -> None:
    """The newest samples, all of them good: one run of the ring, compared with the run before it, and one scatter.

    `clean` is how many samples of the stream before this one were all good.
    """
    values = _put(board, part, number, values)
    board.current[part.rows] = values
    ring = part.ring
    if clean < ring.slots:
        ring.states[number & (ring.slots - 1), part.columns] = 0
        if not clean:
            board.dead[part.rows] = False
            board.deaths += 1


def _put(board: Board, part: Part, number: int, values: Floats) -> Floats:
    """The part's values, in their run of the ring; falls are noted."""
    if part.positions is not None:
        values = values[part.positions]
    runs, columns, mask = part.ring.values, part.columns, part.ring.slots - 1
    runs[number & mask, columns] = values
    if part.counter:
        lower = values < runs[(number - 1) & mask, columns]
        if lower[lower.argmax()]:
            board.rough[part.rows[lower]] = number
    return values


def write_marked(board: Board, part: Part, number: int, values: Floats, states: Bytes) -> None:
    """A frame in which not every sample is good, or some carry a reason."""
    chosen = _put(board, part, number, values)
    _mark(board, part, number, chosen, states if part.positions is None else states[part.positions])


def _mark(board: Board, part: Part, number: int, chosen: Floats, states: Bytes) -> None:
    part.ring.states[number & (part.ring.slots - 1), part.columns] = states
    good = states & GOOD_MASK == 0
    board.current[part.rows[good]] = chosen[good]
    board.dead[part.rows] = ~good
    board.deaths += 1
    bad = part.rows[~good]
    board.hole[bad] = number
    board.rough[bad] = number + 1


def insert(board: Board, part: Part, place: int, head: int, values: Floats, states: Bytes | None) -> None:
    """Late samples: newer ones move up by one, and what is newest stays what it is."""
    ring, columns, mask = part.ring, part.columns, part.ring.slots - 1
    oldest = head - ring.slots  # its slot is the one that the newest moves to
    for number in range(head, max(place, oldest + 1), -1):
        ring.values[number & mask, columns] = ring.values[(number - 1) & mask, columns]
        ring.states[number & mask, columns] = ring.states[(number - 1) & mask, columns]
    for marks in (board.hole, board.rough):
        later = marks[part.rows] >= place
        marks[part.rows[later]] += 1
    # who is below whom has changed around the place: the exact way looks again
    board.rough[part.rows] = np.maximum(board.rough[part.rows], place + 1)
    if place > oldest:
        ring.values[place & mask, columns] = values if part.positions is None else values[part.positions]
        _mark_late(board, part, place, states)


def _mark_late(board: Board, part: Part, place: int, states: Bytes | None) -> None:
    ring = part.ring
    if states is None:
        ring.states[place & (ring.slots - 1), part.columns] = 0
        return
    chosen = states if part.positions is None else states[part.positions]
    ring.states[place & (ring.slots - 1), part.columns] = chosen
    bad = part.rows[chosen & GOOD_MASK != 0]
    board.hole[bad] = np.maximum(board.hole[bad], place)
    board.rough[bad] = np.maximum(board.rough[bad], place + 1)
