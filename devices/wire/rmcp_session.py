"""One RMCP+ session as a protocol without a socket: datagrams in, datagrams out. Pure but for random numbers.

`Login` walks through open session and RAKP messages 1 to 4; `Session` numbers, seals and matches what follows.
"""

import hmac
import os
import struct
from dataclasses import dataclass, field, replace

from devices.wire.rmcp_crypto import CONFIDENTIALITY_AES_CBC_128, Exchange, Keys, Suite
from devices.wire.rmcp_packet import (
    Answer,
    PayloadType,
    decode_answer,
    decode_packet,
    plain_packet,
    request_message,
    sealed_packet,
)
from fleet.errors import Malformed, Refused, Unreachable

USER, OPERATOR, ADMINISTRATOR = 2, 3, 4
"""Privilege levels (section 6.8)."""

_NAME_ONLY = 0x10
"""RAKP 1: look the user up by name alone, whatever its highest privilege."""

LONGEST_USER = 16
LONGEST_PASSWORD = 20

HIGHEST_STATUS = 0x12
_OTHER_SUITE = "has no such cipher suite, try another `suite` in the secret (17 or 3)"
_STATUS = {
    0x01: "has no free session, try again when others have logged out",
    0x02: "does not know the session",
    0x04: _OTHER_SUITE,
    0x05: _OTHER_SUITE,
    0x06: _OTHER_SUITE,
    0x07: _OTHER_SUITE,
    0x08: "has dropped the session",
    0x09: "does not know the privilege that was asked for",
    0x0A: "does not give this user that privilege, try a user with the privilege that the verb needs",
    0x0B: "has no free session at that privilege, try again when others have logged out",
    0x0C: "found the user's name too long",
    0x0D: "does not know this user, try the user's name in the secret",
    0x0F: "found the console's proof wrong",
    0x10: _OTHER_SUITE,
    0x11: _OTHER_SUITE,
}
"""RMCP+ and RAKP status codes (table 13-15) as sentences with the BMC as subject."""


class LoginLost(Unreachable):
    """The BMC forgot what it had agreed to (a repeated packet, a full table): log in anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who logs in, with which suite, at which privilege."""

    user: str
    password: str = field(repr=False)
    suite: Suite
    privilege: int = USER

    def __post_init__(self) -> None:
        if len(self.user.encode()) > LONGEST_USER or len(self.password.encode()) > LONGEST_PASSWORD:
            raise Refused(
                f"IPMI users have at most {LONGEST_USER} bytes and passwords {LONGEST_PASSWORD}: try a shorter one"
            )

    @property
    def role(self) -> int:
        return self.privilege | _NAME_ONLY


