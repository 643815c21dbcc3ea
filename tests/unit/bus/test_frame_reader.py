"""Reading frames: each once, each with its series known."""

import numpy as np

from bus.frame_reader import GAPS_PER_BOOT, PARK_LIMIT, FrameReader, Seen
from bus.frames import FrameWriter, SeriesLayout, SeriesTable

LAYOUT = SeriesLayout.of([("up", [("asset", "dgx-001")])])
OTHER = SeriesLayout.of([("down", [])])


def table_of(layout: SeriesLayout, source: str = "s") -> bytes:
    return FrameWriter(0).messages(source, 0, layout, 0, np.array([1.0]))[0].value


def written(count: int, *, boot: int = 1, source: str = "s", layout: SeriesLayout = LAYOUT) -> list[bytes]:
    writer = FrameWriter(boot)
    messages = [writer.messages(source, 0, layout, at, np.array([1.0]))[-1].value for at in range(count)]
    return [table_of(layout, source), *messages]


def test_frames_behind_their_table_come_in_order():
    assert [frame.sequence for frame in FrameReader().read(written(5))] == [0, 1, 2, 3, 4]


def test_a_log_read_twice_gives_nothing_the_second_time():
    reader, log = FrameReader(), written(50)
    assert len(reader.read(log)) == 50
    assert reader.read(log) == []
    assert reader.duplicates == 50


def test_frames_wait_for_their_table_and_come_when_it_does():
    reader = FrameReader()
    table, *frames = written(3)
    assert reader.read(frames) == []
    assert (reader.waiting, reader.parked) == (3, 3)
    assert [frame.sequence for frame in reader.read([table])] == [0, 1, 2]
    assert reader.waiting == 0


def test_a_table_frees_only_its_own_frames():
    reader = FrameReader()
    reader.read([written(1)[1], written(1, source="t", layout=OTHER)[1]])
    assert [frame.source for frame in reader.read([table_of(OTHER, "t")])] == ["t"]
    assert reader.waiting == 1


def test_no_more_than_a_thousand_frames_are_parked_and_the_oldest_is_given_up():
    reader = FrameReader()
    table, *frames = written(PARK_LIMIT + 5)
    reader.read(frames)
    assert (reader.waiting, reader.overflowed) == (PARK_LIMIT, 5)
    assert reader.read([table])[0].sequence == 5


def test_what_is_malformed_is_counted_and_stops_nothing():
    reader = FrameReader()
    table, frame = written(1)
    assert len(reader.read([b"", table, b"\x98\xff", None, frame])) == 1
    assert reader.malformed == 2
    assert reader.last_fault


def test_a_restarted_collector_numbers_anew_and_loses_nothing():
    reader = FrameReader()
    reader.read(written(3, boot=1))
    assert len(reader.read(written(3, boot=2))) == 3


def test_tables_of_a_snapshot_make_frames_readable():
    reader = FrameReader()
    reader.teach([SeriesTable(source="s", layout=LAYOUT.layout, series=LAYOUT.series)])
    assert len(reader.read(written(2)[1:])) == 2


def test_frames_that_come_late_are_new_and_only_once():
    seen = Seen()
    new = [seen.add(number) for number in (5, 2, 2, 5, 0, 1, 3, 4, 4, 6)]
    assert new == [True, True, False, False, True, True, True, True, False, True]
    assert seen.gaps == []


def test_gaps_are_bounded():
    seen = Seen()
    for number in range(1, 10 * GAPS_PER_BOOT, 2):
        seen.add(number)
    assert len(seen.gaps) == GAPS_PER_BOOT
