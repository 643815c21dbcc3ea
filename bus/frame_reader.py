"""Reading frames back: duplicates dropped, tables remembered, frames of a layout not yet told parked."""

from collections import deque
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import xxhash

from bus.frames import Frame, SeriesTable, decode_frame, decode_table
from fleet.errors import Malformed

PARK_LIMIT: Final = 1_000
"""Frames of unknown layouts that are kept; the oldest goes first, counted."""
BOOTS_PER_SOURCE: Final = 4
"""Collectors whose numbering of one source is remembered: the present one, the one before, and spools that drain late."""
GAPS_PER_BOOT: Final = 256
"""Runs of sequence numbers not seen that are remembered per source and boot; the lowest is given up first."""
SOURCE_LIMIT: Final = 262_144
"""Sources whose sequence numbers are remembered; the longest known goes first."""
TABLE_LIMIT: Final = 262_144
"""Layouts that are remembered; the longest known goes first."""


class Seen:
    """The sequence numbers of one source and boot, as the highest and the gaps below it."""

    __slots__ = ("gaps", "highest")

    def __init__(self) -> None:
        self.highest = -1
        self.gaps: list[tuple[int, int]] = []
        """First and last of each run not seen, ascending."""

    def add(self, sequence: int) -> bool:
        """Whether it is new."""
        if sequence > self.highest:
            if sequence > self.highest + 1:
                self.gaps.append((self.highest + 1, sequence - 1))
                del self.gaps[:-GAPS_PER_BOOT]
            self.highest = sequence
            return True
        for index, (first, last) in enumerate(self.gaps):
            if first <= sequence <= last:
                rest = [(first, sequence - 1), (sequence + 1, last)]
                self.gaps[index : index + 1] = [gap for gap in rest if gap[0] <= gap[1]]
                del self.gaps[:-GAPS_PER_BOOT]
                return True
        return False


class FrameReader:
    """Turns the values of `telemetry.frames` into frames whose series are known."""

    def __init__(self) -> None:
        self._tables: dict[int, SeriesTable] = {}
        self._told: set[int] = set()
        """Hashes of the tables' bytes: a table that comes again is not decoded again (2 ms for 320 series)."""
        self._seen: dict[str, dict[int, Seen]] = {}
        self._parked: deque[Frame] = deque()
        self.read_frames = 0
        self.duplicates = 0
        self.malformed = 0
        self.parked = 0
        """Frames that had to wait for their table, ever."""
        self.overflowed = 0
        """Parked frames that were given up."""
        self.last_fault = ""
        """What was wrong with the last malformed value."""

    @property
    def tables(self) -> Mapping[int, SeriesTable]:
        """The tables by layout."""
        return MappingProxyType(self._tables)

    @property
    def waiting(self) -> int:
        """Frames parked now."""
        return len(self._parked)

    def read(self, values: Iterable[bytes | None]) -> list[Frame]:
        """The frames that can be used now, in order; those that a table has just set free come at its place.

        Malformed values are counted and left out; no value raises.
        """
        frames: list[Frame] = []
        for value in values:
            if value is None:
                continue
            try:
                if value[:1] == b"\x94":
                    frames += self._learn(value)
                else:
                    self._take(decode_frame(value), frames)
            except Malformed as error:
                self.malformed += 1
                self.last_fault = str(error)
        self.read_frames += len(frames)
        return frames

    def teach(self, tables: Iterable[SeriesTable]) -> None:
        """Tables from a snapshot."""
        for table in tables:
            self._tables[table.layout] = table

    def _take(self, frame: Frame, frames: list[Frame]) -> None:
        if not self._is_new(frame):
            self.duplicates += 1
        elif frame.layout in self._tables:
            frames.append(frame)
        else:
            self.parked += 1
            self._parked.append(frame)
            if len(self._parked) > PARK_LIMIT:
                self._parked.popleft()
                self.overflowed += 1

    def _is_new(self, frame: Frame) -> bool:
        boots = self._seen.get(frame.source)
        if boots is None:
            boots = self._seen[frame.source] = {}
            if len(self._seen) > SOURCE_LIMIT:
                del self._seen[next(iter(self._seen))]
        seen = boots.get(frame.boot)
        if seen is None:
            seen = boots[frame.boot] = Seen()
            if len(boots) > BOOTS_PER_SOURCE:
                del boots[next(iter(boots))]
        return seen.add(frame.sequence)

    def _learn(self, value: bytes) -> list[Frame]:
        """Remember the table; the frames that waited for it."""
        digest = xxhash.xxh3_64_intdigest(value)
        if digest in self._told:
            return []
        table = decode_table(value)
        self._told.add(digest)
        self._tables[table.layout] = table
        if len(self._tables) > TABLE_LIMIT:
            del self._tables[next(iter(self._tables))]
        if len(self._told) > TABLE_LIMIT or len(self._tables) == TABLE_LIMIT:
            self._told.clear()
        free = [frame for frame in self._parked if frame.layout == table.layout]
        if free:
            self._parked = deque([frame for frame in self._parked if frame.layout != table.layout])
        return free
