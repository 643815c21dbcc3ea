"""What a BMC can be asked over an open session: power, sensors, event log, identity. Reads only.

Every loop over what a BMC says is bounded: a chain of records that turns back on itself is `Malformed`, not endless.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from devices.wire import rmcp_commands as ipmi
from devices.wire.rmcp import Client
from devices.wire.rmcp_packet import Answer
from devices.wire.rmcp_sdr import HEADER_BYTES, LAST_RECORD, MOST_RECORDS, Sensor, decode_header, decode_record
from devices.wire.rmcp_sel import (
    FIRST_ENTRY,
    LAST_ENTRY,
    SelInfo,
    SelRecord,
    decode_sel_entry,
    decode_sel_info,
    entry_request,
)
from fleet.errors import Malformed, Refused

BMC_ADDRESS = 0x20
WHOLE_RECORD = 0xFF
PIECE_BYTES = 16
"""Piece of a sensor record for BMCs that cannot return a whole one; every BMC can return this much."""
TOO_MUCH_AT_ONCE = frozenset({0xC7, 0xC8, 0xCA, 0xFF})
"""How BMCs say that a whole record does not fit: length wrong, too long, cannot return so many, failed."""
RESERVATIONS = 8
"""How often a cancelled reservation is renewed for one walk: another client is writing records."""


async def chassis_status(client: Client) -> ipmi.ChassisStatus:
    """Power state and why it is so."""
    return ipmi.decode_chassis_status(ipmi.accepted(await client.read(ipmi.GET_CHASSIS_STATUS)))


async def device_id(client: Client) -> ipmi.DeviceId:
    """Firmware, manufacturer, product."""
    return ipmi.decode_device_id(ipmi.accepted(await client.read(ipmi.GET_DEVICE_ID)))


async def dcmi_power(client: Client) -> ipmi.PowerReading | None:
    """Watts that the BMC measures at the machine's input; None where it has no DCMI."""
    answer = await client.read(ipmi.DCMI_POWER_READING, ipmi.DCMI_POWER_REQUEST)
    if answer.code in ipmi.UNSUPPORTED or answer.code == ipmi.NOT_PRESENT:
        return None
    return ipmi.decode_power_reading(ipmi.accepted(answer))


@dataclass(frozen=True, slots=True)
class SensorReading:
    """One sensor's answer, converted."""

    sensor: Sensor
    value: float | None
    """In `sensor.unit`; None while it has no reading, or for a discrete sensor."""
    states: int
    """Thresholds crossed, or offsets asserted, one bit each."""


async def read_sensor(client: Client, sensor: Sensor) -> SensorReading | None:
    """One sensor's value; None where the BMC says that it is not there (a slot that is empty).

    Sensors that another controller owns would have to be asked through a bridge: they are left out.
    """
    if sensor.owner != BMC_ADDRESS or sensor.lun:
        return None
    answer = await client.read(ipmi.GET_SENSOR_READING, bytes((sensor.number,)))
    if answer.code == ipmi.NOT_PRESENT or answer.code in ipmi.BUSY:
        return None
    reading = ipmi.decode_sensor_reading(ipmi.accepted(answer))
    return SensorReading(sensor, None if reading.raw is None else sensor.value(reading.raw), reading.states)


async def read_sensors(client: Client, sensors: Sequence[Sensor]) -> list[SensorReading]:
    """The values of these sensors, those that are there."""
    readings = [await read_sensor(client, sensor) for sensor in sensors]
    return [reading for reading in readings if reading is not None]


async def sensors(client: Client) -> tuple[Sensor, ...]:
    """Every sensor of the repository. Read once and kept: it changes with the firmware.

    A record that cannot be decoded costs that record, not its neighbours.
    """
    found: list[Sensor] = []
    async for record in sensor_records(client):
        try:
            found.extend(decode_record(record))
        except Malformed:
            client.malformed += 1
    return tuple(found)


async def sensor_records(client: Client) -> AsyncIterator[bytes]:
    """Every record of the repository as it stands there."""
    info = await client.read(ipmi.GET_SDR_REPOSITORY_INFO)
    if info.code in ipmi.UNSUPPORTED:
        return
    if int.from_bytes(ipmi.need(ipmi.accepted(info), 3, "SDR repository info")[1:3], "little") == 0:
        return
    walk = _Repository(client)
    seen: set[int] = set()
    record = 0
    while record != LAST_RECORD:
        if record in seen or len(seen) >= MOST_RECORDS:
            raise Malformed(f"{client.link.where}: the sensor records' chain turns back at {record:#06x}")
        seen.add(record)
        record, whole = await walk.record(record)
        yield whole


