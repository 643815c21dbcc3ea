"""Frames of many streams written together: what a call costs is paid once for all frames that lie alike.

One frame's own way costs 10 to 20 µs, most of it calls; here a frame costs what reading it costs, and its share of one
gather, one comparison and two scatters. Only what is plain goes together: known places, newest samples, all of them good,
one frame of a source. Whatever else came with them is placed alone, in its order.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from bus.frames import Frame
from rules.arrays import Bools, Floats, Rows, some
from rules.window.board import Board
from rules.window.depth import LOOK_EVERY, shallow
from rules.window.layouts import Layout
from rules.window.ring import Ring
from rules.window.streams import Streams

_FLOAT64: Final = np.dtype("<f8")
_FIRST: Final = 64
FEW: Final = 2
"""So many frames are quicker placed one by one."""
NO_ROWS: Final[Rows] = np.empty(0, dtype=np.int64)


class Takes(Protocol):
    """Rollups, as far as a frame's values go there."""

    def take(self, layout: Layout, at_ms: int, values: Floats, states: None) -> None: ...


class _Run:
    """Where parts of many layouts lie: each has one run of the same width in the same ring."""

    def __init__(self, ring: Ring, positions: Rows | None, width: int, *, counter: bool) -> None:
        self.ring, self.positions, self.width, self.counter = ring, positions, width, counter
        self.rows: Rows = np.empty((_FIRST, width), dtype=np.int64)
        self.firsts: Rows = np.empty(_FIRST, dtype=np.int64)

    def set(self, place: int, rows: Rows, first: int) -> None:
        """Those of one layout."""
        if place >= len(self.firsts):
            self.rows = np.concatenate([self.rows, np.empty_like(self.rows)])
            self.firsts = np.concatenate([self.firsts, np.empty_like(self.firsts)])
        self.rows[place], self.firsts[place] = rows, first

    def write(self, board: Board, places: Rows, numbers: Rows, values: Floats, *, written: bool) -> None:
        """The newest samples, compared with those before; `written`: their cells are marked good already."""
        ring, rows, firsts = self.ring, self.rows[places].reshape(-1), self.firsts[places]
        mask, width, runs = ring.slots - 1, ring.width, ring.runs(self.width)
        chosen = values if self.positions is None else values[:, self.positions]
        if self.counter:
            lower = (chosen < runs[((numbers - 1) & mask) * width + firsts]).reshape(-1)
            if some(lower):
                board.rough[rows[lower]] = np.repeat(numbers, self.width)[lower]
        cells = (numbers & mask) * width + firsts
        runs[cells] = chosen
        board.current[rows] = chosen.reshape(-1)
        if not written:
            ring.marks(self.width)[cells] = 0


