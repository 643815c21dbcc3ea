"""RMCP+ packets and the IPMI messages inside them: bytes to facts and back. Pure.

Sources: IPMI v2.0 rev 1.1, sections 13.1 (RMCP), 13.6 (RMCP+ packets) and 13.8 (LAN messages).
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

from devices.wire.rmcp_crypto import Keys
from fleet.errors import Malformed

_RMCP = b"\x06\x00\xff\x07"
"""RMCP version 1.0, no RMCP acknowledgement, class IPMI."""
_FORMAT_RMCP_PLUS = 0x06
_ENCRYPTED = 0x80
_AUTHENTICATED = 0x40
_NEXT_HEADER = 0x07
_HEADER = struct.Struct("<4sBBIIH")
_COVERED_FROM = 4
"""The integrity code covers everything behind the RMCP header."""

LARGEST = 2048
"""Bytes of the largest datagram looked at; an IPMI message is below 300, anything beyond is no answer of ours."""

_BMC_ADDRESS = 0x20
_CONSOLE_ADDRESS = 0x81


class PayloadType(IntEnum):
    """What a packet carries (table 13-16)."""

    IPMI = 0x00
    OPEN_REQUEST = 0x10
    OPEN_RESPONSE = 0x11
    RAKP_1 = 0x12
    RAKP_2 = 0x13
    RAKP_3 = 0x14
    RAKP_4 = 0x15


@dataclass(frozen=True, slots=True)
class Packet:
    """One RMCP+ packet, its payload already opened when it was sealed."""

    payload_type: int
    session: int
    sequence: int
    payload: bytes
    trusted: bool
    """Signed and encrypted with the session's keys, and both were checked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One IPMI response."""

    netfn: int
    """Of the request: even."""
    command: int
    token: int
    """The six-bit sequence number that the request carried."""
    code: int
    """Completion code; 0 is success."""
    data: bytes


def plain_packet(payload_type: PayloadType, payload: bytes) -> bytes:
    """A packet outside any session: the login."""
    return _HEADER.pack(_RMCP, _FORMAT_RMCP_PLUS, payload_type, 0, 0, len(payload)) + payload


def sealed_packet(keys: Keys, *, session: int, sequence: int, payload: bytes) -> bytes:
    """An IPMI message in a session: encrypted, then signed."""
    sealed = keys.seal(payload)
    kind = PayloadType.IPMI | _ENCRYPTED | _AUTHENTICATED
    head = _HEADER.pack(_RMCP, _FORMAT_RMCP_PLUS, kind, session, sequence, len(sealed))
    pad = -(len(head) - _COVERED_FROM + len(sealed) + 2) % 4
    packet = b"".join((head, sealed, b"\xff" * pad, bytes((pad, _NEXT_HEADER))))
    return packet + keys.sign(packet[_COVERED_FROM:])


def decode_packet(datagram: bytes, keys: Keys | None = None) -> Packet:
    """The packet in a datagram. Raises `Malformed` when it is none, or its signature or seal is wrong.

    Without keys a packet that claims to be signed is malformed: its contents cannot be believed.
    """
    if not _HEADER.size <= len(datagram) <= LARGEST:
        raise Malformed(f"datagram of {len(datagram)} bytes: an RMCP+ packet has {_HEADER.size} to {LARGEST}")
    rmcp, kind_of_header, kind, session, sequence, length = _HEADER.unpack_from(datagram)
    if rmcp[:1] + rmcp[3:] != b"\x06\x07" or kind_of_header != _FORMAT_RMCP_PLUS:
        raise Malformed(f"datagram begins with {datagram[:5].hex(' ')}: not an RMCP+ packet")
    end = _HEADER.size + length
    if end > len(datagram):
        raise Malformed(f"packet announces {length} bytes of payload but has {len(datagram) - _HEADER.size}")
    payload = datagram[_HEADER.size : end]
    protected = kind & (_ENCRYPTED | _AUTHENTICATED)
    if not protected:
        return Packet(kind & 0x3F, session, sequence, payload, trusted=False)
    if keys is None or protected != _ENCRYPTED | _AUTHENTICATED:
        raise Malformed("packet is signed or encrypted in a way that was not agreed")
    _check_signature(datagram, end, keys)
    return Packet(kind & 0x3F, session, sequence, keys.open(payload), trusted=True)


def _check_signature(datagram: bytes, end: int, keys: Keys) -> None:
    """The trailer behind the payload: pad, pad length, next header, integrity code."""
    code_at = len(datagram) - keys.code_bytes
    if code_at < end + 2:
        raise Malformed("packet ends before its integrity code")
    if not keys.signed(datagram[_COVERED_FROM:code_at], datagram[code_at:]):
        raise Malformed("integrity code is wrong: not from the BMC that the session was opened with, or damaged")


def checksum(data: bytes) -> int:
    """IPMI's two's complement checksum."""
    return -sum(data) & 0xFF


def request_message(netfn: int, command: int, token: int, data: bytes = b"") -> bytes:
    """An IPMI request from the console to the BMC."""
    head = bytes((_BMC_ADDRESS, netfn << 2))
    body = bytes((_CONSOLE_ADDRESS, (token & 0x3F) << 2, command)) + data
    return b"".join((head, bytes((checksum(head),)), body, bytes((checksum(body),))))


def decode_answer(message: bytes) -> Answer:
    """The IPMI response in a payload. Raises `Malformed`."""
    if len(message) < 8:
        raise Malformed(f"IPMI response of {len(message)} bytes: the shortest has 8")
    if sum(message[:3]) & 0xFF or sum(message[3:]) & 0xFF:
        raise Malformed("IPMI response with a wrong checksum")
    netfn = message[1] >> 2
    if message[0] != _CONSOLE_ADDRESS or not netfn & 1:
        raise Malformed(f"IPMI message {message[:2].hex(' ')} is not a response to the console")
    return Answer(netfn & 0x3E, message[5], message[4] >> 2, message[6], message[7:-1])
