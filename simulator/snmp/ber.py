"""The part of BER that SNMP uses: encode values, walk over encoded ones."""

from collections.abc import Iterable
from functools import lru_cache

INTEGER, OCTETS, NULL, OID, SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
COUNTER32, GAUGE32, TIMETICKS, COUNTER64 = 0x41, 0x42, 0x43, 0x46
NO_SUCH_OBJECT, NO_SUCH_INSTANCE, END_OF_MIB_VIEW = b"\x80\x00", b"\x81\x00", b"\x82\x00"
LONGEST_OID = 128
"""Sub-identifiers; RFC 3416, 4.1."""

Oid = tuple[int, ...]


class BerError(ValueError):
    """The bytes are not what they should be; an agent drops such a packet."""


def length(count: int) -> bytes:
    """A definite length in its shortest form."""
    if count < 0x80:
        return bytes((count,))
    if count < 0x100:
        return bytes((0x81, count))
    return bytes((0x82, count >> 8, count & 0xFF))


def tlv(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + length(len(content)) + content


def integer(value: int, tag: int = INTEGER) -> bytes:
    """Two's complement in as few octets as it needs; the same for the unsigned application types, with a leading zero."""
    size = (value + (value < 0)).bit_length() // 8 + 1
    return bytes((tag, size)) + value.to_bytes(size, "big", signed=True)


def octets(value: bytes) -> bytes:
    return tlv(OCTETS, value)


def sequence(parts: Iterable[bytes], tag: int = SEQUENCE) -> bytes:
    return tlv(tag, b"".join(parts))


def _base128(number: int) -> bytes:
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))


@lru_cache(maxsize=16_384)
def oid(value: Oid) -> bytes:
    """An object identifier with its tag."""
    content = b"".join(map(_base128, (value[0] * 40 + value[1], *value[2:])))
    return tlv(OID, content)


def dotted(text: str) -> Oid:
    return tuple(int(part) for part in text.split("."))


def read(buffer: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Tag, start and end of the content at `at`. Raises `BerError` where it does not fit before `end`."""
    if at + 2 > end:
        raise BerError("truncated")
    tag, size, start = buffer[at], buffer[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        if not 1 <= count <= 4 or start + count > end:
            raise BerError("length")
        size = int.from_bytes(buffer[start : start + count], "big")
        start += count
    if start + size > end:
        raise BerError("content runs past its frame")
    return tag, start, start + size


def expect(buffer: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Start and end of the content of the one tag that may stand here."""
    found, start, stop = read(buffer, at, end)
    if found != tag:
        raise BerError(f"tag {found:#x} where {tag:#x} belongs")
    return start, stop


def read_integer(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """Value, and where the next field begins."""
    start, stop = expect(buffer, at, end, INTEGER)
    if not 1 <= stop - start <= 8:
        raise BerError("integer size")
    return int.from_bytes(buffer[start:stop], "big", signed=True), stop


def read_octets(buffer: bytes, at: int, end: int) -> tuple[bytes, int]:
    start, stop = expect(buffer, at, end, OCTETS)
    return buffer[start:stop], stop


@lru_cache(maxsize=16_384)
def decode_oid(content: bytes) -> Oid:
    """The sub-identifiers of an encoded object identifier (without tag and length)."""
    if not content or content[-1] & 0x80:
        raise BerError("object identifier")
    numbers: list[int] = []
    number = 0
    for byte in content:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    first = numbers[0]
    lead = (first // 40, first % 40) if first < 80 else (2, first - 80)
    if len(numbers) >= LONGEST_OID or max(numbers) > 0xFFFF_FFFF:
        raise BerError("object identifier")
    return (*lead, *numbers[1:])
