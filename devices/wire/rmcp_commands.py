"""The IPMI commands that are asked, and what their answers mean. Pure.

Sources: IPMI v2.0 rev 1.1, sections 20 (device), 22 (session), 28 (chassis), 31 (SEL), 33 (SDR), 35 (sensors);
DCMI v1.5, section 6.6.1 (power reading).
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from devices.wire.rmcp_packet import Answer
from fleet.errors import Malformed, Refused

CHASSIS, SENSOR, APPLICATION, STORAGE, GROUP = 0x00, 0x04, 0x06, 0x0A, 0x2C
"""Network functions of requests."""

Command = tuple[int, int]
"""Network function and command number."""

GET_CHASSIS_STATUS: Command = (CHASSIS, 0x01)
CHASSIS_CONTROL: Command = (CHASSIS, 0x02)
GET_SENSOR_READING: Command = (SENSOR, 0x2D)
GET_DEVICE_ID: Command = (APPLICATION, 0x01)
COLD_RESET: Command = (APPLICATION, 0x02)
SET_SESSION_PRIVILEGE: Command = (APPLICATION, 0x3B)
CLOSE_SESSION: Command = (APPLICATION, 0x3C)
GET_SESSION_INFO: Command = (APPLICATION, 0x3D)
GET_SDR_REPOSITORY_INFO: Command = (STORAGE, 0x20)
RESERVE_SDR_REPOSITORY: Command = (STORAGE, 0x22)
GET_SDR: Command = (STORAGE, 0x23)
GET_SEL_INFO: Command = (STORAGE, 0x40)
RESERVE_SEL: Command = (STORAGE, 0x42)
GET_SEL_ENTRY: Command = (STORAGE, 0x43)
GET_SEL_TIME: Command = (STORAGE, 0x48)
DCMI_POWER_READING: Command = (GROUP, 0x02)

DCMI_GROUP = 0xDC
DCMI_POWER_REQUEST = bytes((DCMI_GROUP, 0x01, 0x00, 0x00))
"""Group, mode "system power statistics"."""

POWER_COMMANDS: Mapping[str, bytes] = MappingProxyType(
    {
        "power_off": b"\x00",
        "power_on": b"\x01",
        "rack_power_off": b"\x00",
        "rack_power_on": b"\x01",
        "soft_off": b"\x05",
    }
)
"""Chassis control, absolute only: 0 powers down at once, 1 powers up, 5 asks the operating system to shut down. Cycle (2)
and reset (3) are never sent: a copy that the network makes would run twice."""

BUSY = frozenset({0xC0, 0xC3, 0xCE, 0xD2, 0xD5})
"""Node busy, timed out, response could not be provided, not in this state: a later read may succeed."""
UNSUPPORTED = frozenset({0xC1, 0xC2})
NOT_PRESENT = 0xCB
RESERVATION_CANCELLED = 0xC5
CANNOT_RETURN_SO_MANY = 0xCA
LENGTH_EXCEEDED = 0xC8
INSUFFICIENT_PRIVILEGE = 0xD4
NO_SUCH_SESSION = 0x87
"""Close Session: the id names no session (any more)."""

_CODES: Mapping[int, str] = MappingProxyType(
    {
        0xC0: "is busy",
        0xC1: "does not know the command",
        0xC2: "does not know the command on this unit",
        0xC3: "took too long",
        0xC5: "cancelled the reservation",
        0xC7: "found the request's length wrong",
        0xC8: "found the request too long",
        0xC9: "found a parameter out of range",
        0xCA: "cannot return that many bytes",
        0xCB: "has no such sensor, record or data",
        0xCC: "found a field of the request invalid",
        0xCD: "does not allow the command for this sensor or record",
        0xCE: "could not answer",
        0xD0: "is updating its sensor records",
        0xD1: "is updating its firmware",
        0xD2: "is still starting",
        0xD3: "cannot reach the destination",
        0xD4: "does not give this user that privilege",
        0xD5: "cannot do that in its present state",
        0xFF: "failed without saying why",
    }
)


def meaning_of(code: int) -> str:
    """A completion code as a sentence with the BMC as subject."""
    return f"{_CODES.get(code, 'answered')} (completion code 0x{code:02x})"


def accepted(answer: Answer) -> bytes:
    """The data of a successful answer. Raises `Refused` otherwise."""
    if answer.code:
        raise Refused(f"the BMC {meaning_of(answer.code)} for command {answer.netfn:#04x}/{answer.command:#04x}")
    return answer.data


def need(data: bytes, length: int, what: str) -> bytes:
    """The data when it is long enough. Raises `Malformed`."""
    if len(data) < length:
        raise Malformed(f"{what} of {len(data)} bytes: it has at least {length}")
    return data


@dataclass(frozen=True, slots=True)
class ChassisStatus:
    """What the chassis says of its power (section 28.2)."""

    power_on: bool
    power_overload: bool
    power_fault: bool
    restore_policy: int
    """0 stays off, 1 as before, 2 always on, 3 unknown."""
    last_event: int
    """Bits: 0 AC failed, 1 overload, 2 interlock, 3 fault, 4 powered on by a command."""


def decode_chassis_status(data: bytes) -> ChassisStatus:
    current, last = need(data, 2, "chassis status")[:2]
    return ChassisStatus(
        power_on=bool(current & 0x01),
        power_overload=bool(current & 0x02),
        power_fault=bool(current & 0x18),
        restore_policy=current >> 5 & 0x03,
        last_event=last & 0x1F,
    )


@dataclass(frozen=True, slots=True)
class DeviceId:
    """Who the BMC says it is (section 20.1)."""

    device: int
    revision: int
    firmware: str
    ipmi_version: str
    manufacturer: int
    """IANA enterprise number."""
    product: int
    has_sdr_repository: bool
    has_sel: bool
    has_fru: bool


def decode_device_id(data: bytes) -> DeviceId:
    need(data, 11, "device id")
    device, revision, major, minor, version, support = data[:6]
    minor_text = f"{minor >> 4}{minor & 0x0F}" if minor & 0x0F < 10 and minor >> 4 < 10 else f"{minor:02x}"
    return DeviceId(
        device=device,
        revision=revision & 0x0F,
        firmware=f"{major & 0x7F}.{minor_text}",
        ipmi_version=f"{version & 0x0F}.{version >> 4}",
        manufacturer=int.from_bytes(data[6:9], "little") & 0x0FFFFF,
        product=int.from_bytes(data[9:11], "little"),
        has_sdr_repository=bool(support & 0x02),
        has_sel=bool(support & 0x04),
        has_fru=bool(support & 0x08),
    )


@dataclass(frozen=True, slots=True)
class PowerReading:
    """DCMI system power statistics, watts."""

    current_watts: int
    minimum_watts: int
    maximum_watts: int
    average_watts: int
    period_ms: int
    active: bool
    """False: the BMC is not measuring, the numbers are no reading."""


_POWER = struct.Struct("<BHHHHIIB")


def decode_power_reading(data: bytes) -> PowerReading:
    need(data, _POWER.size, "DCMI power reading")
    group, current, low, high, average, _at, period, state = _POWER.unpack_from(data)
    if group != DCMI_GROUP:
        raise Malformed(f"DCMI power reading of group 0x{group:02x}, not 0xdc")
    return PowerReading(current, low, high, average, period, bool(state & 0x40))


@dataclass(frozen=True, slots=True)
class RawReading:
    """What a sensor says, not yet converted (section 35.14)."""

    raw: int | None
    """None while the sensor has no reading: not scanning, or still updating."""
    states: int
    """Threshold sensors: bits of the thresholds crossed; discrete: bits of the offsets asserted."""


def decode_sensor_reading(data: bytes) -> RawReading:
    need(data, 2, "sensor reading")
    raw, flags = data[:2]
    available = bool(flags & 0x40) and not flags & 0x20
    states = int.from_bytes(data[2:4], "little") & 0x7FFF
    return RawReading(raw if available else None, states)
