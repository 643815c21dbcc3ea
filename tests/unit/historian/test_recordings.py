"""Recordings: what the bus carried comes back bit by bit, and SQL reads it as series."""

import struct
from pathlib import Path

import duckdb
import msgspec
import numpy as np
import pytest

from bus.frames import STALE, Frame, FrameWriter, SeriesLayout, decode, encode_table, values_of
from bus.port import Record
from bus.topics import COMMANDS, EVENTS, FRAMES
from historian.recording.reader import Recording
from historian.recording.shape import MANIFEST, RecordingError
from historian.recording.writer import RecordingWriter, read_manifest

START = 1_700_000_040_000
STALE_VALUE = struct.unpack("<d", struct.pack("<Q", STALE))[0]
ODD_NAN = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000ABC))[0]


class Stream:
    """Frames of a few sources, as the bus would hold them."""

    def __init__(self) -> None:
        self.writer = FrameWriter(boot=(1 << 64) - 1)
        self.offset = 0
        self.layouts = {
            name: SeriesLayout.of([("watts", [("asset", name), ("outlet", str(n))]) for n in range(1, 4)])
            for name in ("a", "b")
        }

    def records(self, name: str, zone: int, taken: int, values: list[float], quality: bytes | None = None):
        messages = self.writer.messages(f"{name}/snmp", zone, self.layouts[name], taken - 7, np.array(values), quality)
        return [self.record(FRAMES, zone, taken, m.key, m.value) for m in messages]

    def record(self, topic: str, partition: int, taken: int, key: str, value: bytes, headers=()) -> Record:
        self.offset += 1
        return Record(topic, partition, self.offset, key, value, headers, taken)


def write(folder: Path, batches, **options) -> RecordingWriter:
    writer = RecordingWriter(folder, site=None, name="here", version="1", **options)
    for batch in batches:
        writer.add(batch)
    writer.close()
    return writer


def frames_of(folder: Path) -> list[tuple[int, Frame]]:
    recording = Recording(folder)
    found = []
    for segment in recording.segments():
        batch = recording.frames(segment)
        for row in range(0 if batch is None else len(batch)):
            quality = batch.quality[row]
            found.append(
                (
                    int(batch.taken[row]),
                    Frame(
                        source=batch.names[batch.owner[row]],
                        boot=int(batch.boot[row]),
                        sequence=int(batch.sequence[row]),
                        layout=int(batch.layout[row]),
                        at=int(batch.at[row]),
                        values=batch.values[batch.starts[row] : batch.ends[row]].tobytes(),
                        quality=None if quality is None else quality.tobytes(),
                    ),
                )
            )
    return found


def test_every_frame_comes_back_bit_by_bit_in_the_order_of_the_bus(tmp_path: Path) -> None:
    stream = Stream()
    records = []
    for second in range(150):
        records += stream.records("a", 2, START + 1000 * second, [second, STALE_VALUE, -0.0])
        records += stream.records("b", 1, START + 1000 * second + 5, [ODD_NAN, np.inf, 1e-300], bytes([0, 2, 6]))
    write(tmp_path / "r", [records[:7], records[7:200], records[200:]])
    sent = [(record.at_ms, decode(record.value)) for record in records]
    assert frames_of(tmp_path / "r") == [(at, frame) for at, frame in sent if isinstance(frame, Frame)]
    (stale,) = {values_of(frame).view("u8")[1] for _, frame in frames_of(tmp_path / "r") if frame.source == "a/snmp"}
    assert stale == STALE


def test_tables_come_before_the_frames_that_need_them(tmp_path: Path) -> None:
    stream = Stream()
    records = [r for s in range(130) for r in stream.records("a", 1, START + 1000 * s, [1, 2, 3])]
    records += stream.records("b", 1, START + 130_000, [1, 2, 3])
    write(tmp_path / "r", [records])
    recording = Recording(tmp_path / "r")
    known = set()
    for segment in recording.segments():
        known |= {table.layout for table in recording.tables(segment)}
        batch = recording.frames(segment)
        assert batch is None or set(batch.layout.tolist()) <= known
    told = [table for segment in recording.segments() for table in recording.tables(segment)]
    sent = {record.value for record in records if record.value[:1] == b"\x94"}
    assert {encode_table(table) for table in told} == sent
    assert len(told) == 2


def test_events_alerts_and_commands_are_kept_with_their_signatures(tmp_path: Path) -> None:
    stream = Stream()
    records = [
        stream.record(EVENTS, 0, START + 10, "dgx-001", b"{}"),
        stream.record(COMMANDS, 0, START + 5, "site", b'{"a":1}', (("ce-signature", b"\x00\xff"), ("key", b"k"))),
        stream.record(EVENTS, 0, START + 70_000, "dgx-002", b"{}"),
    ]
    write(tmp_path / "r", [records])
    recording = Recording(tmp_path / "r")
    found = [record for segment in recording.segments() for record in recording.records(segment)]
    assert found == [records[1], records[0], records[2]]