class Together:
    """The layouts whose frames may go together, as the window's rows lie now."""

    def __init__(self, board: Board, streams: Streams) -> None:
        self._board, self._streams = board, streams
        self.forget()

    def forget(self) -> None:
        """Rows moved: nothing of what was noted holds."""
        self._numbers: dict[tuple[str, int], int] = {}
        self._layouts: list[Layout] = []
        self._forms: list[list[_Run]] = []
        self._known: dict[object, int] = {}
        self._sizes: list[int] = []
        """Layouts of each form."""
        self._table: Rows = np.zeros((_FIRST, 4), dtype=np.int64)
        """Of each layout its stream, its form, its place among the form's, and the bytes of a frame's values."""

    def note(self, layout: Layout) -> None:
        """A layout's places are known."""
        if len(layout.streams) != 1:
            return
        stream, parts = layout.streams[0]
        if not all(isinstance(part.columns, slice) for part in parts):
            return
        key = (
            layout.size,
            *((id(p.ring), p.positions is not None and p.positions.tobytes(), len(p.rows), p.counter) for p in parts),
        )
        form = self._known.setdefault(key, len(self._forms))
        if form == len(self._forms):
            self._forms.append([_Run(p.ring, p.positions, len(p.rows), counter=p.counter) for p in parts])
            self._sizes.append(0)
        for run, part in zip(self._forms[form], parts, strict=True):
            assert isinstance(part.columns, slice)
            run.set(self._sizes[form], part.rows, part.columns.start)
        number = self._numbers[layout.source, layout.number] = len(self._layouts)
        self._layouts.append(layout)
        if number >= len(self._table):
            self._table = np.concatenate([self._table, np.zeros_like(self._table)])
        self._table[number] = stream, form, self._sizes[form], 8 * layout.size
        self._sizes[form] += 1

    def fit(self, frames: Sequence[Frame], not_after_ms: int | None) -> tuple[list[int], Rows]:
        """Which of several frames may go together, by their places, and the layout of each of those."""
        numbers = np.array([self._numbers.get((frame.source, frame.layout), -1) for frame in frames], dtype=np.int64)
        fit = (numbers >= 0) & np.array([frame.quality is None for frame in frames], dtype=np.bool_)
        if not some(fit):
            return [], NO_ROWS
        fit &= self._newer(numbers, frames, not_after_ms)
        sources = [frame.source for frame in frames]
        if len(set(sources)) < len(sources):
            counts = Counter(sources)
            fit &= np.array([counts[source] == 1 for source in sources], dtype=np.bool_)
        return np.flatnonzero(fit).tolist(), numbers[fit]

    def _newer(self, numbers: Rows, frames: Sequence[Frame], not_after_ms: int | None) -> Bools:
        """Whose values are as many as they should be, newer than what is there, after good ones, in rings that are deep enough."""
        streams, at = self._streams, np.array([frame.at for frame in frames], dtype=np.int64)
        owners, _, _, sizes = self._table[numbers].T
        heads = streams.heads[owners]
        newer: Bools = sizes == np.array([len(frame.values) for frame in frames], dtype=np.int64)
        newer &= at > streams.times[heads & (streams.slots - 1), owners]
        if not_after_ms is not None:
            newer &= at <= not_after_ms
        newer &= np.array([streams.clean[owner] for owner in owners.tolist()], dtype=np.int64) > 0
        for place in np.flatnonzero(newer & ((heads + 1) & (LOOK_EVERY - 1) == 0)).tolist():
            stream, parts = self._layouts[numbers[place]].streams[0]
            newer[place] = next(shallow(streams, stream, parts, int(at[place])), None) is None
        return newer

    def place(self, frames: Sequence[Frame], numbers: Rows, rollups: Takes | None) -> list[Layout]:
        """Put fit frames to their places; their layouts."""
        if not frames:
            return []
        layouts = [self._layouts[number] for number in numbers.tolist()]
        owners, forms, places, _ = self._table[numbers].T
        samples, clean = self._advance(owners, [frame.at for frame in frames])
        if rollups is not None:
            for layout, frame in zip(layouts, frames, strict=True):
                rollups.take(layout, frame.at, np.frombuffer(frame.values, _FLOAT64), None)
        for form in np.unique(forms).tolist() if len(self._forms) > 1 else [0]:
            chosen = np.flatnonzero(forms == form)
            values = np.frombuffer(b"".join([frames[one].values for one in chosen.tolist()]), _FLOAT64)
            for run in self._forms[form]:
                together = values.reshape(len(chosen), -1)
                written = clean >= run.ring.slots
                run.write(self._board, places[chosen], samples[chosen], together, written=written)
        return layouts

    def _advance(self, owners: Rows, times: list[int]) -> tuple[Rows, int]:
        """One more sample in each stream: its number there; and since how many all samples were good, in the worst of them."""
        streams = self._streams
        samples = streams.heads[owners] + 1
        streams.heads[owners] = samples
        streams.times[samples & (streams.slots - 1), owners] = times
        least = 1 << 62
        for owner, sample, at in zip(owners.tolist(), samples.tolist(), times, strict=True):
            clean = streams.clean[owner]
            least = min(least, clean)
            streams.newest[owner], streams.latest[owner], streams.clean[owner] = sample, at, clean + 1
        return samples, least
