"""Frames of many sources placed together: what the window does frame by frame, done for a whole step in array calls.

A frame's own way costs 10 to 17 µs whatever it holds, 1,400 frames a second of a 640-node site; together they cost one
gather and one scatter a ring. Only what is plain goes together: known layouts, newest samples, all of them good. Everything
else takes the window's own way. `tests/unit/replay` compares both, array by array.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from rules.rollups.buckets import MINUTE_MS
from rules.rollups.keep import Metric, Rollups
from rules.window.layouts import Layout
from rules.window.ring import Ring
from rules.window.window import Window

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

KEPT: Final = 64
"""Convoys that are kept ready: sources answer in a few patterns that come again."""
LOOK_EVERY: Final = 4
"""The window looks every so many samples whether a ring is deep enough; such a look is left to it."""


@dataclass(slots=True)
class _Cargo:
    """What a convoy brings into one ring: one entry a value."""

    ring: Ring
    frame: Numbers
    """Which frame of the convoy it comes from."""
    place: Numbers
    """Where in that frame."""
    stream: Numbers
    """Index into the convoy's streams."""
    column: Numbers
    row: Numbers
    counters: Numbers
    """Entries that belong to counters."""


@dataclass(slots=True)
class _Rolled:
    """What a convoy brings into the look-backs of one metric: one entry a value."""

    metric: Metric
    frame: Numbers
    place: Numbers
    column: Numbers


@dataclass(slots=True)
class Convoy:
    """Some layouts, one frame of each at a time."""

    streams: Numbers
    frame_of: Numbers
    """For each stream the frame that brings it."""
    cargo: list[_Cargo]
    part_stream: Numbers
    """For each part that is kept deep: its stream's index, its ring's slots, its depth in ms."""
    part_slots: Numbers
    part_depth: Numbers
    deepest: int
    """Slots of the deepest ring."""
    stream_list: list[int]
    rolled: list["_Rolled"]
    apart: bool
    """No two of its frames bring the same stream."""


class Convoys:
    """Convoys for the layouts that one window knows; they are forgotten when its rows move."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._places = -1
        self._kept: OrderedDict[bytes, Convoy] = OrderedDict()

    def settled(self) -> bool:
        """Whether rows still lie where they lay at the last call; if not, nothing that was kept holds any more."""
        if self._places == self._window.places:
            return True
        self._places = self._window.places
        self._kept.clear()
        return False

    def usable(self, layout: Layout) -> bool:
        """Whether its frames may travel: its places are known, and somebody reads it."""
        return layout.version == self._window.places and bool(layout.streams)

    def of(self, codes: Numbers, layouts: Sequence[Layout | None]) -> Convoy:
        """The convoy of the layouts that have these codes."""
        key = codes.tobytes()
        found = self._kept.get(key)
        if found is None:
            chosen = [layout for code in codes.tolist() if (layout := layouts[code]) is not None]
            found = self._kept[key] = _assemble(chosen, self._window.rollups)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return found

    def apart(self, codes: Numbers, layouts: Sequence[Layout | None]) -> bool:
        """Whether each of these layouts has streams of its own, so that their order does not matter."""
        return self.of(codes, layouts).apart

    def unfit(self, convoy: Convoy, at: Numbers) -> npt.NDArray[np.bool_]:
        """Frames that must go alone: not newer than what a stream of theirs holds, or rows to be revived, or a ring too shallow."""
        streams, ats = self._window.streams, at[convoy.frame_of]
        heads, mask = streams.heads[convoy.streams], streams.slots - 1
        unfit = ats <= streams.times[heads & mask, convoy.streams]
        unfit |= np.fromiter(map(streams.clean.__getitem__, convoy.stream_list), np.int64, len(heads)) == 0
        numbers = (heads + 1)[convoy.part_stream]
        near = (numbers & (LOOK_EVERY - 1) == 0) & (numbers >= convoy.part_slots - LOOK_EVERY)
        if near.any():
            oldest = np.maximum(numbers - convoy.part_slots + LOOK_EVERY, 0) & mask
            times = streams.times[oldest, convoy.streams[convoy.part_stream]]
            shallow = near & (times > ats[convoy.part_stream] - convoy.part_depth)
            unfit[convoy.part_stream[shallow]] = True
        alone = np.zeros(len(at), dtype=np.bool_)
        alone[convoy.frame_of[unfit]] = True
        return alone

    def go(self, convoy: Convoy, at: Numbers, starts: Numbers, values: Floats) -> None:
        """Place one frame of each layout; `starts` says where each frame's values begin in `values`."""
        streams, ats = self._window.streams, at[convoy.frame_of]
        numbers = streams.heads[convoy.streams] + 1
        streams.heads[convoy.streams] = numbers
        streams.times[numbers & (streams.slots - 1), convoy.streams] = ats
        newest, latest, clean = streams.newest, streams.latest, streams.clean
        rewrite = min(map(clean.__getitem__, convoy.stream_list), default=0) < convoy.deepest
        for stream, number, moment in zip(convoy.stream_list, numbers.tolist(), ats.tolist(), strict=True):
            newest[stream], latest[stream] = number, moment
            clean[stream] += 1
        for cargo in convoy.cargo:
            self._load(cargo, numbers, values.take(starts[cargo.frame] + cargo.place), rewrite=rewrite)
        for rolled in convoy.rolled:
            self._roll(rolled, at[rolled.frame], values.take(starts[rolled.frame] + rolled.place))

    def _load(self, cargo: _Cargo, numbers: Numbers, chosen: Floats, *, rewrite: bool) -> None:
        ring, board = cargo.ring, self._window.board
        mask, width = ring.slots - 1, ring.values.shape[1]
        cells = ring.values.reshape(-1)
        target = ((numbers & mask) * width)[cargo.stream] + cargo.column
        if len(cargo.counters):
            some = cargo.counters
            before = (((numbers - 1) & mask) * width)[cargo.stream[some]] + cargo.column[some]
            lower = chosen[some] < cells.take(before)
            if lower.any():
                fell = some[lower]
                board.rough[cargo.row[fell]] = numbers[cargo.stream[fell]]
        cells[target] = chosen
        board.current[cargo.row] = chosen
        if rewrite:
            ring.states.reshape(-1)[target] = 0

    @staticmethod
    def _roll(rolled: _Rolled, at: Numbers, chosen: Floats) -> None:
        """Minute by minute: a bucket holds whole ones."""
        minutes = at // MINUTE_MS
        for minute in np.unique(minutes).tolist():
            mine = minutes == minute
            rolled.metric.add(at[mine], rolled.column[mine], chosen[mine])


