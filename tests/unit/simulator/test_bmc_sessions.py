"""Sessions of a BMC: the window of sequence numbers, the limit, the expiry, and nothing run twice."""

import os
from pathlib import Path

import pytest

from simulator.ipmi import packets
from simulator.ipmi.commands import Bmc
from simulator.ipmi.server import BmcServer
from simulator.ipmi.sessions import EXPIRY_SECONDS, MOST_SESSIONS, WINDOW, Account, Session, Sessions
from simulator.ipmi.suites import SUITES, Keys
from simulator.layout import Layout
from simulator.plant import Plant
from simulator.truth import GroundTruth

CHASSIS_CONTROL = (0x00, 0x02)
GUID = bytes(range(16))


class Rig:
    """A BMC server without a socket, and just enough of a client, written from the standard."""

    def __init__(self, folder: Path) -> None:
        self.plant = Plant(Layout(4, 1), seed=1)
        self.now = 0.0
        self.truth = GroundTruth(folder / "truth.jsonl")
        self.sessions = Sessions(accounts={b"w": Account(b"secret", 4)}, suites=frozenset({3, 17}), guid=GUID)
        bmc = Bmc(self.plant, 0, GUID, lambda seconds: seconds, lambda: False, lambda *_: None)
        self.server = BmcServer(
            name="n", bmc=bmc, sessions=self.sessions, suites=frozenset({3, 17}), truth=self.truth, answers=lambda: True,
            loses_replies=lambda: False, delay_seconds=lambda: 0.0, clock=lambda: self.now,
        )  # fmt: skip

    def raw(self, kind: int, payload: bytes) -> bytes:
        answer = self.server.respond(packets.plain_packet(kind, payload))
        assert answer is not None
        return answer[16:]

    def open(self, suite_number: int = 17) -> bytes:
        suite = SUITES[suite_number]
        wanted = b"".join(
            bytes((kind, 0, 0, 8, number, 0, 0, 0))
            for kind, number in enumerate((suite.authentication, suite.integrity, 1))
        )
        return self.raw(packets.OPEN_REQUEST, bytes((1, 0, 0, 0)) + b"\x01\x02\x03\x04" + wanted)

    def login(self, suite_number: int = 17) -> Session:
        suite, number = SUITES[suite_number], self.open(suite_number)[8:12]
        random, named = os.urandom(16), bytes((0x14, 1)) + b"w"
        second = self.raw(packets.RAKP_1, bytes((1, 0, 0, 0)) + number + random + bytes((0x14, 0, 0, 1)) + b"w")
        bmc_random, guid, proof = second[8:24], second[24:40], second[40:]
        said = b"\x01\x02\x03\x04" + number + random + bmc_random + guid + named
        assert proof == suite.mac(b"secret", said)
        mine = suite.mac(b"secret", bmc_random + b"\x01\x02\x03\x04" + named)
        fourth = self.raw(packets.RAKP_3, bytes((1, 0, 0, 0)) + number + mine)
        assert fourth[1] == 0
        session = self.sessions.active(int.from_bytes(number, "little"), self.now)
        assert session is not None
        session.privilege = 4
        return session

    def packet(self, session: Session, sequence: int, command: tuple[int, int], data: bytes = b"") -> bytes:
        keys: Keys = session.keys
        head = bytes((0x20, command[0] << 2))
        body = bytes((0x81, 0x04, command[1])) + data
        message = head + bytes((packets.checksum(head),)) + body + bytes((packets.checksum(body),))
        whole = packets.session_body(
            0, session.number, sequence, keys.seal(message), flags=packets.ENCRYPTED | packets.AUTHENTICATED
        )
        return packets.RMCP_IPMI + whole + keys.code(whole)

    def off(self, session: Session, sequence: int) -> bool:
        """Whether an off with this sequence number is answered."""
        return self.server.respond(self.packet(session, sequence, CHASSIS_CONTROL, b"\x00")) is not None

    def lines(self) -> list[bytes]:
        return self.truth.lines()


@pytest.fixture
def rig(tmp_path):
    built = Rig(tmp_path)
    yield built
    built.truth.close()


@pytest.mark.parametrize("suite", [3, 17])
def test_a_client_written_from_the_standard_logs_in_and_commands(rig, suite) -> None:
    session = rig.login(suite)
    assert rig.off(session, 1)
    rig.plant.step(3)
    assert rig.plant.machines.state[0] == 0


def test_the_same_packet_runs_once_and_both_are_written_down(rig) -> None:
    session = rig.login()
    packet = rig.packet(session, 1, CHASSIS_CONTROL, b"\x00")
    assert rig.server.respond(packet) is not None
    assert rig.server.respond(packet) is None
    assert [b'"executed":true' in line for line in rig.lines()] == [True, False]


