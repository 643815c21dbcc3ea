"""The sessions of one BMC: opening by RAKP, sequence windows, limits, expiry. Pure: time is an argument."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.ipmi.packets import OPEN_RESPONSE, RAKP_2, RAKP_4, Packet
from simulator.ipmi.suites import AES_CBC_128, SUITES, Keys, Suite

MOST_SESSIONS = 15
MOST_OPENING = 32
"""Half-open sessions; the oldest gives way."""
EXPIRY_SECONDS = 60.0
"""Without traffic; IPMI 2.0, 6.12.15 asks for 60 s ± 3."""
OPENING_SECONDS = 10.0
WINDOW = 16
"""Sequence numbers that may be skipped or come late; IPMI 2.0, 6.12.13."""
NO_RESOURCES, INVALID_SESSION, INVALID_AUTHENTICATION, INVALID_INTEGRITY = 0x01, 0x02, 0x04, 0x05
INVALID_ROLE, UNAUTHORIZED_ROLE, WRONG_NAME, WRONG_CHECK, INVALID_CONFIDENTIALITY, NO_SUITE = (
    0x09,
    0x0A,
    0x0D,
    0x0F,
    0x10,
    0x11,
)
PRIVILEGE_USER, PRIVILEGE_OPERATOR, PRIVILEGE_ADMINISTRATOR = 2, 3, 4


@dataclass(frozen=True, slots=True)
class Account:
    """One user of a BMC."""

    password: bytes
    privilege: int
    """The most it may ask for."""


@dataclass(slots=True)
class Session:
    """One session from the open request on."""

    number: int
    console: int
    suite: Suite
    touched: float
    name: bytes = b""
    account: Account | None = None
    role: int = 0
    privilege: int = PRIVILEGE_USER
    console_random: bytes = b""
    bmc_random: bytes = b""
    keys: Keys | None = None
    """Present once the session is active."""
    highest: int = 0
    recent: set[int] = field(default_factory=set)
    """Numbers within the window that were used."""
    sent: int = 0

    def accepts(self, sequence: int) -> bool:
        """Whether a number is fresh and within the window; a fresh one is used up."""
        if sequence == 0 or not self.highest - WINDOW < sequence < self.highest + WINDOW or sequence in self.recent:
            return False
        self.recent.add(sequence)
        if sequence > self.highest:
            self.highest = sequence
            self.recent = {used for used in self.recent if used > sequence - WINDOW}
        return True


class Sessions:
    """Opens, finds and forgets sessions of one BMC."""

    def __init__(self, *, accounts: Mapping[bytes, Account], suites: frozenset[int], guid: bytes) -> None:
        self.accounts = accounts
        self.guid = guid
        self._by_authentication = {SUITES[number].authentication: SUITES[number] for number in suites}
        self._opening: dict[int, Session] = {}
        self._active: dict[int, Session] = {}
        self.refused: list[tuple[bytes, str]] = []
        """Names and reasons of failed logins since the caller last took them."""

    def __len__(self) -> int:
        return len(self._active)

    def active(self, number: int, now: float) -> Session | None:
        """The active session with this number, if it has not expired."""
        session = self._active.get(number)
        if session and now - session.touched > EXPIRY_SECONDS:
            del self._active[number]
            return None
        return session

    def handle(self, session: Session) -> int:
        """The small number from 1 on that a BMC gives an active session."""
        return list(self._active).index(session.number) + 1

    def forget_all(self) -> None:
        """As after a restart: nobody is logged in."""
        self._active.clear()
        self._opening.clear()

    def close(self, session: Session) -> None:
        self._active.pop(session.number, None)

    def _new_number(self) -> int:
        while True:
            number = int.from_bytes(os.urandom(4), "little")
            if number and number not in self._active and number not in self._opening:
                return number

    def _forget_old(self, now: float) -> None:
        self._active = {number: one for number, one in self._active.items() if now - one.touched <= EXPIRY_SECONDS}
        self._opening = {number: one for number, one in self._opening.items() if now - one.touched <= OPENING_SECONDS}

    def open(self, payload: bytes, now: float) -> tuple[int, bytes] | None:
        """Open Session Request → payload type and payload of the response; None where the request is no request."""
        if len(payload) < 32:
            return None
        tag, console = payload[0], payload[4:8]
        self._forget_old(now)
        suite = self._by_authentication.get(payload[12])
        status = 0
        if suite is None:
            status = NO_SUITE if payload[12] in (0, 1, 2, 3) else INVALID_AUTHENTICATION
        elif payload[20] != suite.integrity:
            status = INVALID_INTEGRITY
        elif payload[28] != AES_CBC_128:
            status = INVALID_CONFIDENTIALITY
        elif len(self._active) >= MOST_SESSIONS:
            status = NO_RESOURCES
        if status or suite is None:
            return OPEN_RESPONSE, bytes((tag, status, 0, 0)) + console
        if len(self._opening) >= MOST_OPENING:
            self._opening.pop(next(iter(self._opening)))
        session = Session(self._new_number(), int.from_bytes(console, "little"), suite, now)
        self._opening[session.number] = session
        return OPEN_RESPONSE, bytes((tag, 0, PRIVILEGE_ADMINISTRATOR, 0)) + console + session.number.to_bytes(
            4, "little"
        ) + self._agreed(suite)

    @staticmethod
    def _agreed(suite: Suite) -> bytes:
        numbers = (suite.authentication, suite.integrity, AES_CBC_128)
        return b"".join(bytes((kind, 0, 0, 8, number, 0, 0, 0)) for kind, number in enumerate(numbers))

    def rakp_1(self, payload: bytes, now: float) -> tuple[int, bytes] | None:
        """RAKP message 1 → message 2, or its refusal."""
        if len(payload) < 28 or len(payload) < 28 + payload[27]:
            return None
        tag, number = payload[0], int.from_bytes(payload[4:8], "little")
        session = self._opening.get(number)
        if session is None:
            return RAKP_2, bytes((tag, INVALID_SESSION, 0, 0)) + bytes(4)
        console = session.console.to_bytes(4, "little")
        session.touched, session.role = now, payload[24]
        session.name = payload[28 : 28 + payload[27]]
        session.console_random = payload[8:24]
        session.account = self.accounts.get(session.name)
        wanted = session.role & 0x0F
        if session.account is None:
            return self._reject(session, RAKP_2, tag, WRONG_NAME, "unknown user")
        if wanted not in range(1, PRIVILEGE_ADMINISTRATOR + 1):
            return self._reject(session, RAKP_2, tag, INVALID_ROLE, "invalid role")
        if wanted > session.account.privilege:
            return self._reject(
                session,
                RAKP_2,
                tag,
                UNAUTHORIZED_ROLE,
                f"privilege {wanted} above the user's {session.account.privilege}",
            )
        session.bmc_random = os.urandom(16)
        proof = session.suite.mac(
            session.account.password,
            console
            + payload[4:8]
            + session.console_random
            + session.bmc_random
            + self.guid
            + payload[24:25]
            + payload[27:28]
            + session.name,
        )
        return RAKP_2, bytes((tag, 0, 0, 0)) + console + session.bmc_random + self.guid + proof

    def rakp_3(self, payload: bytes, now: float) -> tuple[int, bytes] | None:
        """RAKP message 3 → message 4; the session is active from here on."""
        if len(payload) < 8:
            return None
        tag, status = payload[0], payload[1]
        session = self._opening.get(int.from_bytes(payload[4:8], "little"))
        if session is None or session.account is None or not session.bmc_random:
            return RAKP_4, bytes((tag, INVALID_SESSION, 0, 0)) + bytes(4)
        if status:
            del self._opening[session.number]
            return None
        console, named = session.console.to_bytes(4, "little"), bytes((session.role, len(session.name))) + session.name
        if payload[8:] != session.suite.mac(session.account.password, session.bmc_random + console + named):
            return self._reject(session, RAKP_4, tag, WRONG_CHECK, "wrong password")
        if len(self._active) >= MOST_SESSIONS:
            return self._reject(session, RAKP_4, tag, NO_RESOURCES, "no free session")
        integrity_key = session.suite.mac(session.account.password, session.console_random + session.bmc_random + named)
        session.keys = Keys(session.suite, integrity_key)
        session.privilege = min(PRIVILEGE_USER, session.role & 0x0F)
        session.touched = now
        self._active[session.number] = self._opening.pop(session.number)
        number = session.number.to_bytes(4, "little")
        check = session.suite.mac(integrity_key, session.console_random + number + self.guid)[
            : session.suite.integrity_bytes
        ]
        return RAKP_4, bytes((tag, 0, 0, 0)) + console + check

    def _reject(self, session: Session, kind: int, tag: int, status: int, why: str) -> tuple[int, bytes]:
        self._opening.pop(session.number, None)
        self.refused.append((session.name, why))
        return kind, bytes((tag, status, 0, 0)) + session.console.to_bytes(4, "little")

    @staticmethod
    def authentic(session: Session, packet: Packet) -> bool:
        """Whether a packet carries this session's integrity code and is encrypted, as agreed."""
        return (
            session.keys is not None
            and packet.authenticated
            and packet.encrypted
            and packet.code == session.keys.code(packet.signed)
        )
