"""The window itself: frames in, rows of newest samples out; late, doubled and unknown frames on the way."""

import zlib
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import xxhash

from bus.frames import STALE as STALE_BITS
from bus.frames import Frame, SeriesTable, decode_frame, decode_table
from rules.arrays import Bytes, Floats
from rules.labels import NAME, LabelTable, Strings
from rules.window.arena import ABSENT, GOOD_MASK, STALE, Arena, Block
from rules.window.layouts import Layout, Part, assign, derive
from rules.window.needs import Needs
from rules.window.sequences import Sequences
from rules.window.streams import FIRST_SLOTS, Streams

PARKED: Final = 1_000
"""Frames of unknown layouts that wait for their table (design section 3)."""
TABLES: Final = 100_000
"""Series tables kept, compressed, for layouts whose rows were dropped or whose metrics a reload asks for."""
GIBIBYTE: Final = 1 << 30
LIMIT_BYTES: Final = 3 * GIBIBYTE
"""What the rings may hold together (design section 4: 3 GB at 500,000 series)."""
_GUESSED_INTERVAL_MS: Final = 5_000
"""Interval from which the first number of slots follows; a stream that is faster deepens its rings as it goes."""
PATTERNS: Final = 1_000
"""Patterns of streams that are told apart; beyond, they are numbered anew."""
_LOOK_EVERY: Final = 4
"""Samples between two looks at whether a ring is deep enough; as many are kept in reserve."""
_SHORTEST_INTERVAL_MS: Final = 100
"""A source that sends faster than this does not get deeper rings for it: a runaway must not eat the memory of all."""


@dataclass(slots=True)
class Counts:
    """What happened to frames that did not simply go to their place."""

    frames: int = 0
    points: int = 0
    duplicates: int = 0
    late: int = 0
    too_late: int = 0
    parked: int = 0
    parked_lost: int = 0
    malformed: int = 0
    future: int = 0
    """Frames whose time was too far ahead."""
    refused_series: int = 0
    """Series that did not fit into the memory limit."""
    shortened: dict[str, int] = field(default_factory=dict)
    """Metrics whose ring could not be made as deep as their readers need, with the `at` at which that showed."""


