"""What lies in a recording: the columns of its files and the words of its manifest.

A row of `frames/` is one frame, its values one list: what came together stays together, a frame costs 40 bytes beside its
values instead of 24 a point, and a reader maps the values of a minute as one array without a copy. Measured on a minute of the
simulated site of 640 nodes (13.1 M points, every column, one core): lists of values that cannot be null, with LZ4 at level 9,
hold a point in 1.3 bytes and read in 0.10 CPU-seconds; zstd 3 needs 1.1 bytes and 0.16, and 0.28 where values may be null.
`points.sql` unnests them to a row a point for SQL.
"""

from pathlib import Path
from typing import Final, Literal

import msgspec
import pyarrow as pa

from fleet.errors import HallkeeperError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
SITE: Final = "site.yaml"
VIEWS: Final = "points.sql"
FRAMES: Final = "frames"
LAYOUTS: Final = "layouts"
RECORDS: Final = "records"
SEGMENT_MS: Final = 60_000
"""Bus time in one file: what a reader holds in memory, and what a crash may cost."""
SEGMENT_POINTS: Final = 16_000_000
"""Points in one file at most, 128 MB of values; a busier minute is several files."""
COMPRESSION: Final = {FRAMES: ("lz4", 9)}
"""Codec and level of frames, which every replay reads whole …"""
OTHER_COMPRESSION: Final = ("zstd", 3)
"""… and of what is small."""

_INSTANT: Final = pa.timestamp("ms", tz="UTC")

FRAME_COLUMNS: Final = pa.schema(
    [
        pa.field("taken", _INSTANT, nullable=False),  # when the bus took it: the order in which replay sees it
        pa.field("measured", _INSTANT, nullable=False),  # when the device answered
        pa.field("zone", pa.int32(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),  # the record's offset in its partition
        pa.field("source", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("layout", pa.uint64(), nullable=False),
        pa.field("boot", pa.uint64(), nullable=False),
        pa.field("sequence", pa.uint64(), nullable=False),
        pa.field("values", pa.list_(pa.field("element", pa.float64(), nullable=False)), nullable=False),
        pa.field("quality", pa.list_(pa.uint8())),  # null where all are good
    ]
)
LAYOUT_COLUMNS: Final = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("layout", pa.uint64(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),  # from 1, as SQL counts
        pa.field("name", pa.string(), nullable=False),
        pa.field("labels", pa.map_(pa.string(), pa.string()), nullable=False),
    ]
)
RECORD_COLUMNS: Final = pa.schema(
    [
        pa.field("taken", _INSTANT, nullable=False),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("zone", pa.int32(), nullable=False),  # partition
        pa.field("position", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("value", pa.binary()),
        pa.field("headers", pa.map_(pa.string(), pa.binary()), nullable=False),
    ]
)

POINTS_SQL: Final = """\
-- Run by DuckDB in the recording's folder: `points` has a row a point, with name, labels, source, zone, measured, taken,
-- value and quality. Narrow by zone, taken or source where you can: row groups that cannot match are not read.
CREATE OR REPLACE VIEW frames AS SELECT * FROM read_parquet('frames/*.parquet');
CREATE OR REPLACE VIEW layouts AS SELECT * FROM read_parquet('layouts/*.parquet');
CREATE OR REPLACE VIEW points AS
SELECT l.name, l.labels, f.source, f.zone, f.measured, f.taken, f.value,
       COALESCE(f.quality[f.place], 0) AS quality
FROM (SELECT source, zone, layout, measured, taken, quality, unnest("values") AS value,
             generate_subscripts("values", 1) AS place FROM frames) AS f
JOIN layouts AS l ON l.source = f.source AND l.layout = f.layout AND l.position = f.place;
"""
"""The documented way to read a recording as series; a file of it lies in every recording."""


class RecordingError(HallkeeperError):
    """A recording is missing, damaged, or of a version that this release does not read."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a recording."""

    name: str
    """Path below the recording, with `/`."""
    rows: int
    sha256: str


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A minute of bus time: an entry of the index by time and zone."""

    from_ms: int
    """First `taken`."""
    until_ms: int
    """Last `taken`."""
    zones: tuple[int, ...] = ()
    points: int = 0
    frames: Part | None = None
    layouts: Part | None = None
    """Series tables that were new in this minute."""
    records: Part | None = None
    """What else the bus carried: events, alerts, commands."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its files."""
        return tuple(part for part in (self.frames, self.layouts, self.records) if part is not None)


class TrustedSigner(msgspec.Struct, frozen=True):
    """A public key whose signatures counted when it was recorded."""

    public: str
    role: Literal["service", "operator", "admin"]
    name: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording holds."""

    format: int = FORMAT
    site: str = ""
    site_sha256: str = ""
    hallkeeper: str = ""
    pyarrow: str = ""
    trusted: dict[str, TrustedSigner] = {}
    """By key id: replay believes the commands that were believed then."""
    late: int = 0
    """Frames and records that came for a minute already written, and stand in the next."""
    refused: int = 0
    """Records of the bus that were no frames, and are not kept."""
    segments: tuple[Segment, ...] = ()
    layouts_until: int = 0
    """Segments that were dropped by retention lie before this number; their layouts are kept."""
    kept: tuple[Part, ...] = ()
    """Layout files of dropped segments: later frames may still name them."""

    @property
    def frames(self) -> int:
        """Frames in all segments."""
        return sum(segment.frames.rows for segment in self.segments if segment.frames is not None)

    @property
    def points(self) -> int:
        """Points in all segments."""
        return sum(segment.points for segment in self.segments)


def path_of(folder: Path, part: Part) -> Path:
    """Where a file lies. Raises `RecordingError` for a name that leads out of the folder."""
    pieces = part.name.split("/")
    if len(pieces) != 2 or pieces[0] not in {FRAMES, LAYOUTS, RECORDS} or pieces[1].startswith("."):
        raise RecordingError(f"{folder / MANIFEST}: {part.name!r} is no file of a recording")
    return folder / pieces[0] / pieces[1]
