"""One BMC on one UDP socket: session-less commands, session set-up, commands within sessions, and what is written down."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping

from simulator.ipmi import housekeeping, packets
from simulator.ipmi.commands import APP, INVALID_COMMAND, OK, TABLE, Bmc, run
from simulator.ipmi.packets import Message, Packet, PacketError
from simulator.ipmi.sessions import Session, Sessions
from simulator.ipmi.suites import SUITES, CipherError
from simulator.truth import GroundTruth

CHANNEL = 1
CHANNEL_AUTHENTICATION, CHANNEL_SUITES, CLOSE_SESSION, SESSION_INFO = 0x38, 0x54, 0x3C, 0x3D
WRITES = {(0x00, 0x02)}
"""Commands whose packets are counted in the ground truth even when they are dropped."""


class BmcServer(asyncio.DatagramProtocol):
    """Takes datagrams for one BMC."""

    def __init__(self, *, name: str, bmc: Bmc, sessions: Sessions, suites: frozenset[int], truth: GroundTruth, answers: Callable[[], bool],
                 loses_replies: Callable[[], bool], delay_seconds: Callable[[], float], clock: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self.name = name
        self.bmc = bmc
        self.sessions = sessions
        self.truth = truth
        self.dropped: Counter[str] = Counter()
        self._answers = answers
        self._loses_replies = loses_replies
        self._delay_seconds = delay_seconds
        self._clock = clock
        self._suite_records = b"".join(SUITES[number].record for number in sorted(suites))
        self._request = ""
        self._transport: asyncio.DatagramTransport | None = None
        bmc.seen = self._seen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def error_received(self, exc: Exception) -> None:
        self.dropped[f"socket: {exc}"] += 1

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            answer = self.respond(data)
        except (PacketError, CipherError) as error:
            self.dropped[f"malformed: {error}"] += 1
            return
        if answer is None or self._transport is None or self._loses_replies():
            return
        delay = self._delay_seconds()
        if delay:
            asyncio.get_running_loop().call_later(delay, self._transport.sendto, answer, addr)
        else:
            self._transport.sendto(answer, addr)

    def respond(self, data: bytes) -> bytes | None:
        """The answer to one datagram, or None for silence. Raises `PacketError`, `CipherError`."""
        if packets.is_presence_ping(data):
            return packets.presence_pong(data) if self._answers() else None
        if len(data) > 4 and data[4] == packets.AUTH_NONE:
            return self._sessionless(data)
        packet = packets.parse_packet(data)
        if packet.session:
            return self._in_session(packet)
        return self._opening(packet) if self._answers() else None

    def _sessionless(self, data: bytes) -> bytes | None:
        message = packets.parse_message(packets.parse_old_packet(data))
        if not self._answers():
            return None
        return packets.old_packet(packets.response_message(message, *self._without_session(message)))

    def _without_session(self, message: Message) -> tuple[int, bytes]:
        if message.netfn == APP and message.command == CHANNEL_AUTHENTICATION:
            return OK, bytes((CHANNEL, 0x80, 0x04, 0x02, 0, 0, 0, 0))
        if message.netfn == APP and message.command == CHANNEL_SUITES:
            start = (message.data[2] & 0x3F) * 16 if len(message.data) > 2 else 0
            return OK, bytes((CHANNEL,)) + self._suite_records[start : start + 16]
        if (message.netfn, message.command) in WRITES:
            self._note(message, "outside any session")
        return INVALID_COMMAND, b""

    def _opening(self, packet: Packet) -> bytes | None:
        now = self._clock()
        steps = {
            packets.OPEN_REQUEST: self.sessions.open,
            packets.RAKP_1: self.sessions.rakp_1,
            packets.RAKP_3: self.sessions.rakp_3,
        }
        if packet.payload_type == packets.PAYLOAD_IPMI and not packet.encrypted and not packet.authenticated:
            message = packets.parse_message(packet.payload)
            return packets.plain_packet(
                packets.PAYLOAD_IPMI, packets.response_message(message, *self._without_session(message))
            )
        step = steps.get(packet.payload_type)
        answer = step(packet.payload, now) if step else None
        for user, why in self.sessions.refused:
            self.truth.record(
                device=self.name, server="ipmi", verb="login", arguments={"user": user.decode(errors="replace")}, request_id="",
                accepted=False, executed=False, note=why,
            )  # fmt: skip
        self.sessions.refused.clear()
        return packets.plain_packet(*answer) if answer else None

    def _in_session(self, packet: Packet) -> bytes | None:
        now = self._clock()
        session = self.sessions.active(packet.session, now)
        if session is None or session.keys is None:
            self.dropped["no such session"] += 1
            return None
        if packet.payload_type != packets.PAYLOAD_IPMI or not self.sessions.authentic(session, packet):
            self.dropped["not authentic"] += 1
            return None
        message = packets.parse_message(session.keys.open(packet.payload))
        self._request = f"{session.number:08x}:{packet.sequence}"
        if not self._answers():
            self._note(message, "silenced by a fault")
            return None
        if not session.accepts(packet.sequence):
            self.dropped["outside the window"] += 1
            self._note(message, "sequence used before or outside the window")
            return None
        session.touched = now
        return self._reply(session, message)

    def _reply(self, session: Session, message: Message) -> bytes:
        if message.netfn == APP and message.command == CLOSE_SESSION:
            code, data = housekeeping.close(self.sessions, session, message.data, session.touched)
        elif message.netfn == APP and message.command == SESSION_INFO:
            code, data = housekeeping.info(self.sessions, session, message.data, session.touched)
        elif message.netfn == APP and message.command in (CHANNEL_AUTHENTICATION, CHANNEL_SUITES):
            code, data = self._without_session(message)
        else:
            code, data = run(self.bmc, message.netfn, message.command, message.data, session)
        assert session.keys is not None
        session.sent += 1
        sealed = session.keys.seal(packets.response_message(message, code, data))
        body = packets.session_body(
            packets.PAYLOAD_IPMI, session.console, session.sent, sealed, flags=packets.ENCRYPTED | packets.AUTHENTICATED
        )  # fmt: skip
        return packets.RMCP_IPMI + body + session.keys.code(body)

    def _seen(self, verb: str, arguments: Mapping[str, object], accepted: bool, executed: bool) -> None:
        self.truth.record(
            device=self.name, server="ipmi", verb=verb, arguments=arguments, request_id=self._request, accepted=accepted, executed=executed
        )  # fmt: skip

    def _note(self, message: Message, why: str) -> None:
        """A state-changing packet that was not even looked at."""
        if (message.netfn, message.command) not in WRITES:
            return
        kind = message.data[0] & 0x0F if message.data else 0xFF
        verb = {0: "power_off", 1: "power_on"}.get(kind, f"chassis_control_{kind}")
        self.truth.record(
            device=self.name, server="ipmi", verb=verb, arguments={}, request_id=self._request, accepted=False, executed=False, note=why
        )  # fmt: skip


assert set(TABLE) >= WRITES
