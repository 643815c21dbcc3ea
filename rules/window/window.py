"""The window itself: frames in, rows of newest samples out; late, doubled and unknown frames on the way."""

from collections.abc import Sequence
from itertools import compress
from typing import Final

import numpy as np

from bus.frames import Frame, decode_frame
from rules.arrays import Bytes, Floats, Rows
from rules.labels import Strings
from rules.rollups.keep import Rollups
from rules.window import registry
from rules.window.account import Counts, Taken
from rules.window.board import Block, Board, Pattern
from rules.window.depth import GUESSED_INTERVAL_MS, SHORTEST_INTERVAL_MS, first_slots, shallow
from rules.window.layouts import Layout, Part, assign, derive
from rules.window.needs import Needs
from rules.window.patterns import Patterns
from rules.window.ring import Ring
from rules.window.sequences import Sequences
from rules.window.standing import Standing, standing
from rules.window.streams import Streams
from rules.window.tables import TABLE, Tables
from rules.window.taking import take_all
from rules.window.together import FEW, NO_ROWS, Together
from rules.window.writing import insert, states_of, write, write_marked

LIMIT_BYTES: Final = 3 << 30
"""What the rings may hold together (design section 4: 3 GB at 500,000 series)."""
_FLOAT64: Final = np.dtype("<f8")