class Window:
    """The newest samples of every series that somebody needs."""

    def __init__(self, needs: Needs, *, limit_bytes: int = LIMIT_BYTES) -> None:
        """Nothing is kept of metrics outside `needs`; rings stop growing at `limit_bytes`."""
        self.needs = needs
        self.strings = Strings()
        self.streams = Streams()
        self.blocks: dict[str, Block] = {}
        self.counts = Counts()
        self._limit_bytes = limit_bytes
        self._arenas: dict[int, Arena] = {}
        self._layouts: dict[tuple[str, int], Layout] = {}
        self._tables: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._told: OrderedDict[int, None] = OrderedDict()
        self._parked: deque[Frame] = deque()
        self._sequences = Sequences()
        self._structure = 0
        self._patterns: dict[bytes, int] = {}
        self._next_pattern = 0

    @property
    def nbytes(self) -> int:
        """Memory of all rings."""
        return self.streams.nbytes + sum(arena.nbytes for arena in self._arenas.values())

    @property
    def series(self) -> int:
        """Rows in use."""
        return sum(block.size for block in self.blocks.values())

    def append(self, value: bytes, *, not_after_ms: int | None = None) -> list[Layout]:
        """Take a frame or a table; the layouts that now have a sample newer than any before. Raises `Malformed`."""
        if value[:1] == b"\x94":
            return self.append_table(value)
        frame = decode_frame(value)
        if not_after_ms is not None and frame.at > not_after_ms:
            self.counts.future += 1
            return []
        layout = self.append_frame(frame)
        return [layout] if layout is not None else []

    def append_table(self, value: bytes) -> list[Layout]:
        """Remember which series a layout stands for, and place the frames that waited for it."""
        digest = xxhash.xxh3_64_intdigest(value)
        if digest in self._told:
            self._told.move_to_end(digest)
            return []
        table = decode_table(value)
        key = (table.source, table.layout)
        self._told[digest] = None
        self._tables[key] = zlib.compress(value, 1)
        if len(self._tables) > TABLES:
            self._tables.popitem(last=False)
            self._told.popitem(last=False)
        waiting = [frame for frame in self._parked if (frame.source, frame.layout) == key]
        if not waiting:
            return []
        self._parked = deque(frame for frame in self._parked if (frame.source, frame.layout) != key)
        return [layout for frame in waiting if (layout := self._place(frame)) is not None]

    def append_frame(self, frame: Frame) -> Layout | None:
        """Put a frame's values to their places; its layout when they are newer than what was there."""
        if not self._sequences.add(frame.source, frame.boot, frame.sequence):
            self.counts.duplicates += 1
            return None
        self.counts.frames += 1
        return self._place(frame)

    def _place(self, frame: Frame) -> Layout | None:
        layout = self._layouts.get((frame.source, frame.layout)) or self._revive(frame.source, frame.layout)
        if layout is None:
            self._park(frame)
            return None
        if layout.version != self._structure:
            self._derive(layout)
        if not layout.streams:
            return None
        values = np.frombuffer(frame.values, dtype="<f8")
        if len(values) != layout.size:
            self.counts.malformed += 1
            return None
        self.counts.points += len(values)
        states = _states(frame, values)
        newer = False
        for stream, parts in layout.streams:
            if frame.at > self.streams.latest[stream]:
                newer = True
                if self._too_shallow(stream, parts, frame.at):
                    return self._place(frame)
                number = self.streams.advance(stream, frame.at)
                for part in parts:
                    _write(part, number, values, states)
            else:
                self._insert(stream, parts, frame.at, values, states)
        return layout if newer else None

    def _park(self, frame: Frame) -> None:
        self.counts.parked += 1
        self._parked.append(frame)
        if len(self._parked) > PARKED:
            self._parked.popleft()
            self.counts.parked_lost += 1

    def pattern_of(self, block: Block) -> int:
        """A number for the streams of the block's rows, in order; metrics of the same pages share one."""
        version, pattern = block.owners
        if version != self._structure:
            if len(self._patterns) > PATTERNS:
                self._patterns.clear()
            owners = block.arena.stream[block.span].tobytes()
            pattern = self._patterns.get(owners, self._next_pattern)
            if pattern == self._next_pattern:
                self._patterns[owners] = pattern
                self._next_pattern += 1
            block.owners = self._structure, pattern
        return pattern

    # --- layouts -----------------------------------------------------------------------------------------------------

    def _revive(self, source: str, number: int) -> Layout | None:
        """The layout out of its table: at its first frame, after its rows were dropped, after a reload."""
        packed = self._tables.get((source, number))
        if packed is None:
            return None
        self._tables.move_to_end((source, number))
        layout = self._register(decode_table(zlib.decompress(packed)))
        self._layouts[source, number] = layout
        return layout

    def _register(self, table: SeriesTable) -> Layout:
        wanted = [place for place, (name, _) in enumerate(table.series) if self.needs.of(name) is not None]
        series = [table.series[place] for place in wanted]
        labels = LabelTable.of(self.strings, [((NAME, name), *pairs) for name, pairs in series])
        hashes = labels.hashes.tolist()
        by_name: dict[str, list[int]] = {}
        for number, (name, _) in enumerate(series):
            by_name.setdefault(name, []).append(number)
        blocks: list[Block] = []
        entries: list[tuple[int, int, int]] = []
        for name, numbers in by_name.items():
            block = self._with_rows(name, labels, numbers, hashes)
            taken: set[int] = set()
            for number in numbers:
                row = block.index.get(hashes[number])
                if row is not None and row not in taken:  # a series that is there twice keeps its first value
                    taken.add(row)
                    entries.append((len(blocks), row, wanted[number]))
            blocks.append(block)
        columns = np.array(sorted(entries, key=lambda entry: entry[2]), dtype=np.int64).reshape(-1, 3)
        layout = Layout(
            source=table.source,
            number=table.layout,
            size=len(table.series),
            blocks=tuple(blocks),
            block_of=columns[:, 0].copy(),
            local=columns[:, 1].copy(),
            positions=columns[:, 2].copy(),
            names=frozenset(by_name),
        )
        if entries:
            assign(layout, self.streams)
            self._structure += 1
        return layout

    def _with_rows(self, name: str, labels: LabelTable, numbers: list[int], hashes: list[int]) -> Block:
        """The metric's block, with a row for each of these series as far as memory allows."""
        block = self.blocks.get(name) or self._new_block(name)
        fresh: dict[int, int] = {}
        for number in numbers:
            if hashes[number] not in block.index:
                fresh.setdefault(hashes[number], number)
        if fresh and not self._has_room(block.arena, len(fresh)):
            self.counts.refused_series += len(fresh)
        elif fresh:
            size = block.size + len(fresh)
            if not block.arena.fits(block, size):
                block.arena.lay_out({name: size})
                self._structure += 1
            block.extend(labels.take(np.array(list(fresh.values()), dtype=np.int64)), list(fresh))
        return block

    def _new_block(self, name: str) -> Block:
        need = self.needs.of(name)
        assert need is not None
        arena = self._arena(first_slots(need.depth_ms))
        block = Block(name=name, strings=self.strings, arena=arena, depth_ms=need.depth_ms, counter=need.counter)
        arena.blocks.append(block)
        arena.lay_out({name: 0})
        self.blocks[name] = block
        self._structure += 1
        return block

    def _arena(self, slots: int) -> Arena:
        arena = self._arenas.get(slots)
        if arena is None:
            arena = self._arenas[slots] = Arena(slots)
        self.streams.deepen(slots)
        return arena

    def _has_room(self, arena: Arena, rows: int) -> bool:
        return self.nbytes - arena.nbytes + arena.bytes_with(rows) <= self._limit_bytes

    def _derive(self, layout: Layout) -> None:
        if not layout.blocks:
            layout.streams = []
        elif derive(layout, self.streams):
            self._structure += 1
        layout.version = self._structure

    # --- depth -------------------------------------------------------------------------------------------------------

    def _too_shallow(self, stream: int, parts: list[Part], at: int) -> bool:
        """Whether a ring would soon lose a sample that is still read; then its blocks have moved to a deeper one."""
        number = int(self.streams.heads[stream]) + 1
        if number & (_LOOK_EVERY - 1):
            return False
        for part in parts:
            slots = part.arena.slots
            if part.depth_ms and number >= slots - _LOOK_EVERY:
                oldest = self.streams.time_of(stream, max(number - slots + _LOOK_EVERY, 0))
                if oldest > at - part.depth_ms and self._deepen(part, at, oldest):
                    return True
        return False

    def _deepen(self, part: Part, at: int, oldest: int) -> bool:
        """Move the metrics that need it to twice the slots; False, and remembered, when memory does not allow it."""
        low, high = int(part.rows.min()), int(part.rows.max())
        blocks = [
            block
            for block in part.arena.blocks
            if oldest > at - block.depth_ms and block.start <= high and low < block.start + block.size
        ]
        rows, slots = sum(block.size for block in blocks), part.arena.slots * 2
        runaway = slots * _SHORTEST_INTERVAL_MS > 4 * part.depth_ms
        if runaway or self.nbytes + Arena(slots).bytes_with(rows) > self._limit_bytes:
            for block in blocks:
                self.counts.shortened[block.name] = at
            return False
        self._arena(slots).adopt(blocks, self.streams.heads)
        self._structure += 1
        return True

    # --- late samples ------------------------------------------------------------------------------------------------

    def _insert(self, stream: int, parts: list[Part], at: int, values: Floats, states: Bytes | None) -> None:
        """A late frame goes to its place, and newer samples move up by one."""
        number = self.streams.insert(stream, at)
        if number is None:
            self.counts.too_late += 1
            return
        self.counts.late += 1
        head = int(self.streams.heads[stream])
        for part in parts:
            _shift(part, number, head)
            if number > head - part.arena.slots:
                _write_late(part, number, values, states)

    # --- housekeeping ------------------------------------------------------------------------------------------------

    def collect(self, at_ms: int, horizon_ms: int) -> int:
        """Drop the rows of streams that were silent for longer than anybody looks back; how many rows went."""
        size = self.streams.size
        newest = self.streams.times_at(self.streams.heads[:size])
        dead = (self.streams.rows[:size] > 0) & (newest < at_ms - horizon_ms) & (self.streams.heads[:size] >= 0)
        gone = int(self.streams.rows[:size][dead].sum())
        if not gone:
            return 0
        moves: dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]] = {}
        for block in list(self.blocks.values()):
            owners = block.arena.stream[block.span]
            alive = ~dead[owners]
            if alive.all():
                continue
            kept = np.flatnonzero(alive)
            moved = np.full(block.size, -1, dtype=np.int64)
            moved[kept] = np.arange(len(kept))
            moves[block.name] = moved
            block.arena.keep_rows(block, kept)
        for stream in np.flatnonzero(dead).tolist():
            self.streams.free(stream)
        self._remap(moves)
        return gone

    def _remap(self, moves: "dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]]") -> None:
        """Layouts follow their rows; one that lost a row is made anew from its table at its next frame."""
        for key, layout in list(self._layouts.items()):
            for number, block in enumerate(layout.blocks):
                moved = moves.get(block.name)
                if moved is None:
                    continue
                mine = layout.block_of == number
                layout.local[mine] = moved[layout.local[mine]]
            if (layout.local < 0).any():
                del self._layouts[key]
        self._structure += 1

    def require(self, needs: Needs) -> None:
        """Other readers from now on: rings and layouts follow, and what is kept of a metric stays."""
        self.needs = needs
        for name, block in list(self.blocks.items()):
            need = needs.of(name)
            if need is None:
                self._forget(block)
                continue
            block.depth_ms, block.counter = need.depth_ms, need.counter
            if need.counter:  # falls that nobody noted so far: read every sample that is there
                block.arena.rough[block.span] = self.streams.heads[block.arena.stream[block.span]]
        self._layouts.clear()
        self._structure += 1

    def _forget(self, block: Block) -> None:
        owners, counts = np.unique(block.arena.stream[block.span], return_counts=True)
        for stream, count in zip(owners.tolist(), counts.tolist(), strict=True):
            if stream < 0:
                continue
            self.streams.rows[stream] -= count
            if self.streams.rows[stream] == 0:
                self.streams.free(stream)
        block.arena.blocks.remove(block)
        block.arena.lay_out({})
        del self.blocks[block.name]


