"""From a series table to the places where its frames' values go.

A stream's rows always arrive together: where a layout holds only some of them, the stream is split and both sides keep
their past; series that a layout adds join its largest stream, with a hole before their first sample.
"""

from dataclasses import dataclass, field

import numpy as np

from rules.arrays import Bools, Rows
from rules.window.arena import ABSENT, Arena, Block
from rules.window.streams import Streams


@dataclass(slots=True, eq=False)
class Part:
    """Rows of one stream in one arena, filled together."""

    arena: Arena
    positions: Rows | None
    """Places of their values in the frame; None when they are all of it, in order."""
    rows: Rows
    depth_ms: int
    counter: bool
    clean: int = 0
    """Good frames in a row, up to the ring's slots: then every cell's state is good already and need not be written."""


@dataclass(slots=True, eq=False)
class Layout:
    """Where each value of a layout's frames goes; values of metrics that nobody reads go nowhere."""

    source: str
    number: int
    size: int
    """Values in a frame."""
    blocks: tuple[Block, ...]
    block_of: Rows
    """For each kept series the index of its block in `blocks`."""
    local: Rows
    """For each kept series its row within the block."""
    positions: Rows
    """For each kept series its place in the frame."""
    names: frozenset[str]
    version: int = -1
    """Of the window's structure, for which the parts below hold."""
    streams: list[tuple[int, list[Part]]] = field(default_factory=list)
    readers: object = None
    """What the owner of the window derived from `names`."""


@dataclass(slots=True, eq=False)
class Columns:
    """Where a layout's series lie now."""

    rows: Rows
    """For each kept series its column."""
    arenas: list[Arena]
    arena_of: Rows
    """For each kept series the index of its arena."""

    def within(self, chosen: Bools) -> list[tuple[Arena, Rows]]:
        """Some of the series, arena by arena."""
        split = [(arena, chosen & (self.arena_of == number)) for number, arena in enumerate(self.arenas)]
        return [(arena, self.rows[mine]) for arena, mine in split if mine.any()]

    def streams(self) -> Rows:
        """The stream of each series, -1 where it has none yet."""
        if len(self.arenas) == 1:
            return self.arenas[0].stream[self.rows]
        streams = np.empty(len(self.rows), dtype=np.int64)
        for number, arena in enumerate(self.arenas):
            chosen = self.arena_of == number
            streams[chosen] = arena.stream[self.rows[chosen]]
        return streams


def columns_of(layout: Layout) -> Columns:
    """Look the layout's series up."""
    starts = np.array([block.start for block in layout.blocks], dtype=np.int64)
    arenas = list({id(block.arena): block.arena for block in layout.blocks}.values())
    arena_of_block = np.array([arenas.index(block.arena) for block in layout.blocks], dtype=np.int64)
    return Columns(starts[layout.block_of] + layout.local, arenas, arena_of_block[layout.block_of])


def assign(layout: Layout, streams: Streams) -> None:
    """Give every row of a new layout its stream: its own, or the layout's largest, or a new one."""
    columns = columns_of(layout)
    owned = columns.streams()
    foreign = np.array([stream >= 0 and streams.sources[stream] != layout.source for stream in owned.tolist()], bool)
    for stream in owned[foreign].tolist():  # the series moved to this source: its old one writes it no more
        streams.rows[stream] -= 1
    owned[foreign] = -1
    _split(layout.source, columns, owned, streams)
    homeless = owned < 0
    if not homeless.any():
        return
    if homeless.all():
        home = streams.add(layout.source)
    else:
        found, counts = np.unique(owned[~homeless], return_counts=True)
        home = int(found[counts.argmax()])
    streams.rows[home] += int(homeless.sum())
    for arena, rows in columns.within(homeless):
        _settle(arena, rows, home, int(streams.heads[home]))


def _settle(arena: Arena, rows: Rows, stream: int, head: int) -> None:
    """Rows that begin in a stream: whatever their cells held is no sample of theirs."""
    arena.states[:, rows] = ABSENT
    arena.dead[rows] = True
    arena.hole[rows] = head
    arena.rough[rows] = head + 1
    arena.stream[rows] = stream


def _split(source: str, columns: Columns, owned: Rows, streams: Streams) -> bool:
    """Where the layout holds only part of a stream, that part becomes a stream of its own; whether that happened."""
    found, counts = np.unique(owned[owned >= 0], return_counts=True)
    divided = False
    for stream, count in zip(found.tolist(), counts.tolist(), strict=True):
        if count == streams.rows[stream] or streams.sources[stream] != source:
            continue
        twin = streams.copy(stream)
        streams.rows[stream] -= count
        streams.rows[twin] = count
        chosen = owned == stream
        for arena, rows in columns.within(chosen):
            arena.stream[rows] = twin
        owned[chosen] = twin
        divided = True
    return divided


def derive(layout: Layout, streams: Streams) -> bool:
    """Find the layout's parts again after rows moved; whether a stream was split on the way."""
    columns = columns_of(layout)
    owned = columns.streams()
    divided = _split(layout.source, columns, owned, streams)
    layout.streams = []
    for stream in np.unique(owned).tolist():
        if stream < 0 or streams.sources[stream] != layout.source:
            continue  # another source writes these series now
        mine = [(owned == stream) & (columns.arena_of == number) for number in range(len(columns.arenas))]
        parts = [
            _part(layout, arena, columns.rows, chosen)
            for arena, chosen in zip(columns.arenas, mine, strict=True)
            if chosen.any()
        ]
        layout.streams.append((stream, parts))
    return divided


def _part(layout: Layout, arena: Arena, rows: Rows, chosen: Bools) -> Part:
    positions = layout.positions[chosen]
    whole = len(positions) == layout.size and bool((positions == np.arange(layout.size)).all())
    blocks = [layout.blocks[number] for number in np.unique(layout.block_of[chosen]).tolist()]
    return Part(
        arena=arena,
        positions=None if whole else positions,
        rows=rows[chosen],
        depth_ms=max(block.depth_ms for block in blocks),
        counter=any(block.counter for block in blocks),
    )
