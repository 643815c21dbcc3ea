"""A BMC's sensors: their records in the SDR repository (type 01h, 8-bit linear) and their raw readings."""

from dataclasses import dataclass

from simulator.layout import GPUS
from simulator.machines import NodeState
from simulator.plant import Plant

TEMPERATURE, FAN, POWER_SUPPLY, OTHER_UNITS, WATCHDOG_2 = 0x01, 0x04, 0x08, 0x0B, 0x23
CELSIUS, WATTS, RPM, UNSPECIFIED = 1, 6, 18, 0
THRESHOLD, SENSOR_SPECIFIC = 0x01, 0x6F
WATCHDOG_NUMBER = 0x60
READING_UNAVAILABLE = 0x20
SCANNING = 0xC0
FANS = 4
IDLE_FAN_RPM, FULL_FAN_RPM = 4_200.0, 15_000.0
INLET_CELSIUS = 24.0


@dataclass(frozen=True, slots=True)
class Sensor:
    """One analog sensor: value = raw x multiplier."""

    number: int
    name: str
    kind: int
    unit: int
    multiplier: int
    entity: int
    """Entity id of IPMI 2.0, table 43-13."""


SENSORS = (
    Sensor(0x10, "Inlet Temp", TEMPERATURE, CELSIUS, 1, 0x40),
    Sensor(0x11, "CPU1 Temp", TEMPERATURE, CELSIUS, 1, 0x03),
    Sensor(0x12, "CPU2 Temp", TEMPERATURE, CELSIUS, 1, 0x03),
    Sensor(0x13, "GPU Hottest", TEMPERATURE, CELSIUS, 1, 0x0B),
    *(Sensor(0x20 + fan, f"Fan {fan + 1}", FAN, RPM, 100, 0x1D) for fan in range(FANS)),
    Sensor(0x30, "PSU1 Power In", POWER_SUPPLY, WATTS, 48, 0x0A),
    Sensor(0x31, "PSU2 Power In", POWER_SUPPLY, WATTS, 48, 0x0A),
    Sensor(0x32, "System Power", OTHER_UNITS, WATTS, 48, 0x13),
)


def _record(record: int, content: bytes) -> bytes:
    return record.to_bytes(2, "little") + bytes((0x51, 0x01, len(content))) + content


def _full(
    record: int, number: int, name: str, *, kind: int, reading: int, unit: int, multiplier: int, entity: int
) -> bytes:
    """A full sensor record (IPMI 2.0, 43.1) without thresholds; the name in 8-bit ASCII."""
    event_masks = bytes(6) if reading == THRESHOLD else b"\x0f\x00\x00\x00\x0f\x00"
    content = bytes((0x20, 0x00, number, entity, number & 0x0F or 1, 0x7F, 0x68, kind, reading)) + event_masks
    content += bytes((0x00, unit, 0x00, 0x00, multiplier, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00))
    content += bytes((0, 0, 0, 0xFF, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    text = name.encode()
    return _record(record, content + bytes((0xC0 | len(text),)) + text)


def repository() -> tuple[bytes, ...]:
    """All records, numbered from 1; the last is the watchdog."""
    analog = [
        _full(
            place,
            one.number,
            one.name,
            kind=one.kind,
            reading=THRESHOLD,
            unit=one.unit,
            multiplier=one.multiplier,
            entity=one.entity,
        )
        for place, one in enumerate(SENSORS, start=1)
    ]
    watchdog = _full(
        len(SENSORS) + 1, WATCHDOG_NUMBER, "Watchdog2", kind=WATCHDOG_2, reading=SENSOR_SPECIFIC, unit=UNSPECIFIED, multiplier=1, entity=0x06
    )  # fmt: skip
    return (*analog, watchdog)


REPOSITORY = repository()


def values(plant: Plant, node: int) -> dict[int, float | None]:
    """What each analog sensor measures now; None where it is dark because the host is off."""
    machines, power = plant.machines, plant.power
    on = machines.state[node] != NodeState.OFF
    gpu_watts = float(machines.gpu_watts[node].sum())
    load = min(1.0, gpu_watts / (GPUS * 700.0))
    inlet = INLET_CELSIUS + 0.3 * (node % 7) + 1.5 * load
    a, b = power.outlet_watts[node].tolist()
    cpu = (45.0 + 25.0 * load) if on else None
    fans = IDLE_FAN_RPM + (FULL_FAN_RPM - IDLE_FAN_RPM) * load
    hottest = float(machines.gpu_celsius[node][machines.present[node]].max(initial=0.0)) if on else None
    return {
        0x10: inlet,
        0x11: cpu,
        0x12: None if cpu is None else cpu + 2.0,
        0x13: hottest,
        **{0x20 + fan: (fans + 100.0 * fan if on else 0.0) for fan in range(FANS)},
        0x30: a,
        0x31: b,
        0x32: a + b,
    }


MULTIPLIER = {one.number: one.multiplier for one in SENSORS}


def reading(plant: Plant, node: int, number: int) -> bytes | None:
    """The answer to Get Sensor Reading without its completion code; None for a sensor that does not exist."""
    if number == WATCHDOG_NUMBER:
        expired = bool(plant.sel[node]) and plant.machines.state[node] == NodeState.HUNG
        return bytes((0, SCANNING, int(expired), 0x80))
    if number not in MULTIPLIER:
        return None
    value = values(plant, node)[number]
    if value is None:
        return bytes((0, SCANNING | READING_UNAVAILABLE, 0xC0))
    raw = min(255, max(0, round(value / MULTIPLIER[number])))
    return bytes((raw, SCANNING, 0xC0))
