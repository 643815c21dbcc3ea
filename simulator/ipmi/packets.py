"""Bytes of RMCP and IPMI messages: take apart, put together."""

from dataclasses import dataclass

RMCP_IPMI = b"\x06\x00\xff\x07"
RMCP_ASF = b"\x06\x00\xff\x06"
AUTH_NONE, AUTH_RMCPP = 0x00, 0x06
PAYLOAD_IPMI, OPEN_REQUEST, OPEN_RESPONSE, RAKP_1, RAKP_2, RAKP_3, RAKP_4 = 0x00, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15
ENCRYPTED, AUTHENTICATED = 0x80, 0x40
BMC_ADDRESS = 0x20
NEXT_HEADER = b"\x07"


class PacketError(ValueError):
    """Bytes that are no packet of ours: dropped."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One IPMI 2.0 session packet, still encrypted."""

    payload_type: int
    encrypted: bool
    authenticated: bool
    session: int
    sequence: int
    payload: bytes
    signed: bytes
    """What the integrity code covers."""
    code: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """One IPMI request message."""

    netfn: int
    command: int
    data: bytes
    source: int
    source_field: int
    """Requester's sequence and LUN, to be repeated."""


def checksum(content: bytes) -> int:
    return -sum(content) & 0xFF


def parse_packet(data: bytes) -> Packet:
    """An RMCP+ packet (authentication type 6). Raises `PacketError`."""
    if len(data) < 16 or data[:4] != RMCP_IPMI or data[4] != AUTH_RMCPP:
        raise PacketError("header")
    kind = data[5]
    session = int.from_bytes(data[6:10], "little")
    sequence = int.from_bytes(data[10:14], "little")
    size = int.from_bytes(data[14:16], "little")
    end = 16 + size
    if end > len(data):
        raise PacketError("payload runs past the packet")
    if not kind & AUTHENTICATED:
        return Packet(kind & 0x3F, bool(kind & ENCRYPTED), False, session, sequence, data[16:end], b"", b"")
    trailer = end + (-(end - 4 + 2) % 4)
    if trailer + 2 > len(data):
        raise PacketError("trailer")
    return Packet(
        kind & 0x3F,
        bool(kind & ENCRYPTED),
        True,
        session,
        sequence,
        data[16:end],
        data[4 : trailer + 2],
        data[trailer + 2 :],
    )


def plain_packet(payload_type: int, payload: bytes) -> bytes:
    """An RMCP+ packet outside any session."""
    return RMCP_IPMI + bytes((AUTH_RMCPP, payload_type)) + bytes(8) + len(payload).to_bytes(2, "little") + payload


def session_body(payload_type: int, session: int, sequence: int, payload: bytes, *, flags: int) -> bytes:
    """Everything that the integrity code covers: from the authentication type to the next header."""
    head = bytes((AUTH_RMCPP, payload_type | flags)) + session.to_bytes(4, "little") + sequence.to_bytes(4, "little")
    body = head + len(payload).to_bytes(2, "little") + payload
    pad = -(len(body) + 2) % 4
    return body + b"\xff" * pad + bytes((pad,)) + NEXT_HEADER


def parse_old_packet(data: bytes) -> bytes:
    """The message in a session-less IPMI 1.5 packet, which every client starts with. Raises `PacketError`."""
    if len(data) < 14 or data[:4] != RMCP_IPMI or data[4] != AUTH_NONE or data[5:13] != bytes(8):
        raise PacketError("not a session-less packet")
    message = data[14 : 14 + data[13]]
    if len(message) != data[13]:
        raise PacketError("message runs past the packet")
    return message


def old_packet(message: bytes) -> bytes:
    return RMCP_IPMI + bytes((AUTH_NONE,)) + bytes(8) + bytes((len(message),)) + message


def parse_message(raw: bytes) -> Message:
    """An IPMI request. Raises `PacketError` on a wrong checksum or address."""
    if len(raw) < 7 or checksum(raw[:2]) != raw[2] or checksum(raw[3:-1]) != raw[-1]:
        raise PacketError("message checksum")
    if raw[0] != BMC_ADDRESS or raw[1] >> 2 & 1:
        raise PacketError("not a request to a BMC")
    return Message(raw[1] >> 2, raw[5], raw[6:-1], raw[3], raw[4])


def response_message(message: Message, completion: int, data: bytes = b"") -> bytes:
    """The response to a request."""
    head = bytes((message.source, (message.netfn | 1) << 2))
    body = bytes((BMC_ADDRESS, message.source_field, message.command, completion)) + data
    return head + bytes((checksum(head),)) + body + bytes((checksum(body),))


def presence_pong(ping: bytes) -> bytes:
    """The ASF answer to a presence ping: IPMI is supported."""
    return (
        RMCP_ASF
        + b"\x00\x00\x11\xbe\x40"
        + ping[9:10]
        + b"\x00\x10"
        + b"\x00\x00\x11\xbe"
        + bytes(4)
        + b"\x81"
        + bytes(7)
    )


def is_presence_ping(data: bytes) -> bool:
    return len(data) >= 12 and data[:4] == RMCP_ASF and data[4:9] == b"\x00\x00\x11\xbe\x80"