def _assemble(layouts: Sequence[Layout], rollups: Rollups | None) -> Convoy:
    streams: list[int] = []
    frame_of: list[int] = []
    parts: list[tuple[int, int, int]] = []
    loads: dict[int, list[tuple[Numbers, ...]]] = {}
    rings: dict[int, Ring] = {}
    for frame, layout in enumerate(layouts):
        for stream, own in layout.streams:
            index = len(streams)
            streams.append(stream)
            frame_of.append(frame)
            for part in own:
                rings[id(part.ring)] = part.ring
                if part.depth_ms:
                    parts.append((index, part.ring.slots, part.depth_ms))
                places = np.arange(layout.size) if part.positions is None else part.positions
                columns = part.columns
                if isinstance(columns, slice):
                    columns = np.arange(columns.start, columns.stop)
                size = len(part.rows)
                marks = np.full(size, part.counter)
                load = (np.full(size, frame), places, np.full(size, index), columns, part.rows, marks)
                loads.setdefault(id(part.ring), []).append(load)
    deep = np.array(parts, dtype=np.int64).reshape(-1, 3)
    return Convoy(
        streams=np.array(streams, dtype=np.int64),
        frame_of=np.array(frame_of, dtype=np.int64),
        cargo=[_cargo(rings[ring], found) for ring, found in loads.items()],
        part_stream=deep[:, 0],
        part_slots=deep[:, 1],
        part_depth=deep[:, 2],
        deepest=max((ring.slots for ring in rings.values()), default=0),
        stream_list=streams,
        rolled=[] if rollups is None else _rolled(layouts, rollups),
        apart=len(set(streams)) == len(streams),
    )


def _rolled(layouts: Sequence[Layout], rollups: Rollups) -> list[_Rolled]:
    """By metric: which values of which frames go to which columns of its look-backs."""
    found: dict[int, list[tuple[Numbers, Numbers, Numbers]]] = {}
    metrics: dict[int, Metric] = {}
    for frame, layout in enumerate(layouts):
        for metric, places, columns in rollups.places(layout):
            metrics[id(metric)] = metric
            found.setdefault(id(metric), []).append((np.full(len(places), frame), places, columns))
    return [
        _Rolled(metrics[key], *(np.concatenate(each) for each in zip(*loads, strict=True)))
        for key, loads in found.items()
    ]


def _cargo(ring: Ring, loads: Sequence[tuple[Numbers, ...]]) -> _Cargo:
    frame, place, stream, column, row, counter = (np.concatenate(each) for each in zip(*loads, strict=True))
    return _Cargo(
        ring=ring, frame=frame, place=place, stream=stream, column=column, row=row, counters=np.flatnonzero(counter)
    )