class Window:
    """The newest samples of every series that somebody needs."""

    def __init__(self, needs: Needs, *, limit_bytes: int = LIMIT_BYTES) -> None:
        """Nothing is kept of metrics outside `needs`; rings stop growing at `limit_bytes`."""
        self.needs = needs
        self.strings = Strings()
        self.streams = Streams()
        self.board = Board()
        self.tables = Tables()
        self.counts = Counts()
        self.guessed_interval_ms = GUESSED_INTERVAL_MS
        """From which new rings get their first slots; who knows the interval better may say so before the first frame."""
        self._limit_bytes = limit_bytes
        self._rings: dict[int, Ring] = {}
        self._layouts: dict[tuple[str, int], Layout] = {}
        self._sequences = Sequences()
        self.structure = 0
        """Counts up whenever rows come, go or move."""
        self.places = 0
        """Counts up whenever rows go or move: what a layout knows of its own rows' places holds no more."""
        self.rollups: Rollups | None = None
        """What is kept beyond raw samples, where somebody looks back so far."""
        self.together = Together(self.board, self.streams)
        self._patterns = Patterns()
        self._standing: Standing | None = None

    @property
    def blocks(self) -> dict[str, Block]:
        """The metrics that have rows, by name."""
        return self.board.blocks

    @property
    def nbytes(self) -> int:
        """Memory of all arrays."""
        return self.streams.nbytes + self.board.nbytes + sum(ring.nbytes for ring in self._rings.values())

    @property
    def rings(self) -> list[Ring]:
        """The rings, each with its depth."""
        return list(self._rings.values())

    @property
    def series(self) -> int:
        """Rows in use."""
        return self.board.series

    def append(self, value: bytes, *, not_after_ms: int | None = None) -> list[Layout]:
        """Take a frame or a table; the layouts that now have a sample newer than any before. Raises `Malformed`."""
        if value[:1] == TABLE:
            return self.append_table(value)
        layout = self.append_frame(decode_frame(value), not_after_ms=not_after_ms)
        return [] if layout is None else [layout]

    def append_all(self, values: Sequence[bytes], *, not_after_ms: int | None = None) -> Taken:
        """Take many frames and tables in their order: what they have in common is looked at once."""
        return take_all(self, values, not_after_ms=not_after_ms)

    def append_table(self, value: bytes) -> list[Layout]:
        """Remember which series a layout stands for, and place the frames that waited for it."""
        return [layout for frame in self.tables.learn(value) if (layout := self._place(frame)) is not None]

    def append_frames(self, frames: Sequence[Frame], *, not_after_ms: int | None = None) -> list[Layout]:
        """Frames without stale markers: the plain ones together, then the others; layouts as `append_all` gives them."""
        fit, numbers = self.together.fit(frames, not_after_ms) if len(frames) > FEW else ([], NO_ROWS)
        new = [self._sequences.add(frames[one].source, frames[one].boot, frames[one].sequence) for one in fit]
        layouts = self.together.place([frames[one] for one in compress(fit, new)], numbers[new], self.rollups)
        self.counts.duplicates += len(fit) - len(layouts)
        self.counts.frames += len(layouts)
        self.counts.points += sum([layout.size for layout in layouts])
        together = frozenset(fit)
        for frame in [frame for place, frame in enumerate(frames) if place not in together]:
            layout = self.append_frame(frame, not_after_ms=not_after_ms, marked=False)
            layouts += [] if layout is None else [layout]
        return layouts

    def append_frame(self, frame: Frame, *, not_after_ms: int | None = None, marked: bool = True) -> Layout | None:
        """Put a frame's values to their places; its layout when they are newer than what was there.

        `marked` is whether a stale marker may be among its values.
        """
        if not_after_ms is not None and frame.at > not_after_ms:
            self.counts.future += 1
            return None
        if not self._sequences.add(frame.source, frame.boot, frame.sequence):
            self.counts.duplicates += 1
            return None
        self.counts.frames += 1
        return self._place(frame, marked=marked)

    def _place(self, frame: Frame, *, marked: bool = True) -> Layout | None:
        layout = self._layouts.get((frame.source, frame.layout)) or self._known(frame)
        if layout is None:
            self.tables.park(frame)
            return None
        if layout.version != self.places:
            self._derive(layout)
        if not layout.streams:
            return None
        values: Floats = np.frombuffer(frame.values, _FLOAT64)
        if len(values) != layout.size:
            self.counts.malformed += 1
            return None
        self.counts.points += layout.size
        if self._deepened(layout, frame.at):
            self._derive(layout)
        states = None if not marked and frame.quality is None else states_of(frame, values)
        if self.rollups is not None:
            self.rollups.take(layout, frame.at, values, states)
        return layout if self._fill(layout, frame.at, values, states) else None

    def _fill(self, layout: Layout, at: int, values: Floats, states: Bytes | None) -> bool:
        """Write every stream's samples; whether some are newer than all before."""
        streams, newer = self.streams, False
        for stream, parts in layout.streams:
            if at <= streams.latest[stream]:
                self._insert(stream, parts, at, values, states)
                continue
            newer = True
            number = streams.advance(stream, at)
            if states is None:
                clean = streams.clean[stream]
                streams.clean[stream] = clean + 1
                for part in parts:
                    write(self.board, part, number, values, clean)
            else:
                streams.clean[stream] = 0
                for part in parts:
                    write_marked(self.board, part, number, values, states)
        return newer

    def _insert(self, stream: int, parts: list[Part], at: int, values: Floats, states: Bytes | None) -> None:
        """A late frame goes to its place."""
        number = self.streams.insert(stream, at)
        if number is None:
            self.counts.too_late += 1
            return
        self.counts.late += 1
        self.streams.clean[stream] = 0
        head = int(self.streams.heads[stream])
        for part in parts:
            insert(self.board, part, number, head, values, states)

    def pattern_of(self, block: Block) -> Pattern:
        """How the block's rows lie in streams and ring; one object for all metrics that lie alike."""
        return self._patterns.of(block, self.board, self.structure)

    def standing(self, at_ms: int, lookback_ms: int) -> Standing:
        """Which streams count at a time; the same object as last time while that makes no difference."""
        found = standing(self.streams, self.structure, self.board.deaths, at_ms, lookback_ms)
        if self._standing is not None and found.same(self._standing):
            return self._standing
        if found.lasting:
            self._standing = found
        return found

    # --- layouts -----------------------------------------------------------------------------------------------------

    def _known(self, frame: Frame) -> Layout | None:
        """The layout out of its table: at its first frame, after its rows were dropped, after a reload."""
        table = self.tables.find(frame.source, frame.layout)
        if table is None:
            return None
        layout = registry.registered(table, self)
        self._layouts[frame.source, frame.layout] = layout
        if layout.blocks:
            if assign(layout, frame.at, self.board, self.streams):
                self.moved()
            self.structure += 1
        return layout

    def moved(self) -> None:
        """Rows have moved: every layout finds its parts again before its next frame."""
        self.structure += 1
        self.places += 1
        self.together.forget()

    def ring_for(self, depth_ms: int) -> Ring:
        """The ring for a depth at the guessed interval."""
        return self._ring(first_slots(depth_ms, self.guessed_interval_ms))

    def has_room(self, ring: Ring, rows: int) -> bool:
        """Whether memory allows so many more rows in a ring."""
        return self.nbytes - ring.nbytes + ring.bytes_with(rows) <= self._limit_bytes

    def _ring(self, slots: int) -> Ring:
        if slots not in self._rings:
            self._rings[slots] = Ring(slots)
        self.streams.deepen(slots)
        return self._rings[slots]

    def _derive(self, layout: Layout) -> None:
        if not layout.blocks:
            layout.streams = []
        elif derive(layout, self.board, self.streams):
            self.moved()
        layout.version = self.places
        self.together.note(layout)

    # --- depth -------------------------------------------------------------------------------------------------------

    def _deepened(self, layout: Layout, at: int) -> bool:
        """Whether a ring would soon have lost a sample that is still read, and its metrics moved to a deeper one."""
        return any(
            self._deepen(layout, part, at, oldest)
            for stream, parts in layout.streams
            for part, oldest in shallow(self.streams, stream, parts, at)
        )

    def _deepen(self, layout: Layout, part: Part, at: int, oldest: int) -> bool:
        """Move the layout's metrics that need it to twice the slots; False, and remembered, when memory forbids it."""
        ring, slots = part.ring, part.ring.slots * 2
        blocks = [block for block in layout.blocks if block.ring is ring and oldest > at - block.depth_ms]
        rows = sum(block.size for block in blocks)
        runaway = slots * SHORTEST_INTERVAL_MS > 4 * part.depth_ms
        if runaway or self.nbytes + Ring(slots).bytes_with(rows) > self._limit_bytes:
            for block in blocks:
                self.counts.shortened[block.name] = at
            return False
        registry.move(blocks, self._ring(slots), self.board, self.streams)
        self.moved()
        return True

    # --- housekeeping ------------------------------------------------------------------------------------------------

    def collect(self, at_ms: int, horizon_ms: int) -> int:
        """Drop the rows of streams that were silent for longer than anybody looks back; how many rows went."""
        size = self.streams.size
        newest = self.streams.times_at(self.streams.heads[:size])
        dead = (self.streams.rows[:size] > 0) & (newest < at_ms - horizon_ms) & (self.streams.heads[:size] >= 0)
        gone = int(self.streams.rows[:size][dead].sum())
        if not gone:
            return 0
        moves: dict[str, Rows] = {}
        for block in self.blocks.values():
            alive = ~dead[self.board.stream[block.span]]
            if not alive.all():
                kept = np.flatnonzero(alive)
                moves[block.name] = np.full(block.size, -1, dtype=np.int64)
                moves[block.name][kept] = np.arange(len(kept))
                self.board.keep_rows(block, kept)
        for stream in np.flatnonzero(dead).tolist():
            self.streams.free(stream)
        self._layouts = {key: layout for key, layout in self._layouts.items() if registry.followed(layout, moves)}
        self._tidy()
        return gone

    def require(self, needs: Needs) -> None:
        """Other readers from now on: rings and layouts follow, and what is kept of a metric stays."""
        self.needs = needs
        for name, block in list(self.blocks.items()):
            need = needs.of(name)
            if need is None:
                registry.forget(block, self.board, self.streams)
                continue
            block.depth_ms, block.counter = need.depth_ms, need.counter
            if need.counter:  # falls that nobody noted so far: read every sample that is there
                rough, heads = self.board.rough[block.span], self.streams.heads[self.board.stream[block.span]]
                np.maximum(rough, heads, out=rough)
        self._layouts.clear()
        self._tidy()

    def _tidy(self) -> None:
        """Rings without the columns of rows that went."""
        for ring in self._rings.values():
            registry.pack(ring, self.board)
        self.moved()
