"""Writes a recording: a file a minute, whole or not at all, and the manifest after each."""

import hashlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from bus.frames import Frame, decode
from bus.port import Record
from bus.topics import FRAMES as FRAMES_TOPIC
from fleet.errors import Malformed
from historian.recording.draft import Draft
from historian.recording.shape import (
    COMPRESSION,
    FRAMES,
    LAYOUTS,
    MANIFEST,
    OTHER_COMPRESSION,
    POINTS_SQL,
    RECORDS,
    SEGMENT_MS,
    SEGMENT_POINTS,
    SITE,
    VIEWS,
    Manifest,
    Part,
    RecordingError,
    Segment,
    TrustedSigner,
)

GRACE_MS: Final = 5_000
"""How long a minute waits for slower partitions once a later one has begun."""
HELD_POINTS: Final = 2 * SEGMENT_POINTS
"""What is held of minutes that are over while a reader of old records has not come to the end of every partition."""
TABLES_REMEMBERED: Final = 262_144
"""Tables that are known to be written already; they are told every five minutes."""


class RecordingWriter:
    """One recording under way. Methods raise `OSError` when the disk does not take it; what was written before stays."""

    def __init__(
        self,
        folder: Path,
        *,
        site: Path | None,
        name: str,
        version: str,
        trusted: dict[str, TrustedSigner] | None = None,
    ) -> None:
        """Begin an empty recording, or go on with one. Raises `RecordingError` for a folder that holds something else."""
        self.folder = folder
        self._open: dict[int, Draft] = {}
        self._newest = 0
        self._told: dict[tuple[str, int], None] = {}
        self._number = 0
        for inner in (FRAMES, LAYOUTS, RECORDS):
            (folder / inner).mkdir(parents=True, exist_ok=True)
        self.manifest = self._begin(site, name, version, trusted or {})
        write_whole(folder / VIEWS, POINTS_SQL.encode())
        self._write_manifest()

    def _begin(self, site: Path | None, name: str, version: str, trusted: dict[str, TrustedSigner]) -> Manifest:
        text = b"" if site is None else site.read_bytes()
        if text:
            write_whole(self.folder / SITE, text)
        digest = hashlib.sha256(text).hexdigest() if text else ""
        found = read_manifest(self.folder) if (self.folder / MANIFEST).exists() else Manifest()
        self._number = len(found.segments) + found.layouts_until
        return msgspec.structs.replace(
            found, site=name, site_sha256=digest, hallkeeper=version, pyarrow=pa.__version__, trusted=trusted
        )

    @property
    def segments(self) -> Sequence[Segment]:
        """What is on disk."""
        return self.manifest.segments

    def add(self, records: Iterable[Record]) -> None:
        """Records of any topic as the bus hands them out; minutes that are over are written."""
        self.take(records)
        self.flush()

    def take(self, records: Iterable[Record]) -> None:
        """Gather them; nothing is written but a minute that is too large for memory."""
        for record in records:
            draft = self._draft(record.at_ms)
            if record.topic != FRAMES_TOPIC:
                draft.records.append(record)
                continue
            try:
                found = decode(record.value or b"")
            except Malformed:
                self.manifest = msgspec.structs.replace(self.manifest, refused=self.manifest.refused + 1)
                continue
            if isinstance(found, Frame):
                draft.add_frame(record, found)
            elif self._is_new(found.source, found.layout):
                draft.tables.append(found)

    def flush(self, *, patient: bool = False) -> None:
        """Write the minutes that are over; where `patient`, only as many as memory asks for: others still come."""
        held = sum(draft.points for draft in self._open.values())
        if patient and held <= HELD_POINTS:
            return
        self._flush(self._newest - GRACE_MS)

    def close(self) -> None:
        """Write what is gathered."""
        self._flush(None)

    def _draft(self, at_ms: int) -> Draft:
        self._newest = max(self._newest, at_ms)
        minute = at_ms // SEGMENT_MS
        oldest = (self._newest - GRACE_MS) // SEGMENT_MS
        if minute < oldest and minute not in self._open:
            self.manifest = msgspec.structs.replace(self.manifest, late=self.manifest.late + 1)
            minute = oldest
        draft = self._open.setdefault(minute, Draft())
        if draft.points >= SEGMENT_POINTS:
            self._write(draft)
            draft = self._open[minute] = Draft()
        return draft

    def _is_new(self, source: str, layout: int) -> bool:
        key = (source, layout)
        new = key not in self._told
        self._told.pop(key, None)
        self._told[key] = None
        if len(self._told) > TABLES_REMEMBERED:
            del self._told[next(iter(self._told))]
        return new

    def _flush(self, before_ms: int | None) -> None:
        """Write the minutes that ended before a time; all of them where none is given."""
        for minute in sorted(self._open):
            if before_ms is None or (minute + 1) * SEGMENT_MS <= before_ms:
                draft = self._open[minute]
                if not draft.empty:
                    self._write(draft)
                del self._open[minute]

    def _write(self, draft: Draft) -> None:
        self._number += 1
        first, last = draft.taken()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(first / 1000))
        name = f"{self._number:06d}-{stamp}.parquet"
        segment = Segment(
            from_ms=first,
            until_ms=last,
            zones=draft.zones(),
            points=draft.points,
            frames=self._part(f"{FRAMES}/{name}", draft.frames()) if draft.rows else None,
            layouts=self._part(f"{LAYOUTS}/{name}", [draft.layouts()]) if draft.tables else None,
            records=self._part(f"{RECORDS}/{name}", [draft.others()]) if draft.records else None,
        )
        self.manifest = msgspec.structs.replace(self.manifest, segments=(*self.manifest.segments, segment))
        self._write_manifest()

    def _part(self, name: str, tables: Sequence[pa.Table]) -> Part:
        path = self.folder / name
        draft = path.with_suffix(".part")
        compression, level = COMPRESSION.get(name.partition("/")[0], OTHER_COMPRESSION)
        with pq.ParquetWriter(
            draft,
            tables[0].schema,
            compression=compression,
            compression_level=level,
            use_dictionary=["source", "name", "topic", "labels.key_value.key", "labels.key_value.value"],
            write_statistics=["taken", "measured", "zone", "layout", "name", "topic"],
        ) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=max(1, table.num_rows))
        digest = sha256_of(draft)
        draft.replace(path)
        return Part(name=name, rows=sum(table.num_rows for table in tables), sha256=digest)

    def drop_before(self, at_ms: int) -> int:
        """Forget the segments that ended before a time; how many. Their layouts stay: later frames name them."""
        old = [segment for segment in self.manifest.segments if segment.until_ms < at_ms]
        if not old:
            return 0
        kept = (*self.manifest.kept, *(segment.layouts for segment in old if segment.layouts is not None))
        rest = tuple(segment for segment in self.manifest.segments if segment.until_ms >= at_ms)
        self.manifest = msgspec.structs.replace(
            self.manifest, segments=rest, kept=kept, layouts_until=self.manifest.layouts_until + len(old)
        )
        self._write_manifest()
        for segment in old:
            for part in (segment.frames, segment.records):
                if part is not None:
                    (self.folder / part.name).unlink(missing_ok=True)
        return len(old)

    def _write_manifest(self) -> None:
        write_whole(self.folder / MANIFEST, msgspec.json.format(msgspec.json.encode(self.manifest), indent=1))


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a recording. Raises `RecordingError` with what to try."""
    path = folder / MANIFEST
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise RecordingError(f"{folder} is no recording: {error}, try the folder that holds {MANIFEST}") from error
    except msgspec.MsgspecError as error:
        raise RecordingError(f"{path}: {error}, try a copy of the recording") from error
    if found.format != 1:
        raise RecordingError(f"{path}: format {found.format} is not known, this release reads 1")
    return found


def sha256_of(path: Path) -> str:
    """The digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    draft = path.with_suffix(path.suffix + ".part")
    draft.write_bytes(content)
    draft.replace(path)
