"""Frames: one device answer as one binary message (frame version 1, design section 3), and the tables that name its series.

A frame is the msgpack array `[1, source, boot, sequence, layout, at, values, quality]`, a table `[1, source, layout,
[[name, [[label, value], …]], …]]`; their first byte, 0x98 or 0x94, tells them apart. Nothing here makes a Python object per
point: values and quality stay bytes, and `values_of` looks at them without a copy.
"""

import re
from collections.abc import Sequence
from itertools import chain
from typing import Annotated, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import xxhash

from bus.port import Message
from bus.topics import FRAMES, MESSAGE_BYTES
from fleet.errors import Malformed

VERSION: Final = 1
STALE: Final = 0x7FF0000000000002
"""Prometheus's stale marker as bits: the series is absent. An ordinary NaN is a value, and only bits tell them apart."""
STALE_BYTES: Final = STALE.to_bytes(8, "little")
SERIES_LIMIT: Final = 16_384
"""Series in one frame; a device with more is split into several sources."""
SOURCE_LIMIT: Final = 512
"""Characters of a source."""
LAYOUTS_PER_SOURCE: Final = 32
"""Layouts of one source whose last table a writer remembers (its signals have intervals of their own)."""

SeriesName: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""A name and its final labels, sorted by the UTF-8 bytes of the label."""
_Label = tuple[str, str]
_Unsigned = Annotated[int, msgspec.Meta(ge=0)]
_Instant = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799_999)]
"""Unix ms up to the end of year 9999, as far as calendars go."""


class Frame(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """One device answer: `values` are float64 little-endian, `quality` one byte each or nil where all are good."""

    version: int = VERSION
    source: str
    """`asset/endpoint`."""
    boot: _Unsigned
    """A random 64-bit number per start of the collector."""
    sequence: _Unsigned
    """Counts up per source and boot: what was seen before is a duplicate."""
    layout: _Unsigned
    """`layout_hash` of the series, which a `SeriesTable` names."""
    at: _Instant
    """Unix ms of the device's answer."""
    values: bytes
    quality: bytes | None = None
    """Low two bits 0 good, 1 uncertain, 2 bad; upper six a reason of `fleet.quality`."""

    def __len__(self) -> int:
        """How many series it carries."""
        return len(self.values) >> 3


class SeriesTable(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """Which series a layout stands for, in the frame's order."""

    version: int = VERSION
    source: str
    layout: _Unsigned
    series: tuple[SeriesName, ...]


_ENCODER: Final = msgspec.msgpack.Encoder()
_FRAMES: Final = msgspec.msgpack.Decoder(Frame)
_TABLES: Final = msgspec.msgpack.Decoder(SeriesTable)
_SEPARATOR: Final = re.compile("[\0-\2]")


def layout_hash(series: Sequence[tuple[str, Sequence[_Label]]]) -> int:
    """xxh3_64, seed 0, over each series in order; its labels may come in any order.

    Raises `Malformed` for an empty or repeated label, and for a name, label or value that holds a separator byte.
    """
    text = "".join([_hashed(name, sorted(labels)) for name, labels in series])
    try:
        return xxhash.xxh3_64_intdigest(text.encode())
    except UnicodeEncodeError as error:
        raise Malformed(f"a label is not UTF-8: {error.reason}, try the device's own encoding") from error


def _hashed(name: str, labels: Sequence[_Label]) -> str:
    """The text of one series that the layout's hash runs over; code points sort as their UTF-8 bytes do."""
    names = [label for label, _ in labels]
    if not name or "" in names or len(set(names)) != len(names):
        raise Malformed(f"series {name!r} {names!r}: a name is empty or there twice, try cleaning the device's labels")
    if _SEPARATOR.search("".join([name, *chain.from_iterable(labels)])):
        raise Malformed(f"series {name!r} {names!r}: byte 0, 1 or 2 in a label, try cleaning the device's labels")
    return name + "".join([f"\0{label}\1{value}" for label, value in labels]) + "\2"


def encode_frame(frame: Frame) -> bytes:
    """The frame's bytes; its lengths are the writer's care (`FrameWriter`), no check is made here."""
    return _ENCODER.encode(frame)


def encode_table(table: SeriesTable) -> bytes:
    """The table's bytes. Raises `ValueError` when it is too large for one message."""
    value = _ENCODER.encode(table)
    if len(value) > MESSAGE_BYTES or len(table.series) > SERIES_LIMIT:
        raise ValueError(
            f"{table.source}: {len(table.series)} series in {len(value)} bytes are over the limit of {SERIES_LIMIT} in"
            f" {MESSAGE_BYTES} bytes, try splitting the endpoint into several"
        )
    return value


def decode_frame(value: bytes) -> Frame:
    """The frame in hostile bytes. Raises `Malformed` with what is wrong with them."""
    if value[:1] != b"\x98":
        raise Malformed(f"not a frame: it begins with {value[:1].hex() or 'nothing'}, expected 98")
    try:
        frame = _FRAMES.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"not a frame: {error}") from error
    length = len(frame.values)
    if frame.version != VERSION or length & 7 or length > 8 * SERIES_LIMIT or not 0 < len(frame.source) <= SOURCE_LIMIT:
        raise Malformed(_frame_fault(frame))
    if frame.quality is not None and len(frame.quality) << 3 != length:
        raise Malformed(f"frame of {frame.source!r}: {len(frame.quality)} quality bytes for {length / 8:g} values")
    return frame