def first_slots(depth_ms: int) -> int:
    """A power of two that holds the depth at the guessed interval."""
    slots = FIRST_SLOTS
    while depth_ms and slots < depth_ms // _GUESSED_INTERVAL_MS + 2:
        slots *= 2
    return slots


def _states(frame: Frame, values: Floats) -> Bytes | None:
    """The state of each sample; None where all are good."""
    stale = values.view(np.uint64) == STALE_BITS
    if frame.quality is None:
        return np.where(stale, np.uint8(STALE), np.uint8(0)) if np.count_nonzero(stale) else None
    states = np.frombuffer(frame.quality, dtype=np.uint8).copy()
    states[states & GOOD_MASK == GOOD_MASK] &= 0xFE  # the unused fourth quality counts as bad, and must not look stale
    states[stale] = STALE
    return states


def _write(part: Part, number: int, values: Floats, states: Bytes | None) -> None:
    """One scatter an array: about 1 µs each for 320 values."""
    arena, rows = part.arena, part.rows
    chosen = values if part.positions is None else values[part.positions]
    slot = number & (arena.slots - 1)
    arena.values[slot][rows] = chosen
    if states is not None:
        _write_marked(part, number, chosen, states if part.positions is None else states[part.positions])
        return
    if part.counter:
        lower = chosen < arena.current[rows]
        if np.count_nonzero(lower):
            arena.rough[rows[lower]] = number
    arena.current[rows] = chosen
    if part.clean < arena.slots:
        arena.states[slot][rows] = 0
        arena.dead[rows] = False
        part.clean += 1