def test_late_packets_run_within_the_window_and_not_behind_it(rig) -> None:
    session = rig.login()
    for sequence in range(1, 41):
        rig.server.respond(rig.packet(session, sequence, (0x00, 0x01)))
    session.recent -= {26, 25, 24}
    assert session.highest == 40
    assert rig.off(session, 40 - WINDOW + 1)
    assert not rig.off(session, 40 - WINDOW)
    assert not rig.off(session, 40 - WINDOW - 1)


def test_a_jump_too_far_ahead_is_dropped_and_a_jump_of_fifteen_is_not(rig) -> None:
    session = rig.login()
    assert rig.off(session, 1)
    assert not rig.off(session, 1 + WINDOW)
    assert rig.off(session, WINDOW)


def test_advancing_the_sequence_by_seventeen_fences_off_a_delayed_command(rig) -> None:
    session = rig.login()
    delayed = rig.packet(session, 1, CHASSIS_CONTROL, b"\x00")
    for sequence in (9, 18):
        assert rig.server.respond(rig.packet(session, sequence, (0x00, 0x01))) is not None
    assert rig.server.respond(delayed) is None
    assert b'"executed":false' in rig.lines()[-1]


def test_a_closed_session_is_dead_for_whatever_comes_late(rig) -> None:
    session = rig.login()
    delayed = rig.packet(session, 2, CHASSIS_CONTROL, b"\x00")
    assert rig.server.respond(rig.packet(session, 1, (0x06, 0x3C), session.number.to_bytes(4, "little"))) is not None
    assert rig.server.respond(delayed) is None
    rig.plant.step(3)
    assert rig.plant.machines.state[0] != 0


def test_a_tampered_packet_is_dropped(rig) -> None:
    session = rig.login()
    packet = bytearray(rig.packet(session, 1, CHASSIS_CONTROL, b"\x00"))
    packet[20] ^= 1
    assert rig.server.respond(bytes(packet)) is None
    assert rig.off(session, 1), "and has not used its number up"


def test_the_sixteenth_session_is_refused_until_one_expires(rig) -> None:
    for _ in range(MOST_SESSIONS):
        rig.login()
    assert rig.open()[1] == 0x01
    rig.now += EXPIRY_SECONDS + 1
    rig.login()


def test_a_session_expires_a_minute_after_its_last_packet(rig) -> None:
    session = rig.login()
    rig.now += EXPIRY_SECONDS - 1
    assert rig.off(session, 1)
    rig.now += EXPIRY_SECONDS + 1
    assert not rig.off(session, 2)


def test_half_open_sessions_never_pile_up(rig) -> None:
    for _ in range(200):
        assert rig.open()[1] == 0
    rig.login()


def test_a_wrong_proof_of_the_password_ends_the_login_and_is_written_down(rig) -> None:
    number = rig.open()[8:12]
    rig.raw(packets.RAKP_1, bytes((1, 0, 0, 0)) + number + bytes(16) + bytes((0x14, 0, 0, 1)) + b"w")
    assert rig.raw(packets.RAKP_3, bytes((1, 0, 0, 0)) + number + bytes(32))[1] == 0x0F
    assert b"wrong password" in rig.lines()[-1]
    assert len(rig.sessions) == 0


CLOSE, INFO = (0x06, 0x3C), (0x06, 0x3D)


def said(rig: Rig, session: Session, sequence: int, command: tuple[int, int], data: bytes) -> tuple[int, bytes]:
    """Completion code and data of an answer."""
    answer = rig.server.respond(rig.packet(session, sequence, command, data))
    assert answer is not None
    message = session.keys.open(packets.parse_packet(answer).payload)
    return message[6], message[7:-1]


def number_of(session: Session) -> bytes:
    return session.number.to_bytes(4, "little")


def test_an_administrator_ends_the_session_of_another_and_hears_that_it_is_gone(rig: Rig) -> None:
    lost, second = rig.login(), rig.login()
    assert said(rig, second, 1, INFO, b"\xff" + number_of(lost))[1][0] != 0
    assert said(rig, second, 2, CLOSE, number_of(lost)) == (0, b"")
    assert said(rig, second, 3, CLOSE, number_of(lost)) == (0x87, b"")
    assert said(rig, second, 4, INFO, b"\xff" + number_of(lost)) == (0, bytes((0, MOST_SESSIONS, 1)))
    assert not rig.off(lost, 1)


def test_an_operator_ends_no_session_but_its_own(rig: Rig) -> None:
    lost, second = rig.login(), rig.login()
    second.privilege = 3
    assert said(rig, second, 1, CLOSE, number_of(lost)) == (0xD4, b"")
    assert rig.off(lost, 1)
    assert said(rig, second, 2, CLOSE, number_of(second)) == (0, b"")


def test_session_info_knows_the_session_that_asks(rig: Rig) -> None:
    session = rig.login()
    code, data = said(rig, session, 1, INFO, b"\0")
    assert (code, data[0], data[2], data[4]) == (0, 1, 1, 4)
    assert said(rig, session, 2, INFO, b"") == (0xC7, b"")
    assert said(rig, session, 3, INFO, b"\xff\1") == (0xC7, b"")