class Login:
    """The four steps from nothing to a session. `packet` is what to send now, and again when nothing comes."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._tag = os.urandom(1)[0]
        self._console = os.urandom(4)
        while self._console == b"\0\0\0\0":  # zero means "no session"
            self._console = os.urandom(4)
        self._exchange: Exchange | None = None
        self._keys: Keys | None = None
        self._expected = PayloadType.OPEN_RESPONSE
        self.packet = self._open_request()

    def receive(self, datagram: bytes) -> "Session | None":
        """Take one datagram: the session when it was the last step, None otherwise.

        Raises `Malformed` (ignore it and wait on), `Refused` (the BMC said no), `LoginLost` (start again).
        """
        packet = decode_packet(datagram, self._keys)  # a repeated last step is answered in the session, sealed
        if packet.payload_type != self._expected or packet.payload[:1] != bytes((self._tag,)):
            return None  # a repetition of an earlier step, or somebody else's
        self._check_status(packet.payload)
        if self._expected is PayloadType.OPEN_RESPONSE:
            self._opened(packet.payload)
        elif self._expected is PayloadType.RAKP_2:
            self._challenged(packet.payload)
        else:
            return self._proven(packet.payload)
        return None

    def _open_request(self) -> bytes:
        suite = self._account.suite
        head = bytes((self._tag, self._account.privilege, 0, 0)) + self._console
        return plain_packet(PayloadType.OPEN_REQUEST, head + _algorithms(suite))

    def _check_status(self, payload: bytes) -> None:
        if len(payload) < 2 or (payload[1] == 0 and len(payload) < 8):
            raise Malformed(f"login answer of {len(payload)} bytes: a refusal has at least 2, any other 8")
        status = payload[1]
        if status == 0:
            return
        if status > HIGHEST_STATUS:
            raise Malformed(f"login answer with status 0x{status:02x}, which does not exist")
        text = f"the BMC {_STATUS.get(status, f'answered with status 0x{status:02x}')}"
        if self._expected is PayloadType.RAKP_4 or status == 0x02:
            # Message 2 proved that both know the password: the BMC has answered a repeated message 1 with another
            # challenge, or has lost the session.
            raise LoginLost(text)
        raise Refused(text)

    def _opened(self, payload: bytes) -> None:
        if len(payload) != 36:
            raise Malformed(f"open session response of {len(payload)} bytes: it has 36")
        if payload[4:8] != self._console:
            raise Malformed("open session response for another session")
        if payload[12:] != _algorithms(self._account.suite):
            raise Refused(f"the BMC would not speak cipher suite {self._account.suite.number} and offered another")
        account = self._account
        self._exchange = Exchange(
            suite=account.suite,
            console_session=self._console,
            bmc_session=payload[8:12],
            console_random=os.urandom(16),
            bmc_random=b"",
            bmc_guid=b"",
            role=account.role,
            user=account.user.encode(),
            password=account.password.encode(),
        )
        if payload[8:12] == b"\0\0\0\0":
            raise Malformed("open session response with session 0")
        name = bytes((account.role, 0, 0, len(account.user.encode()))) + account.user.encode()
        body = self._exchange.bmc_session + self._exchange.console_random + name
        self._step(PayloadType.RAKP_1, body, PayloadType.RAKP_2)

    def _challenged(self, payload: bytes) -> None:
        assert self._exchange is not None
        suite = self._account.suite
        if len(payload) != 40 + suite.digest_bytes or payload[4:8] != self._console:
            raise Malformed(f"RAKP message 2 of {len(payload)} bytes: it has {40 + suite.digest_bytes}")
        exchange = replace(self._exchange, bmc_random=payload[8:24], bmc_guid=payload[24:40])
        if not hmac.compare_digest(exchange.rakp2_code(), payload[40:]):
            raise Refused(
                "the BMC could not prove that it knows the password: try the secret, or ask who answers there"
            )
        self._exchange = exchange
        self._keys = Keys(exchange.suite, exchange.session_key())
        self._step(PayloadType.RAKP_3, exchange.bmc_session + exchange.rakp3_code(), PayloadType.RAKP_4)

    def _proven(self, payload: bytes) -> "Session":
        assert self._exchange is not None
        assert self._keys is not None
        exchange = self._exchange
        if len(payload) != 8 + exchange.suite.code_bytes or payload[4:8] != self._console:
            raise Malformed(f"RAKP message 4 of {len(payload)} bytes: it has {8 + exchange.suite.code_bytes}")
        if not hmac.compare_digest(exchange.rakp4_code(), payload[8:]):
            raise LoginLost("the BMC's last proof is wrong: it answered a repeated step with another challenge")
        bmc, console = (struct.unpack("<I", side)[0] for side in (exchange.bmc_session, self._console))
        return Session(bmc=bmc, console=console, keys=self._keys)

    def _step(self, kind: PayloadType, body: bytes, expected: PayloadType) -> None:
        self._tag = (self._tag + 1) & 0xFF
        self._expected = expected
        self.packet = plain_packet(kind, bytes((self._tag, 0, 0, 0)) + body)


def _algorithms(suite: Suite) -> bytes:
    """The three algorithm payloads of an open session request; the response must repeat them."""
    chosen = (suite.authentication, suite.integrity, CONFIDENTIALITY_AES_CBC_128)
    return b"".join(bytes((kind, 0, 0, 8, number, 0, 0, 0)) for kind, number in enumerate(chosen))


@dataclass(frozen=True, slots=True)
class Request:
    """One packet ready to send, and what its answer will carry."""

    packet: bytes
    netfn: int
    command: int
    token: int
    sequence: int
    """The session sequence number that the packet uses up."""

    def answered_by(self, answer: Answer) -> bool:
        return (answer.token, answer.command, answer.netfn) == (self.token, self.command, self.netfn)


_WINDOW = 32
"""How far behind the newest a packet of the BMC may come and still be taken, once; section 6.12.13 asks for 16."""


class Session:
    """An open session: makes numbered, sealed requests; takes only packets that the BMC signed, each once."""

    __slots__ = ("_keys", "_newest", "_seen", "_sequence", "_token", "bmc", "console")

    def __init__(self, *, bmc: int, console: int, keys: Keys) -> None:
        self.bmc = bmc
        """The BMC's id of the session."""
        self.console = console
        self._keys = keys
        self._sequence = 0
        self._token = 0
        self._newest = 0
        self._seen = 0

    @property
    def sequence(self) -> int:
        """The highest session sequence number used so far."""
        return self._sequence

    def request(self, netfn: int, command: int, data: bytes = b"", *, sequence: int | None = None) -> Request:
        """A packet with the next sequence number, or with one of the caller's that was never used."""
        number = self._sequence + 1 if sequence is None else sequence
        self._sequence = max(self._sequence, number)
        self._token = (self._token + 1) & 0x3F
        message = request_message(netfn, command, self._token, data)
        packet = sealed_packet(self._keys, session=self.bmc, sequence=number, payload=message)
        return Request(packet, netfn, command, self._token, number)

    def again(self, request: Request, data: bytes = b"") -> Request:
        """The same read once more under a new sequence number and the same token: any of its answers will do."""
        self._sequence += 1
        message = request_message(request.netfn, request.command, request.token, data)
        packet = sealed_packet(self._keys, session=self.bmc, sequence=self._sequence, payload=message)
        return replace(request, packet=packet, sequence=self._sequence)

    def receive(self, datagram: bytes) -> Answer | None:
        """The answer in a datagram; None when it is not of this session, or was seen before. Raises `Malformed`."""
        packet = decode_packet(datagram, self._keys)
        if not packet.trusted or packet.session != self.console or packet.payload_type != PayloadType.IPMI:
            return None
        if not self._fresh(packet.sequence):
            return None
        return decode_answer(packet.payload)

    def _fresh(self, sequence: int) -> bool:
        """Whether this number was not seen before; remembers it (a sliding window of one bit a number)."""
        ahead = sequence - self._newest
        if ahead > 0:
            self._seen = (self._seen << min(ahead, _WINDOW) | 1) & (1 << _WINDOW) - 1
            self._newest = sequence
            return True
        if -ahead >= _WINDOW or self._seen >> -ahead & 1:
            return False
        self._seen |= 1 << -ahead
        return True
