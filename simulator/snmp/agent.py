"""One SNMP agent on one UDP socket: messages in, messages out, who may do what, and what is written down."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from simulator.reach import Reach
from simulator.snmp import ber, pdu
from simulator.snmp.mib import Mib
from simulator.snmp.usm import SALT_BYTES, User
from simulator.truth import GroundTruth

VERSION_2C, VERSION_3 = 1, 3
LONGEST_MESSAGE = 8_192
"""Octets of an answer; loopback carries 65,507, real cards far less."""
SHORTEST_MESSAGE = 484
AUTHENTICATED, ENCRYPTED, REPORTABLE = 0x01, 0x02, 0x04
SECURITY_MODEL_USM = 3
TIME_WINDOW_SECONDS = 150
USM_STATS: ber.Oid = (1, 3, 6, 1, 6, 3, 15, 1, 1)
UNSUPPORTED_LEVEL, NOT_IN_WINDOW, UNKNOWN_USER, UNKNOWN_ENGINE, WRONG_DIGEST, DECRYPTION = range(1, 7)
SILENCED = "silenced by a fault"
HEADROOM = 160
"""Octets that a message's own fields take beside the varbinds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may talk to an agent: communities and users."""

    read_community: bytes | None
    write_community: bytes | None
    users: Mapping[bytes, User]


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a v3 message that its answer repeats or depends on."""

    message_id: int
    max_size: int
    flags: int
    engine_id: bytes
    boots: int
    time: int
    user: bytes
    digest_at: int
    digest: bytes
    salt: bytes
    body: tuple[int, int]


class SnmpAgent(asyncio.DatagramProtocol):
    """Answers for one PDU."""

    def __init__(
        self,
        *,
        name: str,
        mib: Mib,
        access: Access,
        engine_id: bytes,
        boots: int,
        started: float,
        truth: GroundTruth,
        reach: Reach,
    ) -> None:
        self.name = name
        self.mib = mib
        self.access = access
        self.engine_id = engine_id
        self.boots = boots
        self.started = started
        self.truth = truth
        self.reach = reach
        self.dropped: Counter[str] = Counter()
        """Packets that got no answer, by reason."""
        self._stats: Counter[int] = Counter()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def engine_time(self) -> int:
        return int(time.monotonic() - self.started)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            answer = self.respond(data)
        except ber.BerError:
            self.dropped["malformed"] += 1
            return
        if answer is None or self.name in self.reach.lossy or self._transport is None:
            return
        delay = self.reach.delay_seconds(self.name)
        if delay:
            asyncio.get_running_loop().call_later(delay, self._transport.sendto, answer, addr)
        else:
            self._transport.sendto(answer, addr)

    def error_received(self, exc: Exception) -> None:
        self.dropped[f"socket: {exc}"] += 1

    def respond(self, data: bytes) -> bytes | None:
        """The answer to one packet, or None where the agent stays silent. Raises `BerError`."""
        start, end = ber.expect(data, 0, len(data), ber.SEQUENCE)
        version, at = ber.read_integer(data, start, end)
        if version == VERSION_2C:
            return self._respond_2c(data, at, end)
        if version == VERSION_3:
            return self._respond_3(data, at, end)
        self.dropped["version"] += 1
        return None

    # Version 2c ------------------------------------------------------------------------------------------------------

    def _respond_2c(self, data: bytes, at: int, end: int) -> bytes | None:
        community, at = ber.read_octets(data, at, end)
        request = pdu.decode(data, at, end)
        if community not in (self.access.read_community, self.access.write_community):
            self.dropped["unknown community"] += 1
            self._unanswered(request, "v2c", "unknown community")
            return None
        if not self.reach.device(self.name):
            self.dropped[SILENCED] += 1
            self._unanswered(request, "v2c", SILENCED)
            return None
        may_write = community == self.access.write_community
        room = LONGEST_MESSAGE - HEADROOM
        answer = pdu.answer(self.mib, request, may_write=may_write, room=room, seen=self._seen("v2c"))
        return ber.tlv(ber.SEQUENCE, ber.integer(VERSION_2C) + ber.octets(community) + answer)

    def _seen(self, user: str) -> pdu.Seen:
        def seen(verb: str, arguments: Mapping[str, object], request_id: str, accepted: bool, why: str) -> None:
            self.truth.record(
                device=self.name, server="snmp", verb=verb, arguments={**arguments, "user": user}, request_id=request_id,
                accepted=accepted, executed=accepted, note=why,
            )  # fmt: skip

        return seen

    def _unanswered(self, request: pdu.Request, user: str, why: str) -> None:
        """A write that meets silence is still one that somebody sent; a stranger is noted whatever he asks."""
        if request.kind == pdu.SET:
            pdu.note_set(self.mib, request, self._seen(user), accepted=False, why=why)
        elif why != SILENCED:
            self._seen(user)("authenticate", {}, str(request.request_id), False, why)

    # Version 3 -------------------------------------------------------------------------------------------------------

    def _header(self, data: bytes, at: int, end: int) -> Header:
        inner, after = ber.expect(data, at, end, ber.SEQUENCE)
        message_id, inner = ber.read_integer(data, inner, after)
        max_size, inner = ber.read_integer(data, inner, after)
        flags, inner = ber.read_octets(data, inner, after)
        model, _ = ber.read_integer(data, inner, after)
        if len(flags) != 1 or model != SECURITY_MODEL_USM:
            raise ber.BerError("flags or security model")
        start, body_at = ber.expect(data, after, end, ber.OCTETS)
        inner, stop = ber.expect(data, start, body_at, ber.SEQUENCE)
        engine_id, inner = ber.read_octets(data, inner, stop)
        boots, inner = ber.read_integer(data, inner, stop)
        engine_time, inner = ber.read_integer(data, inner, stop)
        user, inner = ber.read_octets(data, inner, stop)
        digest_at, inner = ber.expect(data, inner, stop, ber.OCTETS)
        salt, _ = ber.read_octets(data, inner, stop)
        return Header(
            message_id,
            max_size,
            flags[0],
            engine_id,
            boots,
            engine_time,
            user,
            digest_at,
            data[digest_at:inner],
            salt,
            (body_at, end),
        )

    def _respond_3(self, data: bytes, at: int, end: int) -> bytes | None:
        header = self._header(data, at, end)
        if not self.reach.device(self.name):
            self.dropped[SILENCED] += 1
            sender = self._sender(data, header) if header.engine_id == self.engine_id else None
            if isinstance(sender, User):
                self._unanswered(self._request_3(data, header, sender), header.user.decode(errors="replace"), SILENCED)
            return None
        if header.engine_id != self.engine_id:
            return self._report(header, UNKNOWN_ENGINE)
        user = self._sender(data, header)
        if not isinstance(user, User):
            return self._refuse(header, *user)
        if header.boots != self.boots or abs(header.time - self.engine_time()) > TIME_WINDOW_SECONDS:
            request = self._request_3(data, header, user)
            if request.kind == pdu.SET:
                self._unanswered(request, user.name.decode(), "not in the time window")
            return self._report(header, NOT_IN_WINDOW, user)
        request = self._request_3(data, header, user)
        room = min(LONGEST_MESSAGE, max(header.max_size, SHORTEST_MESSAGE)) - HEADROOM
        answer = pdu.answer(self.mib, request, may_write=user.may_write, room=room, seen=self._seen(user.name.decode()))
        scoped = ber.octets(self.engine_id) + ber.octets(request.context) + answer
        return self._message(header, scoped, user=user, flags=AUTHENTICATED | ENCRYPTED)

    def _sender(self, data: bytes, header: Header) -> User | tuple[int, str]:
        """Who sent the message, or the counter and the reason of its refusal (RFC 3414, 3.2)."""
        user = self.access.users.get(header.user)
        if user is None:
            return UNKNOWN_USER, "unknown user"
        if header.flags & (AUTHENTICATED | ENCRYPTED) != AUTHENTICATED | ENCRYPTED:
            return UNSUPPORTED_LEVEL, "security level below authPriv"
        if not self._digest_holds(data, header, user):
            return WRONG_DIGEST, "wrong digest"
        return user

    def _digest_holds(self, data: bytes, header: Header, user: User) -> bool:
        size = len(header.digest)
        blank = data[: header.digest_at] + bytes(size) + data[header.digest_at + size :]
        return size == user.digest_bytes and user.digest(blank) == header.digest

    def _request_3(self, data: bytes, header: Header, user: User) -> pdu.Request:
        """The request inside an authentic message. Raises `BerError`, which wrong keys end in too."""
        if len(header.salt) != SALT_BYTES:
            raise ber.BerError("salt")
        sealed, _ = ber.read_octets(data, *header.body)
        scoped = user.decrypt(sealed, boots=header.boots, time=header.time, salt=header.salt)
        start, end = ber.expect(scoped, 0, len(scoped), ber.SEQUENCE)
        _, at = ber.read_octets(scoped, start, end)
        context, at = ber.read_octets(scoped, at, end)
        return replace(pdu.decode(scoped, at, end), context=context)

    def _refuse(self, header: Header, statistic: int, why: str) -> bytes | None:
        self.dropped[why] += 1
        self.truth.record(
            device=self.name, server="snmp", verb="authenticate", arguments={"user": header.user.decode(errors="replace")},
            request_id=str(header.message_id), accepted=False, executed=False, note=why,
        )  # fmt: skip
        return self._report(header, statistic)

    def _report(self, header: Header, statistic: int, user: User | None = None) -> bytes | None:
        """A report of one counter; signed where the sender is known, so that it may trust the time in it."""
        self._stats[statistic] += 1
        if not header.flags & REPORTABLE:
            return None
        varbind = ber.tlv(
            ber.SEQUENCE, ber.oid((*USM_STATS, statistic, 0)) + ber.integer(self._stats[statistic], ber.COUNTER32)
        )
        content = ber.integer(0) + ber.integer(0) + ber.integer(0) + ber.tlv(ber.SEQUENCE, varbind)
        scoped = ber.octets(self.engine_id) + ber.octets(b"") + ber.tlv(pdu.REPORT, content)
        return self._message(header, scoped, user=user, flags=AUTHENTICATED if user else 0)

    def _message(self, header: Header, scoped: bytes, *, user: User | None, flags: int) -> bytes:
        now = self.engine_time()
        body, salt = ber.tlv(ber.SEQUENCE, scoped), b""
        if user and flags & ENCRYPTED:
            sealed, salt = user.encrypt(body, boots=self.boots, time=now)
            body = ber.octets(sealed)
        top = ber.sequence(
            (
                ber.integer(header.message_id),
                ber.integer(65_507),
                ber.octets(bytes((flags,))),
                ber.integer(SECURITY_MODEL_USM),
            )
        )
        blank = bytes(user.digest_bytes) if user else b""
        security = (self.engine_id, self.boots, now, header.user, blank, salt)
        parameters = ber.sequence(
            ber.octets(item) if isinstance(item, bytes) else ber.integer(item) for item in security
        )
        message = ber.tlv(ber.SEQUENCE, ber.integer(VERSION_3) + top + ber.octets(parameters) + body)
        if user is None:
            return message
        digest_at = len(message) - len(body) - len(ber.octets(salt)) - len(blank)
        return message[:digest_at] + user.digest(message) + message[digest_at + len(blank) :]


def engine_id_of(name: str) -> bytes:
    """Enterprise 534 with the high bit set, format octets (RFC 3411, SnmpEngineID)."""
    return (0x8000_0000 | 534).to_bytes(4, "big") + b"\x05" + name.encode()[:27]