class _Reserved:
    """Asks for records under a reservation, which is renewed when the BMC cancels it."""

    def __init__(self, client: Client, reserve: ipmi.Command) -> None:
        self.client = client
        self._reserve = reserve
        self._reservation = b"\0\0"
        self._renewals = 0

    async def ask(self, command: ipmi.Command, what: bytes) -> Answer:
        """The answer to a request of reservation and `what`."""
        while True:
            answer = await self.client.read(command, self._reservation + what)
            if answer.code != ipmi.RESERVATION_CANCELLED or self._renewals >= RESERVATIONS:
                return answer
            self._renewals += 1
            reserved = ipmi.accepted(await self.client.read(self._reserve))
            self._reservation = ipmi.need(reserved, 2, "reservation")[:2]


class _Repository:
    """Reads sensor records whole where the BMC can, in pieces where it cannot."""

    def __init__(self, client: Client) -> None:
        self._where = client.link.where
        self._records = _Reserved(client, ipmi.RESERVE_SDR_REPOSITORY)
        self._in_pieces = False

    async def record(self, number: int) -> tuple[int, bytes]:
        """The next record's number and this record's bytes."""
        if not self._in_pieces:
            answer = await self._ask(number, 0, WHOLE_RECORD)
            if answer is not None:
                return _split(answer)
            self._in_pieces = True
        following, whole = _split(await self._piece(number, 0, HEADER_BYTES))
        total = HEADER_BYTES + decode_header(whole).length
        while len(whole) < total:
            length = min(PIECE_BYTES, total - len(whole))
            _, piece = _split(await self._piece(number, len(whole), length))
            if not piece or len(piece) > length:
                raise Malformed(f"{self._where}: sensor record {number:#06x} stops growing at {len(whole)} bytes")
            whole += piece
        return following, whole

    async def _piece(self, number: int, offset: int, length: int) -> bytes:
        answer = await self._ask(number, offset, length)
        if answer is None:
            raise Refused(f"{self._where}: the BMC cannot return {length} bytes of a sensor record")
        return answer

    async def _ask(self, number: int, offset: int, length: int) -> bytes | None:
        """The answer's data; None where the BMC cannot return that many bytes."""
        answer = await self._records.ask(ipmi.GET_SDR, number.to_bytes(2, "little") + bytes((offset, length)))
        if answer.code in TOO_MUCH_AT_ONCE and length > PIECE_BYTES:
            return None
        return ipmi.accepted(answer)


def _split(data: bytes) -> tuple[int, bytes]:
    ipmi.need(data, 2, "sensor record answer")
    return int.from_bytes(data[:2], "little"), data[2:]


async def sel_info(client: Client) -> SelInfo:
    """How full the event log is, and when it last changed."""
    return decode_sel_info(ipmi.accepted(await client.read(ipmi.GET_SEL_INFO)))


async def sel_time(client: Client) -> int:
    """The BMC's clock, seconds since 1970: what its records' timestamps are by."""
    return int.from_bytes(ipmi.need(ipmi.accepted(await client.read(ipmi.GET_SEL_TIME)), 4, "SEL time")[:4], "little")


@dataclass(frozen=True, slots=True)
class SelTail:
    """New entries of the event log."""

    records: tuple[SelRecord, ...]
    last: SelRecord | None
    """Give it back next time; None while the log is empty."""
    gap: bool
    """The last entry was gone: the log was cleared or has wrapped, and entries may have been lost."""


async def sel_since(client: Client, last: SelRecord | None, *, limit: int = 512) -> SelTail:
    """The entries after `last` (all of them after None), oldest first, at most `limit`: ask again for the rest."""
    log = _Reserved(client, ipmi.RESERVE_SEL)
    start, gap = await _continue_after(log, last)
    records: list[SelRecord] = []
    seen: set[int] = set()
    while start != LAST_ENTRY and len(records) < limit:
        answer = await log.ask(ipmi.GET_SEL_ENTRY, entry_request(start))
        if answer.code == ipmi.NOT_PRESENT:
            break
        entry = decode_sel_entry(ipmi.accepted(answer))
        if entry.record.record in seen:
            raise Malformed(f"{client.link.where}: the event log's chain turns back at {entry.record.record:#06x}")
        seen.add(entry.record.record)
        records.append(entry.record)
        start = entry.following
    newest = records[-1] if records else (None if gap else last)
    return SelTail(tuple(records), newest, gap)


async def _continue_after(log: _Reserved, last: SelRecord | None) -> tuple[int, bool]:
    """Where to go on, and whether the last entry was lost."""
    if last is None:
        return FIRST_ENTRY, False
    answer = await log.ask(ipmi.GET_SEL_ENTRY, entry_request(last.record))
    if answer.code == ipmi.NOT_PRESENT:
        return FIRST_ENTRY, True
    entry = decode_sel_entry(ipmi.accepted(answer))
    if entry.record != last:  # the id was used again: ids are not unique over a clearing
        return FIRST_ENTRY, True
    return entry.following, False
