"""A window as numbers and arrays, and back: what a restart needs so that it reads only what came since.

The arrays are the window's own, not copies: who takes a picture writes it before anything is appended, or in a process of
its own (`rules.picture_file`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from bus.frames import Frame
from rules.labels import LabelTable
from rules.window.board import _ARRAYS as BOARD
from rules.window.board import Block
from rules.window.layouts import Layout
from rules.window.window import Window

Array: TypeAlias = npt.NDArray[Any]
Next: TypeAlias = Callable[[npt.DTypeLike, tuple[int, ...]], Array]
"""The next array of the file, of a type and shape."""
_INT64: Final = np.dtype("<i8")
_PLACES: Final = ("block_of", "local", "positions")


class _Block(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    slots: int
    depth_ms: int
    counter: bool
    start: int
    capacity: int
    size: int
    labels: list[str]
    """Names of its label columns, in the order of their arrays."""


class _Layout(msgspec.Struct, frozen=True, kw_only=True):
    source: str
    number: int
    size: int
    kept: int
    """Series that have rows."""
    blocks: list[str]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of a window that is no array, and the sizes of the arrays that follow."""

    slots: int
    width: int
    sources: list[str]
    newest: list[int]
    latest: list[int]
    clean: list[int]
    free: list[int]
    strings: list[str]
    capacity: int
    blocks: list[_Block]
    rings: dict[int, int]
    """Slots to columns in use."""
    layouts: list[_Layout]
    tables: list[tuple[str, int, bytes]]
    told: list[int]
    parked: list[Frame]
    seen: dict[str, dict[int, tuple[list[int], list[int]]]]
    guessed_interval_ms: int


def taken(window: Window) -> tuple[State, list[Array]]:
    """The window as it is at this moment."""
    streams, board, tables = window.streams, window.board, window.tables
    blocks, layouts = list(board.blocks.values()), list(window._layouts.values())  # noqa: SLF001
    rings = {slots: ring for slots, ring in window._rings.items() if ring.used}  # noqa: SLF001
    state = State(
        slots=streams.slots,
        width=streams.times.shape[1],
        sources=streams.sources,
        newest=streams.newest,
        latest=streams.latest,
        clean=streams.clean,
        free=streams._free,  # noqa: SLF001
        strings=window.strings.values,
        capacity=len(board.stream),
        blocks=[_block(block) for block in blocks],
        rings={slots: ring.used for slots, ring in rings.items()},
        layouts=[_layout(layout) for layout in layouts],
        tables=[(*key, packed) for key, packed in tables._packed.items()],  # noqa: SLF001
        told=list(tables._told),  # noqa: SLF001
        parked=list(tables._parked),  # noqa: SLF001
        seen={
            source: {boot: (seen.firsts, seen.lasts) for boot, seen in boots.items()}
            for source, boots in window._sequences._sources.items()  # noqa: SLF001
        },
        guessed_interval_ms=window.guessed_interval_ms,
    )
    arrays: list[Array] = [streams.times, streams.heads, streams.rows]
    arrays += [getattr(board, name) for name in BOARD]
    arrays += [block.labels.columns[name] for block in blocks for name in block.labels.columns]
    arrays += [getattr(layout, name) for name in _PLACES for layout in layouts]
    for ring in rings.values():
        arrays += [ring.values[:, : ring.used], ring.states[:, : ring.used]]
    return state, arrays


def _block(block: Block) -> _Block:
    return _Block(
        name=block.name,
        slots=block.ring.slots,
        depth_ms=block.depth_ms,
        counter=block.counter,
        start=block.start,
        capacity=block.capacity,
        size=block.size,
        labels=list(block.labels.columns),
    )


def _layout(layout: Layout) -> _Layout:
    return _Layout(
        source=layout.source,
        number=layout.number,
        size=layout.size,
        kept=len(layout.local),
        blocks=[block.name for block in layout.blocks],
    )


def put_back(window: Window, state: State, following: Next) -> None:
    """Fill a window in which nothing was appended yet; arrays come in the order in which `taken` gives them."""
    codes = np.array([window.strings.code(value) for value in state.strings], dtype=np.int32)
    window.guessed_interval_ms = state.guessed_interval_ms
    _streams(window, state, following)
    for name in BOARD:
        setattr(window.board, name, _writable(following(getattr(window.board, name).dtype, (state.capacity,))))
    _blocks(window, state, codes, following)
    _layouts(window, state, following)
    for slots, used in state.rings.items():
        ring = window._ring(slots)  # noqa: SLF001
        ring.allocate(used)
        ring.values[:, :used] = following(ring.values.dtype, (slots, used))
        ring.states[:, :used] = following(ring.states.dtype, (slots, used))
    window.tables.restore(state.tables, state.told, state.parked)
    window._sequences.restore(state.seen)  # noqa: SLF001
    window.board.deaths += 1
    window.moved()


def _writable(found: Array) -> Array:
    return found.copy()


def _streams(window: Window, state: State, following: Next) -> None:
    streams = window.streams
    streams.slots = state.slots
    streams.times = _writable(following(_INT64, (state.slots, state.width)))
    streams.heads = _writable(following(_INT64, (state.width,)))
    streams.rows = _writable(following(_INT64, (state.width,)))
    streams.sources[:], streams.newest[:], streams.latest[:] = state.sources, state.newest, state.latest
    streams.clean[:], streams._free[:] = state.clean, state.free  # noqa: SLF001


def _blocks(window: Window, state: State, codes: Array, following: Next) -> None:
    for kept in state.blocks:
        block = window.board.blocks[kept.name] = Block(
            name=kept.name,
            strings=window.strings,
            ring=window._ring(kept.slots),  # noqa: SLF001
            depth_ms=kept.depth_ms,
            counter=kept.counter,
            start=kept.start,
            capacity=kept.capacity,
        )
        columns = {label: codes[following(np.int32, (kept.size,))] for label in kept.labels}
        table = LabelTable(window.strings, columns, kept.size)
        block.extend(table, table.hashes.tolist())


def _layouts(window: Window, state: State, following: Next) -> None:
    block_of, local, positions = [[following(_INT64, (kept.kept,)).copy() for kept in state.layouts] for _ in _PLACES]
    for number, kept in enumerate(state.layouts):
        window._layouts[kept.source, kept.number] = Layout(  # noqa: SLF001
            source=kept.source,
            number=kept.number,
            size=kept.size,
            blocks=tuple(window.board.blocks[name] for name in kept.blocks),
            block_of=block_of[number],
            local=local[number],
            positions=positions[number],
            names=frozenset(kept.blocks),
        )


def lines(arrays: Sequence[Array]) -> Iterator[memoryview]:
    """The arrays' bytes in their order, without a copy: an array whole, or row by row where it is a part of a wider one."""
    for array in arrays:
        rows: Iterable[Array] = [array] if array.flags.c_contiguous else array
        for row in rows:
            yield row.data.cast("B") if row.size else memoryview(b"")
