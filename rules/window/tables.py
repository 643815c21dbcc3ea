"""Series tables, and the frames that wait for one."""

import zlib
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final

import xxhash

from bus.frames import Frame, SeriesTable, decode_table

TABLE: Final = b"\x94"
"""The first byte of a series table."""
PARKED: Final = 1_000
"""Frames of unknown layouts that wait for their table (design section 3)."""
TABLES: Final = 100_000
"""Tables kept, compressed, for layouts whose rows were dropped or whose metrics a reload asks for."""

Key = tuple[str, int]


class Tables:
    """What each layout of each source stands for."""

    def __init__(self) -> None:
        self._packed: OrderedDict[Key, bytes] = OrderedDict()
        self._told: OrderedDict[int, None] = OrderedDict()
        """Digests of tables seen: they are told again every five minutes."""
        self._parked: deque[Frame] = deque()
        self._newest: SeriesTable | None = None
        """As it was read: its first frame follows at once."""
        self.parked = 0
        """Frames that had to wait."""
        self.lost = 0
        """Frames that waited in vain."""

    def learn(self, value: bytes) -> list[Frame]:
        """Remember a table; the frames that waited for it. Raises `Malformed`."""
        digest = xxhash.xxh3_64_intdigest(value)
        if digest in self._told:
            self._told.move_to_end(digest)
            return []
        table = self._newest = decode_table(value)
        key = (table.source, table.layout)
        self._told[digest] = None
        self._packed[key] = zlib.compress(value, 1)
        if len(self._packed) > TABLES:
            self._packed.popitem(last=False)
            self._told.popitem(last=False)
        waiting = [frame for frame in self._parked if (frame.source, frame.layout) == key]
        if waiting:
            self._parked = deque(frame for frame in self._parked if (frame.source, frame.layout) != key)
        return waiting

    def find(self, source: str, layout: int) -> SeriesTable | None:
        """The table of a layout, if it was told."""
        newest = self._newest
        if newest is not None and newest.layout == layout and newest.source == source:
            self._newest = None
            return newest
        packed = self._packed.get((source, layout))
        if packed is None:
            return None
        self._packed.move_to_end((source, layout))
        return decode_table(zlib.decompress(packed))

    def park(self, frame: Frame) -> None:
        """Let a frame wait for its table; the oldest goes when too many wait."""
        self.parked += 1
        self._parked.append(frame)
        if len(self._parked) > PARKED:
            self._parked.popleft()
            self.lost += 1

    def restore(self, packed: Iterable[tuple[str, int, bytes]], told: Iterable[int], parked: Iterable[Frame]) -> None:
        """What was known and what waited in another process, before this one learned anything."""
        self._packed.update({(source, layout): table for source, layout, table in packed})
        self._told.update(dict.fromkeys(told))
        self._parked.extend(parked)