def _frame_fault(frame: Frame) -> str:
    if frame.version != VERSION:
        return f"frame version {frame.version} is not known, this release reads {VERSION}"
    if not 0 < len(frame.source) <= SOURCE_LIMIT:
        return f"frame source of {len(frame.source)} characters, expected 1 to {SOURCE_LIMIT}"
    return f"frame of {frame.source!r}: {len(frame.values)} bytes of values, expected a multiple of 8 up to {8 * SERIES_LIMIT}"


def decode_table(value: bytes) -> SeriesTable:
    """The table in hostile bytes. Raises `Malformed`, also when its layout is not the hash of its series."""
    if value[:1] != b"\x94":
        raise Malformed(f"not a series table: it begins with {value[:1].hex() or 'nothing'}, expected 94")
    try:
        table = _TABLES.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"not a series table: {error}") from error
    if table.version != VERSION:
        raise Malformed(f"series table version {table.version} is not known, this release reads {VERSION}")
    if not 0 < len(table.source) <= SOURCE_LIMIT or len(table.series) > SERIES_LIMIT:
        raise Malformed(f"series table of {table.source[:80]!r} with {len(table.series)} series is over the limits")
    if layout_hash(table.series) != table.layout:
        raise Malformed(
            f"series table of {table.source!r}: its layout {table.layout:016x} is not the hash of its series"
        )
    return table


def decode(value: bytes) -> Frame | SeriesTable:
    """Whichever of the two lies in hostile bytes. Raises `Malformed`."""
    return decode_table(value) if value[:1] == b"\x94" else decode_frame(value)


def values_of(frame: Frame) -> npt.NDArray[np.float64]:
    """The values without a copy (read-only). Stale markers survive copies, not arithmetic: take `stale_of` first."""
    return np.frombuffer(frame.values, dtype="<f8")


def stale_of(frame: Frame) -> npt.NDArray[np.bool_]:
    """Where the series is absent: the marker's exact bits."""
    stale: npt.NDArray[np.bool_] = np.frombuffer(frame.values, dtype="<u8") == STALE
    return stale


def quality_of(frame: Frame) -> npt.NDArray[np.uint8] | None:
    """The quality bytes without a copy (read-only); None where all are good."""
    return None if frame.quality is None else np.frombuffer(frame.quality, dtype=np.uint8)


class SeriesLayout(msgspec.Struct, frozen=True):
    """Series in a frame's order with their hash: made once, used for every frame of that layout."""

    series: tuple[SeriesName, ...]
    layout: int

    @classmethod
    def of(cls, series: Sequence[tuple[str, Sequence[_Label]]]) -> "SeriesLayout":
        """Sort each series' labels and hash the layout. Raises `Malformed` as `layout_hash` does."""
        ordered = tuple([(name, tuple(sorted(labels))) for name, labels in series])
        return cls(ordered, layout_hash(ordered))


class FrameWriter:
    """Numbers frames and puts the table before them when it is due: at first use, and every five minutes."""

    def __init__(self, boot: int, table_every_seconds: float = 300.0) -> None:
        """`boot` is a random 64-bit number drawn anew at every start."""
        self.boot = boot
        self._every_ms = int(table_every_seconds * 1000)
        self._sequences: dict[str, int] = {}
        self._told: dict[str, dict[int, int]] = {}
        """When (the frame's `at`) the table of each layout of a source was last written."""

    def messages(
        self,
        source: str,
        zone: int,
        series_layout: SeriesLayout,
        at: int,
        values: npt.NDArray[np.float64] | bytes,
        quality: npt.NDArray[np.uint8] | bytes | None = None,
    ) -> list[Message]:
        """The frame as a message, behind its table when that is due. Raises `ValueError` when lengths do not agree."""
        packed = values if isinstance(values, bytes) else values.astype("<f8", copy=False).tobytes()
        marks = quality if quality is None or isinstance(quality, bytes) else quality.tobytes()
        count = len(series_layout.series)
        if len(packed) != count << 3 or (marks is not None and len(marks) != count):
            raise ValueError(
                f"{source}: {len(packed) / 8:g} values and {marks and len(marks)} marks for {count} series"
            )
        sequence = self._sequences.get(source, 0)
        frame = Frame(
            source=source,
            boot=self.boot,
            sequence=sequence,
            layout=series_layout.layout,
            at=at,
            values=packed,
            quality=marks,
        )
        messages = self._due(source, zone, series_layout, at)
        messages.append(Message(FRAMES, source, _ENCODER.encode(frame), (), zone))
        self._sequences[source] = sequence + 1
        return messages

    def forget(self, source: str) -> None:
        """The source is gone (its asset left or moved), or its tables were lost: they come again before its next frame."""
        self._told.pop(source, None)

    def _due(self, source: str, zone: int, series_layout: SeriesLayout, at: int) -> list[Message]:
        layouts = self._told.setdefault(source, {})
        told = layouts.pop(series_layout.layout, None)
        if told is not None and abs(at - told) < self._every_ms:
            layouts[series_layout.layout] = told
            return []
        table = SeriesTable(source=source, layout=series_layout.layout, series=series_layout.series)
        message = Message(FRAMES, source, encode_table(table), (), zone)
        layouts[series_layout.layout] = at
        if len(layouts) > LAYOUTS_PER_SOURCE:
            del layouts[next(iter(layouts))]
        return [message]
