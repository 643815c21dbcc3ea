"""Which rows a layout's series have, made where they are new; and rows that move to a deeper ring, or go."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

import numpy as np

from bus.frames import SeriesTable
from rules.arrays import Rows
from rules.labels import NAME, LabelTable, Strings
from rules.window.board import Block, Board
from rules.window.layouts import Layout
from rules.window.needs import Needs
from rules.window.ring import Ring
from rules.window.streams import Streams


class Owner(Protocol):
    """The window, as far as registering needs it."""

    needs: Needs
    strings: Strings
    board: Board

    def ring_for(self, depth_ms: int) -> Ring: ...

    def has_room(self, ring: Ring, rows: int) -> bool: ...

    def moved(self) -> None: ...

    @property
    def counts(self) -> "Refusals": ...


class Refusals(Protocol):
    """Counts series that found no room."""

    refused_series: int


def registered(table: SeriesTable, owner: Owner) -> Layout:
    """The layout of a table, with a row for each series that somebody needs and memory has room for."""
    wanted = [place for place, (name, _) in enumerate(table.series) if owner.needs.of(name) is not None]
    series = [table.series[place] for place in wanted]
    labels = LabelTable.of(owner.strings, [((NAME, name), *pairs) for name, pairs in series])
    hashes = labels.hashes.tolist()
    by_name: dict[str, list[int]] = {}
    for number, (name, _) in enumerate(series):
        by_name.setdefault(name, []).append(number)
    _make_room(owner, {name: {hashes[number] for number in numbers} for name, numbers in by_name.items()})
    blocks: list[Block] = []
    entries: list[tuple[int, int, int]] = []
    for name, numbers in by_name.items():
        block = _with_rows(owner, name, labels, numbers, hashes)
        taken: set[int] = set()
        for number in numbers:
            row = block.index.get(hashes[number])
            if row is not None and row not in taken:  # a series that is there twice keeps its first value
                taken.add(row)
                entries.append((wanted[number], len(blocks), row))
        blocks.append(block)
    columns = np.array(sorted(entries), dtype=np.int64).reshape(-1, 3)
    return Layout(
        source=table.source,
        number=table.layout,
        size=len(table.series),
        blocks=tuple(blocks),
        block_of=columns[:, 1].copy(),
        local=columns[:, 2].copy(),
        positions=columns[:, 0].copy(),
        names=frozenset(by_name),
    )


def _with_rows(owner: Owner, name: str, labels: LabelTable, numbers: list[int], hashes: list[int]) -> Block:
    """The metric's block, with a row for each of these series as far as memory allows."""
    block = owner.board.blocks[name]
    fresh: dict[int, int] = {}
    for number in numbers:
        if hashes[number] not in block.index:
            fresh.setdefault(hashes[number], number)
    if fresh and not owner.has_room(block.ring, len(fresh)):
        owner.counts.refused_series += len(fresh)
    elif fresh:
        block.extend(labels.take(np.array(list(fresh.values()), dtype=np.int64)), list(fresh))
    return block


def _make_room(owner: Owner, wanted: Mapping[str, AbstractSet[int]]) -> None:
    """Rows for series by metric and hash: the board is laid out once for all of them, where it must be."""
    board, wider = owner.board, {}
    for name, hashes in wanted.items():
        block = board.blocks.get(name)
        if block is None:
            need = owner.needs.of(name)
            assert need is not None
            ring = owner.ring_for(need.depth_ms)
            board.blocks[name] = Block(
                name=name, strings=owner.strings, ring=ring, depth_ms=need.depth_ms, counter=need.counter
            )
            wider[name] = len(hashes)
            continue
        size = block.size + sum(row_hash not in block.index for row_hash in hashes)
        if not board.fits(block, size):
            wider[name] = size
    if wider:
        board.lay_out(wider)
        owner.moved()


def move(blocks: Sequence[Block], ring: Ring, board: Board, streams: Streams) -> None:
    """Metrics go to another ring with all their samples; what arrives together stays side by side."""
    left = {id(block.ring): block.ring for block in blocks}.values()
    for old in left:
        rows = np.concatenate(
            [np.arange(block.start, block.start + block.size) for block in blocks if block.ring is old]
        )
        rows = rows[np.argsort(board.cell[rows])]
        first = ring.allocate(len(rows))
        ring.take_over(old, board.cell[rows], streams.heads[board.stream[rows]], first)
        board.cell[rows] = first + np.arange(len(rows))
        for stream in np.unique(board.stream[rows]).tolist():
            streams.clean[stream] = 0
    for block in blocks:
        block.ring = ring
    for old in left:
        pack(old, board)


def pack(ring: Ring, board: Board) -> None:
    """Close the gaps that rows left in a ring."""
    rows = board.rows_in(ring)
    if len(rows) == ring.used:
        return
    rows = rows[np.argsort(board.cell[rows])]
    ring.pack(board.cell[rows])
    board.cell[rows] = np.arange(len(rows))


def followed(layout: Layout, moves: Mapping[str, Rows]) -> bool:
    """Let a layout follow its rows; False when it lost one, and must be made anew from its table."""
    for number, block in enumerate(layout.blocks):
        moved = moves.get(block.name)
        if moved is not None:
            mine = layout.block_of == number
            layout.local[mine] = moved[layout.local[mine]]
    return not bool((layout.local < 0).any())


def forget(block: Block, board: Board, streams: Streams) -> None:
    """A metric that nobody reads any more goes."""
    owners, counts = np.unique(board.stream[block.span], return_counts=True)
    for stream, count in zip(owners.tolist(), counts.tolist(), strict=True):
        if stream >= 0:
            streams.rows[stream] -= count
            if not streams.rows[stream]:
                streams.free(stream)
    del board.blocks[block.name]
    board.lay_out({})
