"""Sensor data records: which sensors a BMC has, what they are called, how their raw bytes convert. Pure.

Sources: IPMI v2.0 rev 1.1, sections 43.1 (full), 43.2 (compact), 43.3 (event only), 43.15 (names).
"""

from dataclasses import dataclass

from devices.wire.rmcp_sensor import Factors, decode_factors, unit_of
from fleet.errors import Malformed

FULL, COMPACT, EVENT_ONLY = 0x01, 0x02, 0x03

HEADER_BYTES = 5
LAST_RECORD = 0xFFFF
"""Record id that ends the chain."""
MOST_RECORDS = 4096
"""More than this is a chain without end; the largest seen machines have some hundreds."""
MOST_SHARED = 16
"""Sensors that one compact record can describe: a four-bit count."""

THRESHOLD_READING = 0x01
"""Event/reading type of analog sensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """One sensor that the BMC owns or speaks for."""

    number: int
    name: str
    owner: int
    lun: int
    entity: int
    entity_instance: int
    sensor_type: int
    """1 temperature, 2 voltage, 3 current, 4 fan, 8 power supply, 0x0b other units (table 42-3)."""
    reading_type: int
    """1 threshold; 2 to 0x0c generic, 0x6f sensor-specific discrete."""
    unit: str = ""
    factors: Factors | None = None
    """None for discrete sensors."""

    def value(self, raw: int) -> float | None:
        """The value of a raw byte in `unit`, or None where the sensor has no number."""
        return self.factors.value(raw) if self.factors is not None else None


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """The five bytes in front of every record."""

    record: int
    kind: int
    length: int
    """Bytes that follow the header."""


def decode_header(record: bytes) -> RecordHeader:
    if len(record) < HEADER_BYTES:
        raise Malformed(f"sensor record of {len(record)} bytes: its header has {HEADER_BYTES}")
    return RecordHeader(int.from_bytes(record[:2], "little"), record[3], record[4])


def decode_record(record: bytes) -> tuple[Sensor, ...]:
    """The sensors that a record describes: one of a full record, up to 16 of a compact one, none of any other kind.

    Raises `Malformed` for a record shorter than its kind needs.
    """
    header = decode_header(record)
    if len(record) < HEADER_BYTES + header.length:
        raise Malformed(f"sensor record {header.record:#06x} has {len(record)} bytes but announces {header.length}")
    if header.kind == FULL:
        return (_full(_long_enough(record, 48)),)
    if header.kind == COMPACT:
        return _compact(_long_enough(record, 32))
    return ()


def _long_enough(record: bytes, length: int) -> bytes:
    if len(record) < length:
        raise Malformed(f"sensor record of kind {record[3]} with {len(record)} bytes: it has at least {length}")
    return record


def _full(record: bytes) -> Sensor:
    analog = record[13] == THRESHOLD_READING or record[20] >> 6 != 3
    return Sensor(
        number=record[7],
        name=decode_name(record[47:]),
        owner=record[5],
        lun=record[6] & 0x03,
        entity=record[8],
        entity_instance=record[9] & 0x7F,
        sensor_type=record[12],
        reading_type=record[13],
        unit=unit_of(record[20], record[21]),
        factors=decode_factors(record[24:30], record[23], record[20] >> 6) if analog else None,
    )


def _compact(record: bytes) -> tuple[Sensor, ...]:
    """A compact record has no factors: its sensors are discrete. One record may stand for a run of like sensors."""
    count = min(max(record[23] & 0x0F, 1), MOST_SHARED)
    base = decode_name(record[31:])
    offset = record[24] & 0x7F
    alphabetic = record[23] >> 4 & 0x03 == 1
    return tuple(
        Sensor(
            number=(record[7] + place) & 0xFF,
            name=base if count == 1 else base + _suffix(offset + place, alphabetic=alphabetic),
            owner=record[5],
            lun=record[6] & 0x03,
            entity=record[8],
            entity_instance=(record[9] & 0x7F) + (place if record[24] & 0x80 else 0),
            sensor_type=record[12],
            reading_type=record[13],
            unit=unit_of(record[20], record[21]),
        )
        for place in range(count)
    )


def _suffix(number: int, *, alphabetic: bool) -> str:
    """The instance's modifier behind a shared name: 1, 2, 3 … or A, B, C …, AA, AB."""
    if not alphabetic:
        return str(number)
    high, low = divmod(number, 26)
    return (chr(ord("A") + high - 1) if high else "") + chr(ord("A") + low)


_BCD_PLUS = "0123456789 -.:,_"


def decode_name(packed: bytes) -> str:
    """A type/length byte and the name behind it: 8-bit, 6-bit packed, BCD plus or UCS-2. Raises `Malformed`."""
    if not packed:
        raise Malformed("sensor record ends before its name")
    kind, length = packed[0] >> 6, packed[0] & 0x1F
    text = packed[1 : 1 + length]
    if len(text) < length:
        raise Malformed(f"sensor name announces {length} bytes but {len(text)} follow")
    if kind == 0:
        name = text[: length & ~1].decode("utf-16-le", "replace")
    elif kind == 1:
        name = "".join(_BCD_PLUS[byte >> 4] + _BCD_PLUS[byte & 0x0F] for byte in text)
    elif kind == 2:
        name = six_bit(text)
    else:
        name = text.decode("latin-1")
    return "".join(sign for sign in name if sign.isprintable()).strip()


def six_bit(text: bytes) -> str:
    """Six-bit packed ASCII: four characters in three bytes, least significant bits first."""
    bits = int.from_bytes(text, "little")
    return "".join(chr(0x20 + (bits >> 6 * place & 0x3F)) for place in range(len(text) * 8 // 6))
