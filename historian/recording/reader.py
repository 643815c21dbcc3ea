"""Reads a recording back: segment by segment, in the order in which the bus took it."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bus.frames import SeriesTable
from bus.port import Record
from historian.recording.shape import SITE, Manifest, Part, RecordingError, Segment, path_of
from historian.recording.told import DICTIONARIES, Told
from historian.recording.writer import read_manifest

Numbers = npt.NDArray[np.int64]
Unsigned = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The frames of one segment as columns, rows in the order of the bus; nothing here is an object per frame or point."""

    taken: Numbers
    """Unix ms at which the bus took each frame, ascending."""
    at: Numbers
    names: Sequence[str]
    """Every source, once."""
    owner: Numbers
    """Of each frame, its source's place in `names`."""
    layout: Unsigned
    boot: Unsigned
    sequence: Unsigned
    starts: Numbers
    """Where each frame's values begin in `values`."""
    ends: Numbers
    values: npt.NDArray[np.float64]
    """Of all frames, as Parquet held them (read-only)."""
    quality: Sequence[npt.NDArray[np.uint8] | None]

    def __len__(self) -> int:
        return len(self.taken)


class Recording:
    """One recording on disk."""

    def __init__(self, folder: Path) -> None:
        """Raises `RecordingError` when the folder holds none."""
        self.folder = folder
        self.manifest: Manifest = read_manifest(folder)

    @property
    def site(self) -> Path | None:
        """The site file of that time, where one was kept."""
        path = self.folder / SITE
        return path if path.exists() else None

    @property
    def digest(self) -> str:
        """One hash over everything that it holds: manifests of equal content agree, whenever they were written."""
        found = hashlib.sha256(self.manifest.site_sha256.encode())
        for part in (*self.manifest.kept, *(part for segment in self.manifest.segments for part in segment.parts)):
            found.update(part.sha256.encode())
        return found.hexdigest()

    def segments(self, since_ms: int | None = None, until_ms: int | None = None) -> Sequence[Segment]:
        """The segments that reach into a time, in order."""
        return [
            segment
            for segment in self.manifest.segments
            if (since_ms is None or segment.until_ms >= since_ms) and (until_ms is None or segment.from_ms < until_ms)
        ]

    def told(self, segment: Segment | None) -> Sequence[Told]:
        """Series tables that were new in a segment; None: those kept from before the first. Raises `RecordingError`."""
        parts = self.manifest.kept if segment is None else (segment.layouts,)
        return [Told(self._read(part, DICTIONARIES)) for part in parts if part is not None]

    def tables(self, segment: Segment | None) -> Iterator[SeriesTable]:
        """The same, one by one."""
        for told in self.told(segment):
            for place in range(len(told.keys)):
                yield told.table(place)

    def frames(self, segment: Segment) -> Batch | None:
        """The frames of a segment; None where it has none. Raises `RecordingError` for a damaged file."""
        if segment.frames is None:
            return None
        table = self._read(segment.frames)
        try:
            return _batch(table)
        except (KeyError, ValueError, pa.ArrowException) as error:
            raise RecordingError(f"{segment.frames.name}: {error}, try a copy of the recording") from error

    def records(self, segment: Segment) -> list[Record]:
        """Events, alerts and commands of a segment in the order of the bus."""
        if segment.records is None:
            return []
        return [
            Record(
                row["topic"],
                row["zone"],
                row["position"],
                row["key"],
                row["value"],
                tuple(row["headers"]),
                round(row["taken"].timestamp() * 1000),
            )
            for row in self._read(segment.records).to_pylist()
        ]

    def _read(self, part: Part, dictionaries: Sequence[str] = ()) -> pa.Table:
        path = path_of(self.folder, part)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise RecordingError(f"{path}: {error}, try a copy of the recording") from error
        if hashlib.sha256(content).hexdigest() != part.sha256:
            raise RecordingError(f"{path} is not what was recorded: its hash differs, try a copy of the recording")
        try:
            return pq.ParquetFile(pa.BufferReader(content), read_dictionary=list(dictionaries)).read(use_threads=False)
        except pa.ArrowException as error:
            raise RecordingError(f"{path}: {error}, try a copy of the recording") from error


def _batch(table: pa.Table) -> Batch:
    """Row groups hold a zone each: their rows are put into the order of the bus, the values stay where they are."""
    lists = table.column("values").combine_chunks()
    lists = lists if isinstance(lists, pa.ListArray) else lists.chunk(0)
    ends = lists.offsets.to_numpy(zero_copy_only=True).astype(np.int64)
    taken = _numbers(table, "taken")
    order = np.lexsort((_numbers(table, "position"), _numbers(table, "zone"), taken))
    names, owner = _sources(table)
    return Batch(
        taken=taken[order],
        at=_numbers(table, "measured")[order],
        names=names,
        owner=owner[order],
        layout=_unsigned(table, "layout")[order],
        boot=_unsigned(table, "boot")[order],
        sequence=_unsigned(table, "sequence")[order],
        starts=ends[:-1][order],
        ends=ends[1:][order],
        values=lists.values.to_numpy(zero_copy_only=True),
        quality=_qualities(table, order),
    )


def _sources(table: pa.Table) -> tuple[list[str], Numbers]:
    """Every name once, and whose each row is: each chunk has its own dictionary."""
    column = table["source"].unify_dictionaries()
    if not column.num_chunks:
        return [], np.empty(0, dtype=np.int64)
    indices = [np.asarray(chunk.indices, dtype=np.int64) for chunk in column.chunks]
    return column.chunk(0).dictionary.to_pylist(), np.concatenate(indices)


def _numbers(table: pa.Table, name: str) -> Numbers:
    return np.asarray(table.column(name).cast(pa.int64()).to_numpy())


def _unsigned(table: pa.Table, name: str) -> Unsigned:
    return np.asarray(table.column(name).to_numpy())


def _qualities(table: pa.Table, order: Numbers) -> Sequence[npt.NDArray[np.uint8] | None]:
    column = table.column("quality")
    if column.null_count == len(column):
        return [None] * len(column)
    marks = [None if mark is None else np.array(mark, dtype=np.uint8) for mark in column.to_pylist()]
    return [marks[row] for row in order.tolist()]
