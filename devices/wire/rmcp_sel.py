"""The system event log: what the BMC wrote down, record by record. Pure.

Sources: IPMI v2.0 rev 1.1, sections 31.2 (info), 31.5 (entry), 32.1 (records), 37 (timestamps).
"""

from dataclasses import dataclass

from devices.wire.rmcp_commands import need
from fleet.errors import Malformed

FIRST_ENTRY, LAST_ENTRY = 0x0000, 0xFFFF
RECORD_BYTES = 16
ENTRY_REQUEST_BYTES = 0xFF
"""Asks for the whole record."""

SINCE_START = 0x20000000
"""Timestamps up to here count seconds since the BMC started: its clock was not set (section 37.1)."""
UNSPECIFIED = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class SelInfo:
    """State of the log (section 31.2)."""

    entries: int
    free_bytes: int
    added_at: int
    """Seconds, as timestamps of records."""
    erased_at: int
    overflowed: bool


def decode_sel_info(data: bytes) -> SelInfo:
    need(data, 14, "SEL info")
    return SelInfo(
        entries=int.from_bytes(data[1:3], "little"),
        free_bytes=int.from_bytes(data[3:5], "little"),
        added_at=int.from_bytes(data[5:9], "little"),
        erased_at=int.from_bytes(data[9:13], "little"),
        overflowed=bool(data[13] & 0x80),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SelRecord:
    """One entry. An OEM record without timestamp has `at` None and only `data`."""

    record: int
    kind: int
    """0x02 system event; 0xc0 to 0xdf OEM with timestamp; 0xe0 to 0xff OEM without."""
    at: int | None
    """Seconds since 1970 by the BMC's clock; None where it had no clock yet, or the record has none."""
    raw_at: int
    """The timestamp as it stands; with `record` it tells an entry from a later one of the same id."""
    sensor_type: int = 0
    sensor: int = 0
    generator: int = 0
    asserted: bool = True
    event_type: int = 0
    """1 threshold, 2 to 0x0c generic, 0x6f sensor-specific."""
    data: bytes = b""
    """The event's three bytes, or an OEM record's six or thirteen."""

    @property
    def offset(self) -> int:
        """Which of the sensor's events it is."""
        return self.data[0] & 0x0F if self.data else 0

    @property
    def code(self) -> str:
        """`<sensor type>:<offset>` in hex, such as 0x23:0x0; an OEM record's kind."""
        return f"{self.sensor_type:#x}:{self.offset:#x}" if self.kind == 0x02 else f"{self.kind:#x}"


def decode_sel_record(record: bytes) -> SelRecord:
    """One record of 16 bytes. Raises `Malformed`."""
    if len(record) != RECORD_BYTES:
        raise Malformed(f"SEL record of {len(record)} bytes: it has {RECORD_BYTES}")
    number, kind = int.from_bytes(record[:2], "little"), record[2]
    if kind >= 0xE0:
        return SelRecord(record=number, kind=kind, at=None, raw_at=UNSPECIFIED, data=record[3:])
    raw_at = int.from_bytes(record[3:7], "little")
    at = raw_at if SINCE_START < raw_at < UNSPECIFIED else None
    if kind >= 0xC0:
        return SelRecord(record=number, kind=kind, at=at, raw_at=raw_at, data=record[7:])
    return SelRecord(
        record=number,
        kind=kind,
        at=at,
        raw_at=raw_at,
        generator=int.from_bytes(record[7:9], "little"),
        sensor_type=record[10],
        sensor=record[11],
        asserted=not record[12] & 0x80,
        event_type=record[12] & 0x7F,
        data=record[13:],
    )


@dataclass(frozen=True, slots=True)
class SelEntry:
    """An answer to Get SEL Entry: the record and where the chain goes on."""

    following: int
    record: SelRecord


def decode_sel_entry(data: bytes) -> SelEntry:
    need(data, 2 + RECORD_BYTES, "SEL entry")
    return SelEntry(int.from_bytes(data[:2], "little"), decode_sel_record(data[2 : 2 + RECORD_BYTES]))


def entry_request(record: int) -> bytes:
    """Get SEL Entry behind its reservation: the whole of one record."""
    return record.to_bytes(2, "little") + bytes((0, ENTRY_REQUEST_BYTES))
