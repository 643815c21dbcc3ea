"""The actuator's parts on disk and on its socket: journal, epoch, asset lock, messages."""

import asyncio
import os
import socket
import stat
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from devices.orders import VERBS, State, in_time, outlet_of
from fleet.clock import SystemClock
from remediator.actuator.act import Act
from remediator.actuator.asset_lock import AssetLocks, Busy
from remediator.actuator.epoch import EpochError, EpochFile
from remediator.actuator.journal import Journal, JournalError, unsent
from remediator.actuator.process import AlreadyRunning, sole
from remediator.actuator.scope import lock_name
from remediator.actuator.server import ActuatorServer, SocketError, bound_socket
from remediator.actuator_client import Answer, IntentMessage, SocketActuator
from remediator.verbs import TRAITS, Lane, Plane, Verb
from tests.faults.write_site import frame, intent


class ShiftedClock(SystemClock):
    """The machine's clock, moved on by hand."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def boottime_ns(self) -> int:
        return super().boottime_ns() + self.ahead_ns


def test_every_verb_that_commands_a_device_has_a_wire_and_no_other_has() -> None:
    assert {verb.value for verb in Verb if TRAITS[verb].plane is not Plane.BUS} == set(VERBS)


def test_the_margin_before_the_deadline_is_ten_milliseconds() -> None:
    assert in_time(0, 10_000_000)
    assert not in_time(1, 10_000_000)


def test_an_outlet_is_a_number_or_a_dotted_index() -> None:
    assert outlet_of({"outlet": 7}) == "7"
    assert outlet_of({"outlet": "1.1.5"}) == "1.1.5"
    for wrong in ("", "a", "1.", ".1", "1 ", "1\n", "٣"):
        with pytest.raises(ValueError, match="is no outlet"):
            outlet_of({"outlet": wrong})


def test_the_journal_takes_an_intent_once_for_all_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.sqlite")
    assert journal.take(intent("i1"), 5) is None
    journal.remember("i1", "note")
    journal.sent("i1", 7)
    journal.close()
    journal = Journal(tmp_path / "j.sqlite")
    memory = journal.take(intent("i1", verb="power_on"), 9)
    assert memory is not None
    assert (memory.message.verb, memory.note, memory.sent_at_ms, memory.ending) == ("power_off", "note", 7, None)
    assert [one.message.intent for one in journal.in_doubt()] == ["i1"]
    journal.end(unsent(intent("i1"), "text"))
    assert journal.in_doubt() == []
    ending = journal.recall("i1").ending
    assert (ending.state, ending.text) == (State.NOT_SENT, "text")
    journal.close()


def test_the_journal_is_for_its_owner_alone_and_synchronous(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.sqlite")
    assert stat.S_IMODE((tmp_path / "j.sqlite").stat().st_mode) == 0o600
    assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)
    journal.close()


def test_the_journal_forgets_what_ended_long_ago_and_nothing_else(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.sqlite")
    for name in ("old", "old-open", "new"):
        journal.take(intent(name), 0 if name != "new" else 401 * 86_400_000)
    journal.end(unsent(intent("old"), ""))
    journal.end(unsent(intent("new"), ""))
    journal.forget_old(401 * 86_400_000)
    assert journal.recall("old") is None
    assert journal.recall("old-open") is not None
    assert journal.recall("new") is not None
    journal.close()


def test_a_journal_that_cannot_be_opened_says_where(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="j.sqlite"):
        Journal(tmp_path / "absent" / "j.sqlite")


def test_the_epoch_only_rises_and_survives(tmp_path: Path) -> None:
    epoch = EpochFile(tmp_path / "epoch-corrective")
    epoch.see(5)
    epoch.see(3)
    assert EpochFile(tmp_path / "epoch-corrective").highest == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-corrective"]


def test_an_epoch_file_that_is_damaged_stops_the_start_rather_than_obeying_anybody(tmp_path: Path) -> None:
    (tmp_path / "epoch-corrective").write_text("x")
    with pytest.raises(EpochError, match="highest epoch"):
        EpochFile(tmp_path / "epoch-corrective")


def test_an_asset_is_locked_once_and_free_again_after(tmp_path: Path) -> None:
    locks = AssetLocks(tmp_path / "locks", SystemClock())
    with locks.locked("dgx-001.lock", "i1"), pytest.raises(Busy), locks.locked("dgx-001.lock", "i2"):
        pass
    with locks.locked("dgx-001.lock", "i2"):
        pass


def test_a_held_asset_is_refused_until_its_time_has_passed_and_lets_its_own_intent_in(tmp_path: Path) -> None:
    clock = ShiftedClock()
    locks = AssetLocks(tmp_path, clock)
    with locks.locked("a.lock", "i1") as lock:
        lock.hold("i1", 60)
    with pytest.raises(Busy, match="i1 sent may still run"), AssetLocks(tmp_path, clock).locked("a.lock", "i2"):
        pass
    with locks.locked("a.lock", "i1"):
        pass
    clock.ahead_ns = 61 * 10**9
    with locks.locked("a.lock", "i2"):
        pass


def test_after_a_reboot_the_hold_counts_by_the_wall_clock(tmp_path: Path) -> None:
    locks = AssetLocks(tmp_path, SystemClock())
    with locks.locked("a.lock", "i1") as lock:
        lock.hold("i1", 60)
    rebooted = AssetLocks(tmp_path, SystemClock())
    rebooted._boot = "another boot"
    with pytest.raises(Busy), rebooted.locked("a.lock", "i2"):
        pass


def test_a_lock_file_that_cannot_be_read_locks(tmp_path: Path) -> None:
    (tmp_path / "a.lock").write_text("{torn")
    with pytest.raises(Busy, match="cannot be read"), AssetLocks(tmp_path, SystemClock()).locked("a.lock", "i1"):
        pass


def test_lock_names_are_one_file_an_asset_or_an_object() -> None:
    assert lock_name(intent("i")) == "dgx-001.lock"
    assert lock_name(intent("i", "outlet_off", "pdu-a", arguments={"outlet": "1"})) == "pdu-a.lock"
    evict = intent("i", "evict", "k8s-1", arguments={"namespace": "ml", "pod": "a/../b", "uid": "u"})
    assert lock_name(evict) == "k8s-1%7Cml%7Ca%2F..%2Fb.lock"


def test_one_actuator_a_lane(tmp_path: Path) -> None:
    with sole(tmp_path, Lane.CORRECTIVE):
        with pytest.raises(AlreadyRunning), sole(tmp_path, Lane.CORRECTIVE):
            pass
        with sole(tmp_path, Lane.PROTECTIVE):
            pass


class Echo:
    """Answers every intent at once."""

    def __init__(self) -> None:
        self.taken: list[IntentMessage] = []

    def take(self, message: IntentMessage) -> Act:
        self.taken.append(message)
        return Act.over(message, unsent(message, "echo"))


@asynccontextmanager
async def served(actuator: object) -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hk") as folder:
        path = Path(folder) / "a.sock"
        async with ActuatorServer(actuator).serving(bound_socket(path)):
            yield path


async def test_the_socket_is_for_its_owner_alone() -> None:
    async with served(Echo()) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_the_remediators_client_and_the_server_speak_the_same() -> None:
    echo = Echo()
    async with served(echo) as path:
        answers = [answer async for answer in SocketActuator(path).carry_out(intent("i1", arguments={"outlet": "1"}))]
    assert [(answer.state, answer.text, answer.final) for answer in answers] == [(State.NOT_SENT, "echo", True)]
    assert echo.taken[0].arguments == {"outlet": "1"}


async def test_several_intents_may_share_a_connection() -> None:
    async with served(Echo()) as path:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(frame(intent("i1")) + frame(intent("i2")))
        names = []
        for _ in range(2):
            length = int.from_bytes(await reader.readexactly(4), "big")
            names.append(msgspec.json.decode(await reader.readexactly(length), type=Answer).intent)
        writer.close()
        await writer.wait_closed()
    assert sorted(names) == ["i1", "i2"]


@pytest.mark.parametrize(
    "garbage",
    [b"\x00\x00\x00\x05hello", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x00\x00\x00\x02{}", b"GET / HTTP/1.1\r\n"],
)
async def test_what_is_no_intent_ends_the_connection_and_nothing_else(garbage: bytes) -> None:
    echo = Echo()
    async with served(echo) as path:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(garbage)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        answers = [answer async for answer in SocketActuator(path).carry_out(intent("i1"))]
    assert len(answers) == 1
    assert len(echo.taken) == 1


def test_a_socket_path_that_is_too_long_says_so(tmp_path: Path) -> None:
    with pytest.raises(SocketError, match="shorter `data` folder"):
        bound_socket(tmp_path / ("x" * 120))


def test_a_socket_file_left_by_a_dead_process_is_replaced() -> None:
    with tempfile.TemporaryDirectory(prefix="hk") as folder:
        path = Path(folder) / "a.sock"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(os.fspath(path))
        bound_socket(path).close()
