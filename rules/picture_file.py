"""The window's picture as a file: written in pieces by a forked child while the engine goes on, read back whole or refused.

    HKW, version (1 byte), length of the head (8 bytes), head (msgpack), the arrays, xxh3_64 of all that (8 bytes)

Integers are little-endian. A file is replaced by a rename, so it is old or new, never a part of either; what a disk made of
it later is found by the sum. One of another version, of other rules or of another bus is refused with the reason.
"""

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import structlog
import xxhash

from fleet.errors import Malformed
from rules.engine import Engine
from rules.files.model import AlertRule
from rules.window.picture import Array, State, lines, put_back, taken

MAGIC: Final = b"HKW"
VERSION: Final = 1
_START: Final = 12
_SUM: Final = 8
_HASHED: Final = 16 << 20
"""Bytes summed at a time."""

log = structlog.get_logger("rules.picture")


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Of what the picture is."""

    at_ms: int
    rules: str
    bus: str
    positions: list[tuple[str, int, int]]
    """Topic, partition, and the offset behind what was read."""
    window: State


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an engine goes on."""

    at_ms: int
    positions: Mapping[tuple[str, int], int]


def digest_of(engine: Engine) -> str:
    """What the engine reads: only a picture of the same holds what it needs."""
    texts = [str(engine.window.needs.deepest_ms), *sorted(engine.models.running)]
    for group in engine.rules.groups:
        for rule in group.rules:
            texts.append(rule.expr)
            if isinstance(rule, AlertRule):
                texts.append(rule.sidecar.clear or "")
    return xxhash.xxh3_128_hexdigest("\n".join(texts).encode())


def pieces(engine: Engine, *, at_ms: int, bus: str, positions: Mapping[tuple[str, int], int]) -> Iterator[memoryview]:
    """The file's bytes; nothing may be appended before the last of them is written."""
    state, arrays = taken(engine.window)
    head = msgspec.msgpack.encode(
        Head(
            at_ms=at_ms,
            rules=digest_of(engine),
            bus=bus,
            positions=[(*place, offset) for place, offset in positions.items()],
            window=state,
        )
    )
    total = xxhash.xxh3_64()
    begin = MAGIC + VERSION.to_bytes(1) + len(head).to_bytes(8, "little") + head
    for piece in (memoryview(begin), *lines(arrays)):
        total.update(piece)
        yield piece
    yield memoryview(total.digest())


def read_back(path: Path, engine: Engine, *, now_ms: int, bus: str) -> Place:
    """Fill the engine's window, in which nothing is yet. Raises `Malformed` with why the file is not taken, and `OSError`."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        view = memoryview(mapped)
        try:
            head = _head(view)
            _fits(head, engine, now_ms, bus)
            _whole(view)
            following = _Following(view)
            put_back(engine.window, head.window, following)
            following.release()
        finally:
            view.release()
    positions = {(topic, partition): offset for topic, partition, offset in head.positions}
    return Place(at_ms=head.at_ms, positions=positions)


def _head(view: memoryview) -> Head:
    if len(view) < _START + _SUM or bytes(view[:3]) != MAGIC:
        raise Malformed("it is no picture of a window")
    if view[3] != VERSION:
        raise Malformed(f"it is of version {view[3]}, this release reads {VERSION}")
    end = _START + int.from_bytes(view[4:_START], "little")
    if end > len(view) - _SUM:
        raise Malformed("it is torn: its head is longer than the file")
    try:
        return msgspec.msgpack.decode(view[_START:end], type=Head)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"it is torn: {error}") from error


def _fits(head: Head, engine: Engine, now_ms: int, bus: str) -> None:
    if head.bus != bus:
        raise Malformed("it is of another bus")
    if head.rules != digest_of(engine):
        raise Malformed("it is of other rules, which need other series or other depths")
    age_ms = now_ms - head.at_ms
    if not 0 <= age_ms <= engine.depth_ms:
        raise Malformed(f"it is {age_ms / 1000:g} s old, rules look back {engine.depth_ms / 1000:g} s")


def _whole(view: memoryview) -> None:
    total = xxhash.xxh3_64()
    for begin in range(0, len(view) - _SUM, _HASHED):
        total.update(view[begin : min(begin + _HASHED, len(view) - _SUM)])
    if total.digest() != bytes(view[-_SUM:]):
        raise Malformed("it is torn: its sum does not fit its content")


class _Following:
    """The arrays of a file, one after the other, as views of it."""

    def __init__(self, view: memoryview) -> None:
        self._bytes: Array = np.frombuffer(view, dtype=np.uint8)
        self._at = _START + int.from_bytes(view[4:_START], "little")

    def __call__(self, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> Array:
        size = int(np.dtype(dtype).itemsize * np.prod(shape, dtype=np.int64))
        found = self._bytes[self._at : self._at + size]
        self._at += size
        return np.frombuffer(found.tobytes(), dtype).reshape(shape) if size < 8 else found.view(dtype).reshape(shape)

    def release(self) -> None:
        """Let go of the file."""
        self._bytes = np.empty(0, dtype=np.uint8)
