"""A BMC's sensors and records as series and sentences, by the numbers of the IPMI specification. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from devices.profiles.openbmc import (
    EVENTS,
    FAN,
    INLET_ENTITIES,
    INLET_NAMES,
    OTHER_UNITS,
    POWER_SUPPLY,
    POWER_SUPPLY_ENTITY,
    SENSOR_SPECIFIC,
    SENSOR_TYPES,
    SUPPLY_FAILED,
    SUPPLY_PRESENT,
    SYSTEM_POWER_NAMES,
    TEMPERATURE,
    THRESHOLD,
    THRESHOLD_EVENTS,
    UNITS,
    Severity,
)
from devices.reading import Series
from devices.wire.rmcp_bmc import SensorReading
from devices.wire.rmcp_sdr import Sensor
from devices.wire.rmcp_sel import SelRecord

FANS_LIMIT = 32
SUPPLIES_LIMIT = 8
DETAILS_LIMIT = 512
"""Sensors read of one BMC; the largest machines have some hundreds."""
CRITICAL_STATES = 0b110110
WARNING_STATES = 0b001001
"""Bits of a threshold sensor's state: lower and upper non-critical; the others critical or non-recoverable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorPlan:
    """Which sensor means what; made once for a BMC."""

    names: Mapping[int, str]
    """Sensor number to a name that is unique on this BMC."""
    inlet: Sensor | None
    power: Sensor | None
    """Watts of the whole machine, asked only where DCMI is not there."""
    fans: tuple[Sensor, ...]
    supplies: tuple[Sensor, ...]
    details: tuple[Sensor, ...]
    """Everything else that has a number in a known unit."""

    @property
    def fast(self) -> tuple[Sensor, ...]:
        single = tuple(sensor for sensor in (self.inlet, self.power) if sensor is not None)
        return single + self.fans + self.supplies


NO_SENSORS = SensorPlan(names={}, inlet=None, power=None, fans=(), supplies=(), details=())


def plan_of(sensors: Sequence[Sensor]) -> SensorPlan:
    """Sort the sensors by what they mean."""
    numbered = list({sensor.number: sensor for sensor in sensors if sensor.owner == 0x20 and sensor.lun == 0}.values())
    known = [sensor for sensor in numbered if sensor.factors is not None and sensor.unit in UNITS]
    inlet = _inlet([s for s in known if s.sensor_type == TEMPERATURE])
    power = next((s for s in known if _measures_the_machine(s)), None)
    fans = [s for s in known if s.sensor_type == FAN and s.unit == "rpm"][:FANS_LIMIT]
    supplies = [s for s in numbered if (s.sensor_type, s.reading_type) == (POWER_SUPPLY, SENSOR_SPECIFIC)]
    apart = {s.number for s in (*fans, *(one for one in (inlet, power) if one is not None))}
    return SensorPlan(
        names=_unique_names(numbered),
        inlet=inlet,
        power=power,
        fans=tuple(fans),
        supplies=tuple(supplies[:SUPPLIES_LIMIT]),
        details=tuple(s for s in known if s.number not in apart)[:DETAILS_LIMIT],
    )


def _inlet(temperatures: Sequence[Sensor]) -> Sensor | None:
    for entity in INLET_ENTITIES:
        for sensor in temperatures:
            if sensor.entity == entity:
                return sensor
    for pattern in INLET_NAMES:
        for sensor in temperatures:
            if pattern.search(sensor.name.replace("_", " ")):
                return sensor
    return None


def _measures_the_machine(sensor: Sensor) -> bool:
    kind = sensor.sensor_type in {OTHER_UNITS, POWER_SUPPLY, 0x03} and sensor.unit == "watts"
    return kind and sensor.entity != POWER_SUPPLY_ENTITY and bool(SYSTEM_POWER_NAMES.search(sensor.name))


def _unique_names(sensors: Sequence[Sensor]) -> Mapping[int, str]:
    """A name that two sensors share gets the number behind it: a series has one source."""
    count = Counter(sensor.name for sensor in sensors)
    return {
        sensor.number: sensor.name
        if sensor.name and count[sensor.name] == 1
        else f"{sensor.name} {sensor.number:#04x}".strip()
        for sensor in sensors
    }


def fast_series(plan: SensorPlan, readings: Iterable[SensorReading], *, watts: float | None) -> dict[Series, float]:
    """Inlet, fans, power and power supplies; `watts` is DCMI's answer, which counts before a sensor's."""
    found: dict[Series, float] = {}
    for reading in readings:
        sensor, value = reading.sensor, _base(reading)
        name = plan.names[sensor.number]
        if sensor is plan.inlet and value is not None:
            found["bmc_inlet_temperature_celsius", ()] = value
        elif sensor is plan.power and value is not None:
            found["bmc_power_watts", ()] = value
        elif sensor in plan.fans and value is not None:
            found["bmc_fan_speed_rpm", (("fan", name),)] = value
        elif sensor in plan.supplies:
            found["bmc_power_supply_present", (("supply", name),)] = float(bool(reading.states & SUPPLY_PRESENT))
            found["bmc_power_supply_failed", (("supply", name),)] = float(bool(reading.states & SUPPLY_FAILED))
    if watts is not None:
        found["bmc_power_watts", ()] = watts
    return found


def detail_series(plan: SensorPlan, readings: Iterable[SensorReading]) -> dict[Series, float]:
    """Every other sensor under its unit's metric, with what the BMC makes of it."""
    found: dict[Series, float] = {}
    for reading in readings:
        value, labels = _base(reading), (("sensor", plan.names[reading.sensor.number]),)
        if value is None:
            continue
        found[UNITS[reading.sensor.unit].metric, labels] = value
        if reading.sensor.reading_type == THRESHOLD:
            found["bmc_sensor_state", labels] = grade(reading.states)
    return found


def grade(states: int) -> float:
    """0 nominal, 1 warning, 2 critical, of a threshold sensor's state bits."""
    return 2.0 if states & CRITICAL_STATES else 1.0 if states & WARNING_STATES else 0.0


def _base(reading: SensorReading) -> float | None:
    unit = UNITS.get(reading.sensor.unit)
    if reading.value is None or unit is None:
        return None
    return reading.value * unit.scale + unit.offset


def record_told(record: SelRecord, names: Mapping[int, str]) -> tuple[Severity, str]:
    """How grave a record of the event log is, and what it says."""
    if record.kind != 0x02:
        return "info", f"record of kind {record.kind:#x}: {record.data.hex()}"
    kind = SENSOR_TYPES.get(record.sensor_type, f"sensor type {record.sensor_type:#x}")
    name = names.get(record.sensor, f"{record.sensor:#04x}")
    if record.event_type == THRESHOLD:
        severity, what = THRESHOLD_EVENTS.get(record.offset, ("info", f"threshold event {record.offset:#x}"))
    elif record.event_type == SENSOR_SPECIFIC:
        severity, what = EVENTS.get(record.code, ("info", f"event {record.offset:#x}"))
    else:
        severity, what = "info", f"event {record.offset:#x} of type {record.event_type:#x}"
    if not record.asserted:
        return "info", f"{kind} {name}: {what}, over"
    return severity, f"{kind} {name}: {what}"
