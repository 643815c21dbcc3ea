"""From a series table to the places where its frames' values go.

A stream's rows always arrive together: where a layout holds only some of them, the stream is split and both sides keep
their past; series that a layout adds join its largest stream, with a hole before their first sample.
"""

from dataclasses import dataclass, field

import numpy as np

from rules.arrays import Bools, Rows
from rules.window.board import Block, Board
from rules.window.ring import Ring
from rules.window.streams import Streams


@dataclass(slots=True, eq=False)
class Part:
    """Rows of one stream in one ring, filled together."""

    ring: Ring
    positions: Rows | None
    """Places of their values in the frame; None when they are all of it, in order."""
    rows: Rows
    """On the board."""
    columns: slice | Rows
    """In the ring: one run of them, unless the stream was split or extended."""
    depth_ms: int
    counter: bool


@dataclass(slots=True, eq=False)
class Layout:
    """Where each value of a layout's frames goes; values of metrics that nobody reads go nowhere."""

    source: str
    number: int
    size: int
    """Values in a frame."""
    blocks: tuple[Block, ...]
    block_of: Rows
    """For each kept series, in the frame's order, the index of its block in `blocks`."""
    local: Rows
    """For each kept series its row within the block."""
    positions: Rows
    """For each kept series its place in the frame."""
    names: frozenset[str]
    version: int = -1
    """Of the window's places, for which the parts below hold."""
    streams: list[tuple[int, list[Part]]] = field(default_factory=list)
    readers: object = None
    """What the owner of the window derived from `names`."""

    def rows(self) -> Rows:
        """Where its series are on the board now."""
        starts = np.array([block.start for block in self.blocks], dtype=np.int64)
        return starts[self.block_of] + self.local

    def rings(self) -> list[tuple[Ring, Bools]]:
        """The rings that its series lie in, with the series of each."""
        rings = list({id(block.ring): block.ring for block in self.blocks}.values())
        ring_of_block = np.array([rings.index(block.ring) for block in self.blocks], dtype=np.int64)
        ring_of = ring_of_block[self.block_of]
        return [(ring, ring_of == number) for number, ring in enumerate(rings)]


def assign(layout: Layout, at: int, board: Board, streams: Streams) -> bool:
    """Give every row of a new layout its stream: its own, or the layout's largest, or a new one.

    Whether other layouts must find their parts again: it took rows of another source, or a part of a stream.

    `at` is the time of the frame that brought it: a late one must not add rows to a stream that already has later samples.
    """
    rows = layout.rows()
    owned = board.stream[rows]
    foreign = np.array([stream >= 0 and streams.sources[stream] != layout.source for stream in owned.tolist()], bool)
    for stream in owned[foreign].tolist():  # the series moved to this source: its old one writes it no more
        streams.rows[stream] -= 1
    owned[foreign] = -1
    others = _split(layout.source, rows, owned, board, streams) or bool(foreign.any())
    homeless = owned < 0
    if not homeless.any():
        return others
    found, counts = np.unique(owned[~homeless], return_counts=True)
    home = int(found[counts.argmax()]) if len(found) else -1
    if home < 0 or at <= streams.latest[home]:
        home = streams.add(layout.source)
    streams.rows[home] += int(homeless.sum())
    streams.clean[home] = 0
    for ring, inside in layout.rings():
        beginning = rows[homeless & inside]
        if len(beginning):
            board.begin(beginning, home, int(streams.heads[home]), ring.allocate(len(beginning)))
    return others or bool(len(found))


def _split(source: str, rows: Rows, owned: Rows, board: Board, streams: Streams) -> bool:
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
        board.stream[rows[chosen]] = twin
        owned[chosen] = twin
        divided = True
    return divided


def derive(layout: Layout, board: Board, streams: Streams) -> bool:
    """Find the layout's parts again after rows moved; whether a stream was split on the way."""
    rows = layout.rows()
    owned = board.stream[rows]
    divided = _split(layout.source, rows, owned, board, streams)
    rings = layout.rings()
    layout.streams = []
    for stream in np.unique(owned).tolist():
        if stream < 0 or streams.sources[stream] != layout.source:
            continue  # another source writes these series now
        mine = owned == stream
        parts = [_part(layout, ring, rows, mine & inside, board) for ring, inside in rings if (mine & inside).any()]
        layout.streams.append((stream, parts))
    return divided


def _part(layout: Layout, ring: Ring, rows: Rows, chosen: Bools, board: Board) -> Part:
    positions = layout.positions[chosen]
    whole = len(positions) == layout.size and bool((positions == np.arange(layout.size)).all())
    blocks = [layout.blocks[number] for number in np.unique(layout.block_of[chosen]).tolist()]
    mine = rows[chosen]
    cells = board.cell[mine]
    adjacent = bool((np.diff(cells) == 1).all())
    return Part(
        ring=ring,
        positions=None if whole else positions,
        rows=mine,
        columns=slice(int(cells[0]), int(cells[-1]) + 1) if adjacent else cells,
        depth_ms=max(block.depth_ms for block in blocks),
        counter=any(block.counter for block in blocks),
    )
