"""The spool: a line that never drops and a ring that counts what it does, on disk and by one process at a time."""

import sqlite3
from pathlib import Path

import pytest

from bus.errors import BusError
from bus.port import Message
from bus.spool import CHUNK, NAMES, RingSize, Spool
from fleet.clock import SystemClock, VirtualClock

TABLE = b"\x94table"


def messages(count: int, start: int = 0, topic: str = "alerts", size: int = 0) -> list[Message]:
    return [Message(topic, "k", b"%d" % number + bytes(size)) for number in range(start, start + count)]


def values(chunk) -> list[int]:
    return [int(message.value.rstrip(b"\0")) for _, message in chunk]


@pytest.fixture(params=[SystemClock, VirtualClock])
async def spool(request, tmp_path):
    made = Spool.open(tmp_path, "spool", clock=request.param(), ring=RingSize(seconds=60, bytes=100_000))
    yield made
    await made.close()


async def test_the_line_leaves_in_the_order_it_was_accepted(spool):
    for start in range(0, 400, 40):
        await spool.append(messages(40, start))
    assert spool.lined == 400
    left: list[int] = []
    while chunk := spool.line():
        assert len(chunk) <= CHUNK
        left += values(chunk)
        await spool.left_line(chunk[-1][0])
    assert left == list(range(400))
    assert spool.lined == 0


async def test_what_did_not_leave_is_still_there_after_a_restart(tmp_path):
    clock = SystemClock()
    first = Spool.open(tmp_path, "spool", clock=clock)
    headers = (("hk-key", b"\xff"),)
    await first.append([Message("commands", "r01", b"1", headers, 3), *messages(9, 2)])
    await first.keep([Message("telemetry.frames", "s", TABLE), *messages(5, topic="telemetry.frames")])
    await first.left_line(first.line()[3][0])
    await first.close()
    second = Spool.open(tmp_path, "spool", clock=clock)
    assert (second.lined, second.ringed, second.tables) == (6, 5, 1)
    assert values(second.line()) == [5, 6, 7, 8, 9, 10]
    await second.append([Message("commands", "r01", b"1", headers, 3)])
    assert second.line()[-1][1] == Message("commands", "r01", b"1", headers, 3)
    await second.close()


async def test_the_ring_drops_its_oldest_by_size_and_counts_them(spool):
    for start in range(0, 40, 4):
        await spool.keep(messages(4, start, "telemetry.frames", size=9_990))
    assert spool.ring_bytes <= 100_000
    assert spool.ringed + spool.dropped_frames == 40
    assert values(spool.ring()) == list(range(40 - spool.ringed, 40))


async def test_the_ring_drops_what_is_older_than_its_time(tmp_path):
    clock = VirtualClock()
    spool = Spool.open(tmp_path, "spool", clock=clock, ring=RingSize(seconds=600, bytes=1 << 20))
    for number in range(20):
        await spool.keep(messages(1, number, "telemetry.frames"))
        await clock.advance(60)
    assert values(spool.ring()) == list(range(9, 20))
    assert spool.dropped_frames == 9
    await spool.close()


async def test_a_table_is_kept_once_and_outlives_the_ring(spool):
    for start in range(40):
        table = Message("telemetry.frames", "s", TABLE)
        await spool.keep([table, *messages(1, start, "telemetry.frames", size=9_990)])
    assert spool.tables == 1
    assert [message for _, message in spool.told()] == [Message("telemetry.frames", "s", TABLE)]
    await spool.left_told(spool.told()[-1][0])
    assert (spool.tables, spool.told()) == (0, [])


async def test_nothing_of_a_line_is_ever_dropped_for_the_ring(spool):
    await spool.append(messages(1000, size=1_000))
    for start in range(40):
        await spool.keep(messages(1, start, "telemetry.frames", size=9_990))
    assert spool.lined == 1000


async def test_one_process_holds_one_file_and_the_next_takes_another(tmp_path):
    held = [Spool.open(tmp_path, "spool", clock=SystemClock()) for _ in range(3)]
    assert [spool.path.name for spool in held] == ["spool.sqlite", "spool-2.sqlite", "spool-3.sqlite"]
    await held[0].close()
    again = Spool.open(tmp_path, "spool", clock=SystemClock())
    assert again.path.name == "spool.sqlite"
    for spool in [again, *held[1:]]:
        await spool.close()


def test_too_many_processes_on_one_name_are_refused_with_what_to_try(tmp_path, monkeypatch):
    def taken(*_) -> None:
        raise BlockingIOError

    monkeypatch.setattr("fcntl.flock", taken)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(BusError, match=f"{NAMES} processes hold spools of this name, try another name"):
        Spool.open(tmp_path, "spool", clock=SystemClock())
    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_a_full_disk_accepts_nothing_half_and_goes_on_when_there_is_room(spool):
    await spool.append(messages(10))
    connection = spool._writer._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages + 1}")
    with pytest.raises(BusError, match=rf"{spool.path}: the disk is full, try freeing space"):
        await spool.append(messages(500, 10, size=1_000))
    assert (spool.lined, spool.spooled) == (10, 10)
    connection.execute("PRAGMA max_page_count=1000000")
    await spool.append(messages(500, 10, size=1_000))
    assert spool.lined == 510


async def test_the_line_is_synced_before_it_counts_as_accepted(spool):
    statements: list[str] = []
    spool._writer._connection.set_trace_callback(statements.append)
    await spool.append(messages(1))
    assert [one for one in statements if "synchronous" in one] == ["PRAGMA synchronous=FULL"]


async def test_another_programs_database_is_not_touched(tmp_path):
    connection = sqlite3.connect(tmp_path / "spool.sqlite")
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(BusError, match=r"spool\.sqlite is another program's database, try another data folder"):
        Spool.open(tmp_path, "spool", clock=SystemClock())
