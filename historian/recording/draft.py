"""One minute of the bus while it is being gathered: columns that grow, and the Arrow tables that come of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from bus.frames import Frame, SeriesTable
from bus.port import Record
from historian.recording.shape import FRAME_COLUMNS, LAYOUT_COLUMNS, RECORD_COLUMNS

_Key = tuple[int, int, int]
"""Zone, taken, position: the order of rows, so that a zone's rows lie together and in time."""


@dataclass(slots=True)
class Draft:
    """What one segment will hold."""

    rows: list[tuple[_Key, Frame]] = field(default_factory=list)
    tables: list[SeriesTable] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    points: int = 0

    def add_frame(self, record: Record, frame: Frame) -> None:
        """One frame as the bus holds it."""
        self.rows.append(((record.partition, record.at_ms, record.offset), frame))
        self.points += len(frame)

    @property
    def empty(self) -> bool:
        """Nothing was gathered."""
        return not (self.rows or self.tables or self.records)

    def taken(self) -> tuple[int, int]:
        """First and last bus time of frames and records."""
        times = [key[1] for key, _ in self.rows] + [record.at_ms for record in self.records]
        return (min(times), max(times)) if times else (0, 0)

    def zones(self) -> tuple[int, ...]:
        """Zones of its frames."""
        return tuple(sorted({key[0] for key, _ in self.rows}))

    def frames(self) -> Sequence[pa.Table]:
        """One table a zone, each its own row group: statistics then say which zone and time lies where."""
        self.rows.sort(key=_key_of)
        return [_frames([row for row in self.rows if row[0][0] == zone]) for zone in self.zones()]

    def layouts(self) -> pa.Table:
        """One row a series."""
        rows = [
            (table.source, table.layout, position, name, labels)
            for table in self.tables
            for position, (name, labels) in enumerate(table.series, start=1)
        ]
        return _table(rows, LAYOUT_COLUMNS)

    def others(self) -> pa.Table:
        """Events, alerts and commands in the order of the bus."""
        found = sorted(self.records, key=lambda record: (record.at_ms, record.topic, record.partition, record.offset))
        rows = [(r.at_ms, r.topic, r.partition, r.offset, r.key, r.value, list(r.headers)) for r in found]
        return _table(rows, RECORD_COLUMNS)


def _key_of(row: tuple[_Key, Frame]) -> _Key:
    return row[0]


def _frames(rows: Sequence[tuple[_Key, Frame]]) -> pa.Table:
    keys, frames = [key for key, _ in rows], [frame for _, frame in rows]
    columns = [
        _plain((key[1] for key in keys), 0),
        _plain((frame.at for frame in frames), 1),
        _plain((key[0] for key in keys), 2),
        _plain((key[2] for key in keys), 3),
        pa.array([frame.source for frame in frames], pa.string()).dictionary_encode(),
        _plain((frame.layout for frame in frames), 5),
        _plain((frame.boot for frame in frames), 6),
        _plain((frame.sequence for frame in frames), 7),
        _values(frames),
        _qualities(frames),
    ]
    return pa.Table.from_arrays(columns, schema=FRAME_COLUMNS)


def _plain(numbers: Iterable[int], column: int) -> pa.Array:
    return pa.array(list(numbers), FRAME_COLUMNS.field(column).type)


def _values(frames: Sequence[Frame]) -> pa.Array:
    """All values as one array; the stale marker's bits survive, for nothing is computed."""
    flat = np.frombuffer(b"".join([frame.values for frame in frames]), dtype="<f8")
    ends = np.cumsum([0, *(len(frame) for frame in frames)], dtype=np.int32)
    kind = FRAME_COLUMNS.field("values").type
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(flat, pa.float64()), type=kind)


def _qualities(frames: Sequence[Frame]) -> pa.Array:
    marks = [None if frame.quality is None else np.frombuffer(frame.quality, dtype=np.uint8) for frame in frames]
    return pa.array(marks, pa.list_(pa.uint8()))


def _table(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in schema]
    arrays = [pa.array(list(column), kind.type) for column, kind in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