def test_duckdb_reads_a_recording_as_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream()
    records = []
    for second in range(90):
        records += stream.records("a", 2, START + 1000 * second, [second, 2.5, 3], bytes([0, 0, 2]))
        records += stream.records("b", 1, START + 1000 * second, [7, 8, 9])
    write(tmp_path / "r", [records])
    monkeypatch.chdir(tmp_path / "r")
    with duckdb.connect() as sql:
        sql.execute("SET TimeZone='UTC'")
        sql.execute((tmp_path / "r" / "points.sql").read_text())
        assert sql.execute("SELECT count(*) FROM points").fetchone() == (540,)
        rows = sql.execute(
            "SELECT epoch_ms(measured), value, quality FROM points"
            " WHERE name = 'watts' AND labels['asset'] = 'a' AND labels['outlet'] = '3' ORDER BY measured"
        ).fetchall()
        assert rows == [(START + 1000 * second - 7, 3.0, 2) for second in range(90)]
        assert sql.execute("SELECT sum(value) FROM points WHERE zone = 2 AND labels['outlet'] = '1'").fetchone() == (
            sum(range(90)),
        )


def test_the_index_says_which_file_holds_which_time_and_zone(tmp_path: Path) -> None:
    stream = Stream()
    records = [r for s in range(180) for r in stream.records("a", 2 if s < 60 else 3, START + 1000 * s, [1, 2, 3])]
    write(tmp_path / "r", [records])
    recording = Recording(tmp_path / "r")
    assert [(s.zones, s.points) for s in recording.segments()] == [((2,), 180), ((3,), 180), ((3,), 180)]
    later = recording.segments(since_ms=START + 61_000, until_ms=START + 100_000)
    assert [(s.from_ms, s.until_ms) for s in later] == [(START + 60_000, START + 119_000)]


def test_a_minute_waits_for_a_slower_partition_and_what_comes_later_still_is_kept(tmp_path: Path) -> None:
    stream = Stream()
    early = stream.records("a", 1, START + 59_000, [1, 2, 3])
    slow = stream.records("b", 2, START + 58_000, [1, 2, 3])
    slower = stream.records("b", 2, START + 59_500, [4, 5, 6])
    writer = write(
        tmp_path / "r",
        [early, stream.records("a", 1, START + 61_000, [1, 2, 3]), slow,
         stream.records("a", 1, START + 70_000, [1, 2, 3]), slower],
    )  # fmt: skip
    assert writer.manifest.late == 1
    assert [taken - START for taken, _ in frames_of(tmp_path / "r")] == [58_000, 59_000, 59_500, 61_000, 70_000]
    assert [segment.frames.rows for segment in writer.segments] == [2, 3]


def test_a_recording_goes_on_where_it_stopped(tmp_path: Path) -> None:
    stream = Stream()
    write(tmp_path / "r", [stream.records("a", 1, START, [1, 2, 3])])
    write(tmp_path / "r", [stream.records("b", 1, START + 90_000, [1, 2, 3])])
    assert len(frames_of(tmp_path / "r")) == 2
    assert len({segment.frames.name for segment in read_manifest(tmp_path / "r").segments}) == 2


def test_what_retention_drops_leaves_the_tables_that_later_frames_name(tmp_path: Path) -> None:
    stream = Stream()
    records = [r for s in range(0, 300, 10) for r in stream.records("a", 1, START + 1000 * s, [1, 2, 3])]
    writer = write(tmp_path / "r", [records])
    assert writer.drop_before(START + 120_000) == 2
    recording = Recording(tmp_path / "r")
    assert len(frames_of(tmp_path / "r")) == 18
    assert [table.layout for table in recording.tables(None)] == [stream.layouts["a"].layout]
    assert len(list((tmp_path / "r" / "frames").iterdir())) == 3
    write(tmp_path / "r", [stream.records("a", 1, START + 400_000, [1, 2, 3])])
    assert len(frames_of(tmp_path / "r")) == 19


def test_a_frame_that_is_none_is_counted_and_left_out(tmp_path: Path) -> None:
    stream = Stream()
    bad = stream.record(FRAMES, 1, START, "a/snmp", b"\x98nothing")
    writer = write(tmp_path / "r", [[bad, *stream.records("a", 1, START, [1, 2, 3])]])
    assert writer.manifest.refused == 1
    assert len(frames_of(tmp_path / "r")) == 1


def test_a_damaged_file_is_refused_and_named(tmp_path: Path) -> None:
    stream = Stream()
    writer = write(tmp_path / "r", [stream.records("a", 1, START, [1, 2, 3])])
    path = tmp_path / "r" / writer.segments[0].frames.name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RecordingError, match="hash differs"):
        frames_of(tmp_path / "r")


@pytest.mark.parametrize("name", ["../x/y", "frames/../../y", "frames/.hidden", "elsewhere/y", "frames"])
def test_a_manifest_cannot_lead_out_of_its_folder(tmp_path: Path, name: str) -> None:
    stream = Stream()
    write(tmp_path / "r", [stream.records("a", 1, START, [1, 2, 3])])
    path = tmp_path / "r" / MANIFEST
    document = msgspec.json.decode(path.read_bytes())
    document["segments"][0]["frames"]["name"] = name
    path.write_bytes(msgspec.json.encode(document))
    with pytest.raises(RecordingError, match="no file of a recording"):
        frames_of(tmp_path / "r")


def test_a_folder_without_a_recording_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="is no recording"):
        Recording(tmp_path)


def test_equal_content_has_an_equal_digest(tmp_path: Path) -> None:
    for name in ("one", "two"):
        stream = Stream()
        write(tmp_path / name, [stream.records("a", 1, START, [1, 2, 3])])
    assert Recording(tmp_path / "one").digest == Recording(tmp_path / "two").digest
    stream = Stream()
    write(tmp_path / "three", [stream.records("a", 1, START, [1, 2, 4])])
    assert Recording(tmp_path / "three").digest != Recording(tmp_path / "one").digest