def _write_marked(part: Part, number: int, chosen: Floats, states: Bytes) -> None:
    """A frame in which not every sample is good, or some carry a reason."""
    arena, rows = part.arena, part.rows
    part.clean = 0
    arena.states[number & (arena.slots - 1)][rows] = states
    good = states & GOOD_MASK == 0
    kept, values = rows[good], chosen[good]
    if part.counter:
        arena.rough[kept[values < arena.current[kept]]] = number
    arena.current[kept] = values
    arena.hole[rows[~good]] = number
    arena.rough[rows[~good]] = number + 1
    arena.dead[rows] = ~good


def _write_late(part: Part, number: int, values: Floats, states: Bytes | None) -> None:
    """Into a ring's middle: what is newest stays what it is."""
    arena, rows, slot = part.arena, part.rows, number & (part.arena.slots - 1)
    arena.values[slot, rows] = values if part.positions is None else values[part.positions]
    if states is None:
        arena.states[slot, rows] = 0
        return
    chosen = states if part.positions is None else states[part.positions]
    arena.states[slot, rows] = chosen
    marked = rows[chosen & GOOD_MASK != 0]
    arena.hole[marked] = np.maximum(arena.hole[marked], number)
    arena.rough[marked] = np.maximum(arena.rough[marked], number + 1)


def _shift(part: Part, place: int, head: int) -> None:
    """Move the samples from `place` on up by one, with the marks that count them."""
    arena, rows, mask = part.arena, part.rows, part.arena.slots - 1
    for number in range(head, max(place, head - arena.slots), -1):
        if number - 1 > head - 1 - arena.slots:
            arena.values[number & mask, rows] = arena.values[(number - 1) & mask, rows]
            arena.states[number & mask, rows] = arena.states[(number - 1) & mask, rows]
    for marks in (arena.hole, arena.rough):
        later = marks[rows] >= place
        marks[rows[later]] += 1
    if part.counter:  # who is below whom has changed around the place: let the exact way look
        arena.rough[rows] = np.maximum(arena.rough[rows], place + 1)
    part.clean = 0


__all__ = ["ABSENT", "Counts", "Window"]
