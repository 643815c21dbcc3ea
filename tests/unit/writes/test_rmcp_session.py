"""The login and the session, byte by byte, against a BMC's side that shares no code with it."""

import pytest

from devices.wire.rmcp_crypto import SUITES, Exchange, Keys, suite_of
from devices.wire.rmcp_packet import (
    PayloadType,
    decode_answer,
    decode_packet,
    request_message,
    sealed_packet,
)
from devices.wire.rmcp_session import OPERATOR, Account, Login, LoginLost, Session
from fleet.errors import Malformed, Refused
from simulator.ipmi.packets import Packet, parse_packet, plain_packet
from simulator.ipmi.sessions import Account as BmcAccount
from simulator.ipmi.sessions import Sessions

BOTH = pytest.mark.parametrize("suite", [3, 17])


def account(suite: int, *, password: str = "a password", privilege: int = OPERATOR) -> Account:
    return Account(user="hk", password=password, suite=suite_of(suite), privilege=privilege)


class Bmc:
    """The other side: the simulator's sessions, asked in memory."""

    def __init__(self, *suites: int, privilege: int = 4) -> None:
        accounts = {b"hk": BmcAccount(password=b"a password", privilege=privilege)}
        self.sessions = Sessions(accounts=accounts, suites=frozenset(suites), guid=bytes(range(16)))

    def answer(self, datagram: bytes) -> bytes:
        packet: Packet = parse_packet(datagram)
        steps = {0x10: self.sessions.open, 0x12: self.sessions.rakp_1, 0x14: self.sessions.rakp_3}
        answered = steps[packet.payload_type](packet.payload, 0.0)
        assert answered is not None
        return plain_packet(*answered)


def logged_in(bmc: Bmc, login: Login) -> Session:
    for _ in range(2):
        assert login.receive(bmc.answer(login.packet)) is None
    session = login.receive(bmc.answer(login.packet))
    assert session is not None
    return session


@BOTH
def test_a_login_ends_in_a_session_that_both_sides_can_seal_and_open(suite: int) -> None:
    bmc = Bmc(suite)
    session = logged_in(bmc, Login(account(suite)))
    there = bmc.sessions.active(session.bmc, 0.0)
    packet = parse_packet(session.request(0x00, 0x01).packet)
    assert bmc.sessions.authentic(there, packet)
    assert there.keys.open(packet.payload) == request_message(0x00, 0x01, 1)


@BOTH
def test_a_wrong_password_is_refused_by_the_client_before_it_proves_anything(suite: int) -> None:
    bmc, login = Bmc(suite), Login(account(suite, password="another"))
    login.receive(bmc.answer(login.packet))
    with pytest.raises(Refused, match="could not prove"):
        login.receive(bmc.answer(login.packet))


def test_a_bmc_that_offers_another_suite_is_refused_not_followed() -> None:
    login = Login(account(17))
    answer = bytearray(Bmc(3).answer(Login(account(3)).packet))
    answer[16:17] = login.packet[16:17]  # same tag
    answer[20:24] = login.packet[20:24]  # same console session
    with pytest.raises(Refused, match="suite 17"):
        login.receive(bytes(answer))


def test_a_bmc_without_the_suite_is_refused_with_what_to_try() -> None:
    login = Login(account(17))
    with pytest.raises(Refused, match="try another `suite`"):
        login.receive(Bmc(3).answer(login.packet))


@pytest.mark.parametrize("number", [0, 1, 2, 4, 15, 16, 99])
def test_suites_that_leave_anything_open_do_not_exist_here(number: int) -> None:
    with pytest.raises(Refused, match="try 17"):
        suite_of(number)


def test_a_user_without_the_privilege_is_refused_and_not_tried_again() -> None:
    bmc, login = Bmc(17, privilege=2), Login(account(17))
    login.receive(bmc.answer(login.packet))
    with pytest.raises(Refused):
        login.receive(bmc.answer(login.packet))


def test_a_challenge_that_was_replaced_behind_our_back_means_to_log_in_anew() -> None:
    bmc, login = Bmc(17), Login(account(17))
    login.receive(bmc.answer(login.packet))
    challenge = bmc.answer(login.packet)
    bmc.answer(login.packet)  # a copy of message 1 makes the BMC draw another challenge
    login.receive(challenge)
    with pytest.raises(LoginLost):
        login.receive(bmc.answer(login.packet))


def test_a_repeated_answer_of_an_earlier_step_is_ignored() -> None:
    bmc, login = Bmc(17), Login(account(17))
    first = bmc.answer(login.packet)
    login.receive(first)
    packet = login.packet
    assert login.receive(first) is None
    assert login.packet == packet


