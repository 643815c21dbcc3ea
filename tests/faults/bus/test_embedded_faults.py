"""The disk is full, read-only, damaged, or somebody else's: said by name with what to try, and nothing is half accepted."""

import asyncio
import contextlib
import multiprocessing
import os
import resource
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from bus.embedded import EmbeddedBus
from bus.errors import BusError
from bus.port import Message
from bus.topics import ALERTS, EVENTS, FRAMES
from fleet.clock import SystemClock
from tests.contract.bus.harness import drained, numbered, numbers


async def opened(path: Path) -> EmbeddedBus:
    return await EmbeddedBus.open(path, clock=SystemClock(), partitions=2)


def in_a_child(work: Callable[[], Coroutine[None, None, str]], *, user: int | None = None) -> str:
    """What the work returns, done by a process of its own, as another user where root would be let through."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if user is not None and os.geteuid() == 0:
                os.setuid(user)
            asyncio._set_running_loop(None)
            said = asyncio.new_event_loop().run_until_complete(work())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read()


async def test_a_full_disk_accepts_nothing_of_a_batch_and_goes_on_when_there_is_room(tmp_path):
    bus = await opened(tmp_path / "bus.sqlite")
    await bus.publish(numbered(EVENTS, 3))
    await bus._writer.run(lambda connection: connection.execute("PRAGMA max_page_count=1"))
    with pytest.raises(BusError, match=rf"{tmp_path}/bus\.sqlite: the disk is full, try freeing space"):
        await bus.publish([*numbered(FRAMES, 2, partition=0), *[Message(EVENTS, "k", bytes(50_000))] * 20])
    assert bus.published == 3
    assert len(await (await bus.reader(topics=[EVENTS, FRAMES])).fetch()) == 3
    await bus._writer.run(lambda connection: connection.execute("PRAGMA max_page_count=1000000"))
    await bus.publish(numbered(EVENTS, 3, start=3))
    assert numbers(await (await bus.reader(topics=[EVENTS])).fetch()) == list(range(6))
    await bus.close()


def test_a_file_that_may_grow_no_more_is_an_error_and_the_log_stays_whole(tmp_path):
    path = tmp_path / "bus.sqlite"

    async def fill() -> str:
        bus = await opened(path)
        accepted = 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))
        with contextlib.suppress(BusError):
            while accepted < 1000:
                await bus.publish(
                    [Message(ALERTS, "k", b"%7d" % number + bytes(20_000)) for number in range(accepted, accepted + 3)]
                )
                accepted += 3
        read = await (await bus.reader(topics=[ALERTS])).fetch(limit=10_000)
        return f"{accepted} {len(read)}"

    accepted, read = map(int, in_a_child(fill).split())
    assert 0 < accepted < 1000
    assert read == accepted
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("SELECT tail FROM partitions WHERE topic = 'alerts'").fetchone() == (accepted,)
    connection.close()


@pytest.mark.parametrize("below", ["bus.sqlite", "data/bus.sqlite"])
def test_a_folder_that_cannot_be_written_is_named(below):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)

        async def work() -> str:
            await opened(Path(folder) / below)
            return "opened"

        said = in_a_child(work, user=65534)
        Path(folder).chmod(0o700)
    assert said.startswith(f"BusError: {folder}/{below}: ")
    assert "try giving" in said


async def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(BusError, match=rf"{tmp_path}/data/bus\.sqlite: .*"):
        await opened(tmp_path / "data" / "bus.sqlite")


async def test_a_file_that_is_no_database_is_named_and_left_as_it_is(tmp_path):
    path = tmp_path / "bus.sqlite"
    path.write_bytes(b"not a database, " * 4096)
    with pytest.raises(BusError, match=r"bus\.sqlite: .*try moving it aside"):
        await opened(path)
    assert path.read_bytes() == b"not a database, " * 4096


async def test_another_programs_database_is_left_alone(tmp_path):
    connection = sqlite3.connect(tmp_path / "bus.sqlite")
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(BusError, match="another program's database, try another data folder"):
        await opened(tmp_path / "bus.sqlite")


async def test_a_log_of_a_newer_release_is_not_opened(tmp_path):
    bus = await opened(tmp_path / "bus.sqlite")
    await bus.close()
    connection = sqlite3.connect(tmp_path / "bus.sqlite")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(BusError, match=r"newer release .format 99, this one reads 1., try upgrading"):
        await opened(tmp_path / "bus.sqlite")


async def test_a_damaged_page_is_an_error_that_names_the_file_and_never_a_crash(tmp_path):
    path = tmp_path / "bus.sqlite"
    bus = await opened(path)
    for start in range(0, 400, 20):
        await bus.publish([Message(EVENTS, "k", b"%7d" % number + bytes(3_000)) for number in range(start, start + 20)])
    await bus.close()
    content = bytearray(path.read_bytes())
    damaged = len(content) // 2 // 16_384 * 16_384
    content[damaged : damaged + 16_384] = b"\xa5" * 16_384
    path.write_bytes(content)
    bus = await opened(path)
    reader = await bus.reader(topics=[EVENTS])
    with pytest.raises(BusError, match=r"bus\.sqlite: it is damaged, try moving it"):
        await drained(reader, 400)
    await bus.close()


async def test_a_job_that_fails_takes_no_neighbour_with_it(tmp_path):
    bus = await opened(tmp_path / "bus.sqlite")

    def broken(_: sqlite3.Connection) -> None:
        raise RuntimeError("this one alone")

    results = await asyncio.gather(
        *[bus.publish(numbered(EVENTS, 1, start=number)) for number in range(5)],
        bus.write(broken),
        *[bus.publish(numbered(EVENTS, 1, start=number)) for number in range(5, 10)],
        return_exceptions=True,
    )
    assert [str(result) for result in results if result is not None] == ["this one alone"]
    assert sorted(numbers(await (await bus.reader(topics=[EVENTS])).fetch())) == list(range(10))
    await bus.close()


async def test_a_cancelled_publisher_disturbs_nobody(tmp_path):
    bus = await opened(tmp_path / "bus.sqlite")
    tasks = [asyncio.create_task(bus.publish(numbered(EVENTS, 1, start=number))) for number in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await bus.publish(numbered(EVENTS, 1, start=20))
    assert {*range(1, 20, 2), 20} <= set(numbers(await (await bus.reader(topics=[EVENTS])).fetch()))
    await bus.close()


async def test_what_is_asked_of_a_closed_bus_is_an_error(tmp_path):
    bus = await opened(tmp_path / "bus.sqlite")
    await bus.close()
    with pytest.raises(BusError, match="closed"):
        await bus.publish(numbered(EVENTS, 1))


def _start(path: str, number: int) -> None:
    async def main() -> None:
        bus = await opened(Path(path))
        for _ in range(10):
            await bus.publish(numbered(ALERTS, 1, start=number))
        await bus.close()

    asyncio.run(main())


def test_six_processes_that_start_at_once_make_one_log(tmp_path):
    context = multiprocessing.get_context("spawn")
    path = str(tmp_path / "bus.sqlite")
    children = [context.Process(target=_start, args=(path, number)) for number in range(6)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 6
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT tail FROM partitions WHERE topic = 'alerts'").fetchone() == (60,)
    connection.close()