def test_the_last_step_may_come_sealed_because_the_bmc_is_already_in_the_session() -> None:
    bmc, login = Bmc(3), Login(account(3))
    for _ in range(2):
        login.receive(bmc.answer(login.packet))
    plain = bmc.answer(login.packet)
    exchange = login._exchange
    console = int.from_bytes(exchange.console_session, "little")
    sealed = bytearray(
        sealed_packet(Keys(SUITES[3], exchange.session_key()), session=console, sequence=1, payload=plain[16:])
    )
    sealed[5] |= PayloadType.RAKP_4
    keys = Keys(SUITES[3], exchange.session_key())
    sealed[-12:] = keys.sign(bytes(sealed[4:-12]))
    assert login.receive(bytes(sealed)) is not None


@BOTH
def test_a_packet_is_taken_once_and_only_with_the_sessions_signature(suite: int) -> None:
    keys = [Keys(SUITES[suite], b"k" * 20) for _ in range(2)]
    session = Session(bmc=1, console=2, keys=keys[0])
    message = bytes.fromhex("811c63 20 04 01 00 aa 31".replace(" ", ""))
    packet = sealed_packet(keys[1], session=2, sequence=1, payload=message)
    assert session.receive(packet) is not None
    assert session.receive(packet) is None
    stranger = sealed_packet(Keys(SUITES[suite], b"q" * 20), session=2, sequence=2, payload=message)
    with pytest.raises(Malformed, match="integrity"):
        session.receive(stranger)
    assert session.receive(plain_packet(0, message)) is None


def test_numbers_far_behind_the_newest_are_not_taken() -> None:
    keys = [Keys(SUITES[17], b"k" * 20) for _ in range(2)]
    session = Session(bmc=1, console=2, keys=keys[0])
    message = bytes.fromhex("811c63 20 04 01 00 aa 31".replace(" ", ""))
    packets = {n: sealed_packet(keys[1], session=2, sequence=n, payload=message) for n in (1, 40, 39, 9, 8)}
    taken = [n for n, packet in packets.items() if session.receive(packet) is not None]
    assert taken == [1, 40, 39, 9]


def test_a_request_says_which_answer_is_its_own() -> None:
    session = Session(bmc=1, console=2, keys=Keys(SUITES[17], b"k" * 20))
    first, second = session.request(0, 1), session.request(0, 1)
    answer = decode_answer(bytes.fromhex("811c63 20 04 01 00 aa 31".replace(" ", "")))
    assert first.token == answer.token == 1
    assert not second.answered_by(answer)


def test_what_was_written_in_the_standard_is_what_is_computed() -> None:
    """Keys and codes of one exchange, computed with openssl from the formulae of sections 13.28 to 13.32."""
    exchange = Exchange(
        suite=SUITES[3],
        console_session=bytes.fromhex("a0a1a2a3"),
        bmc_session=bytes.fromhex("b0b1b2b3"),
        console_random=bytes(range(16)),
        bmc_random=bytes(range(16, 32)),
        bmc_guid=bytes(range(32, 48)),
        role=0x14,
        user=b"admin",
        password=b"password",
    )
    assert exchange.rakp2_code().hex() == "c65111e6ef91502bce63b66756a5cfdb058a5e22"
    assert exchange.rakp3_code().hex() == "4ae92dedb165d40c517365976f1f4f44dc8f1f9d"
    assert exchange.session_key().hex() == "122c77c4b11ccd93251cbae6c34a9cb6310da154"
    assert exchange.rakp4_code().hex() == "8ad24d7f7a58cb1ee36678d0"


def test_a_sealed_packet_is_padded_as_openbmc_insists() -> None:
    """phosphor-net-ipmid refuses a packet whose integrity pad is not 2 with encrypted payloads."""
    packet = sealed_packet(Keys(SUITES[17], b"k" * 20), session=1, sequence=1, payload=request_message(0, 1, 1))
    assert packet[-18:-16] == b"\x02\x07"
    assert (len(packet) - 4 - 16) % 4 == 0


def test_a_packet_that_claims_to_be_signed_is_not_believed_without_a_session() -> None:
    packet = sealed_packet(Keys(SUITES[17], b"k" * 20), session=1, sequence=1, payload=b"x")
    with pytest.raises(Malformed):
        decode_packet(packet)


def test_a_password_beyond_twenty_bytes_is_said_to_be_too_long() -> None:
    with pytest.raises(Refused, match="at most"):
        account(17, password="x" * 21)
