"""Sensors by what the specification's numbers say they are, and records of the event log as sentences."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.ipmi import clock_offset_seconds
from devices.profiles.openbmc import EVENTS, PROFILE, UNITS
from devices.wire.ipmi_metrics import detail_series, fast_series, grade, plan_of, record_told
from devices.wire.rmcp_bmc import SensorReading
from devices.wire.rmcp_sdr import Sensor
from devices.wire.rmcp_sel import SelRecord
from devices.wire.rmcp_sensor import Factors, Format
from fleet.metrics import METRICS

LINEAR = Factors(m=1, b=0, b_exponent=0, result_exponent=0, linearisation=0, format=Format.UNSIGNED)


def sensor(
    name: str,
    number: int,
    *,
    kind: int = 1,
    unit: str = "celsius",
    entity: int = 7,
    reading: int = 1,
    owner: int = 0x20,
) -> Sensor:
    return Sensor(
        number=number,
        name=name,
        owner=owner,
        lun=0,
        entity=entity,
        entity_instance=1,
        sensor_type=kind,
        reading_type=reading,
        unit=unit,
        factors=LINEAR if reading == 1 else None,
    )


def read(one: Sensor, value: float | None, states: int = 0) -> SensorReading:
    return SensorReading(one, value, states)


@pytest.mark.parametrize(
    ("sensors", "chosen"),
    [
        ([sensor("CPU1", 1, entity=3), sensor("T2", 2, entity=0x37), sensor("T3", 3, entity=0x40)], "T3"),
        ([sensor("Inlet Temp", 1), sensor("T2", 2, entity=0x37)], "T2"),
        ([sensor("Ambient Temp", 1), sensor("TEMP_INLET", 2)], "TEMP_INLET"),
        ([sensor("CPU1", 1), sensor("Ambient Temp", 2)], "Ambient Temp"),
        ([sensor("CPU1", 1), sensor("Exhaust", 2)], None),
        ([sensor("Inlet", 1, kind=4, unit="rpm")], None),
        ([sensor("Inlet", 1, owner=0x2C)], None),
        ([], None),
    ],
)
def test_the_inlet_is_found_by_its_place_before_its_name(sensors: list[Sensor], chosen: str | None) -> None:
    inlet = plan_of(sensors).inlet
    assert (inlet.name if inlet else None) == chosen


def test_watts_of_a_power_supply_are_not_the_machines() -> None:
    supply = sensor("PSU1 Power In", 1, kind=8, unit="watts", entity=0x0A)
    machine = sensor("System Power", 2, kind=0x0B, unit="watts", entity=0x13)
    plan = plan_of([supply, machine])
    assert plan.power is machine
    assert supply in plan.details
    assert fast_series(plan, [read(machine, 4_800.0)], watts=None) == {("bmc_power_watts", ()): 4_800.0}


def test_dcmi_counts_before_a_sensor() -> None:
    machine = sensor("System Power", 2, kind=0x0B, unit="watts", entity=0x13)
    assert fast_series(plan_of([machine]), [read(machine, 1.0)], watts=4_700.0) == {("bmc_power_watts", ()): 4_700.0}


def test_fans_and_power_supplies_are_named_by_their_sensors() -> None:
    fan, supply = sensor("Fan 1A Tach", 1, kind=4, unit="rpm"), sensor("PS1 Status", 2, kind=8, unit="", reading=0x6F)
    plan = plan_of([fan, supply])
    found = fast_series(plan, [read(fan, 2_610.0), read(supply, None, 0b1001)], watts=None)
    assert found == {
        ("bmc_fan_speed_rpm", (("fan", "Fan 1A Tach"),)): 2_610.0,
        ("bmc_power_supply_present", (("supply", "PS1 Status"),)): 1.0,
        ("bmc_power_supply_failed", (("supply", "PS1 Status"),)): 1.0,
    }


def test_a_supply_that_is_there_and_well_has_not_failed() -> None:
    supply = sensor("PS1", 2, kind=8, unit="", reading=0x6F)
    found = fast_series(plan_of([supply]), [read(supply, None, 1)], watts=None)
    assert found["bmc_power_supply_failed", (("supply", "PS1"),)] == 0.0


@pytest.mark.parametrize(
    ("unit", "raw", "value"), [("celsius", 20.0, 20.0), ("fahrenheit", 68.0, 20.0), ("kelvin", 293.15, 20.0)]
)
def test_every_temperature_becomes_celsius(unit: str, raw: float, value: float) -> None:
    one = sensor("CPU", 1, unit=unit)
    found = detail_series(plan_of([one]), [read(one, raw)])
    assert found["bmc_sensor_temperature_celsius", (("sensor", "CPU"),)] == pytest.approx(value)


def test_two_sensors_of_one_name_are_told_apart() -> None:
    names = plan_of([sensor("Temp", 1), sensor("Temp", 2), sensor("", 3), sensor("Other", 4)]).names
    assert names == {1: "Temp 0x01", 2: "Temp 0x02", 3: "0x03", 4: "Other"}


def test_a_number_that_two_records_claim_is_one_sensor() -> None:
    assert len(plan_of([sensor("A", 1), sensor("B", 1)]).details) == 1


def test_sensors_in_units_that_no_rule_reads_are_left_out() -> None:
    assert plan_of([sensor("Altitude", 1, kind=0x0B, unit="unit_42"), sensor("Load", 2, unit="percent")]).details == ()


@pytest.mark.parametrize(
    ("states", "value"), [(0, 0), (0b1, 1), (0b1000, 1), (0b10, 2), (0b11, 2), (0b100, 2), (0b100000, 2)]
)
def test_thresholds_grade_a_sensor(states: int, value: float) -> None:
    assert grade(states) == value


def test_every_metric_of_the_profile_is_in_the_register() -> None:
    assert {point.metric for point in PROFILE.points} <= set(METRICS)
    assert {unit.metric for unit in UNITS.values()} <= {point.metric for point in PROFILE.points}


def record(**changes: object) -> SelRecord:
    whole = {
        "record": 1,
        "kind": 2,
        "at": 1_700_000_000,
        "raw_at": 1_700_000_000,
        "sensor_type": 0x23,
        "sensor": 5,
        "event_type": 0x6F,
        "data": b"\xc0\xff\xff",
    }
    return SelRecord(**(whole | changes))


def test_a_watchdog_that_expired_is_critical_and_named() -> None:
    assert record().code == "0x23:0x0"
    assert record_told(record(), {5: "Watchdog2"}) == ("critical", "watchdog 2 Watchdog2: timer expired")


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({"asserted": False}, "info"),
        ({"sensor_type": 0x0C, "data": b"\xa0\xff\x12"}, "warning"),
        ({"sensor_type": 0x08, "data": b"\x03\xff\xff"}, "critical"),
        ({"sensor_type": 0x02, "event_type": 1, "data": b"\x57\x00\x00"}, "warning"),
        ({"sensor_type": 0x01, "event_type": 1, "data": b"\x59\x00\x00"}, "critical"),
        ({"sensor_type": 0x01, "event_type": 1, "data": b"\x58\x00\x00"}, "info"),
        ({"sensor_type": 0xF0}, "info"),
        ({"kind": 0xE0, "at": None}, "info"),
        ({"event_type": 0x0B}, "info"),
        ({"data": b""}, "critical"),
    ],
)
def test_each_kind_of_record_has_its_gravity(changes: dict[str, object], severity: str) -> None:
    assert record_told(record(**changes), {})[0] == severity


def test_codes_of_the_table_are_written_as_records_write_theirs() -> None:
    for code in EVENTS:
        kind, offset = (int(part, 16) for part in code.split(":"))
        assert record(sensor_type=kind, data=bytes((offset, 0, 0))).code == code


@pytest.mark.parametrize(
    ("measured", "offset"), [(0, 0), (30, 0), (-30, 0), (34, 30), (-3_604, -3_600), (7_206, 7_210)]
)
def test_a_bmcs_wrong_clock_is_corrected_in_steps_so_that_ids_stay(measured: int, offset: int) -> None:
    assert clock_offset_seconds(measured) == offset


# names of real machines, as ipmitool wrote them

WORDS = {"degrees C": "celsius", "RPM": "rpm", "Volts": "volts", "Watts": "watts", "Amps": "amperes"}
KINDS = {"celsius": 1, "rpm": 4, "volts": 2, "amperes": 3, "watts": 0x0B}


def recorded(path: Path) -> Iterator[tuple[Sensor, float]]:
    for number, line in enumerate(path.read_text().splitlines()):
        found = re.search(r"([\d.]+) (degrees C|RPM|Volts|Watts|Amps)", line)
        if found:
            unit = WORDS[found[2]]
            yield sensor(line.split("|")[0].strip(), number, kind=KINDS[unit], unit=unit), float(found[1])


@pytest.mark.parametrize(
    ("name", "inlet", "fans", "power"),
    [
        ("telegraf_ipmitool_sdr_v1.txt", "Ambient Temp", 6, "Avg Power"),
        ("telegraf_ipmitool_sdr_elist_v2_dell.txt", "Inlet Temp", 1, None),
    ],
)
def test_machines_of_two_makers_are_understood(
    recordings: Path, name: str, inlet: str, fans: int, power: str | None
) -> None:
    read_back = dict(recorded(recordings / "ipmi" / name))
    plan = plan_of(list(read_back))
    assert plan.inlet is not None
    assert plan.inlet.name == inlet
    assert len(plan.fans) == fans
    assert (plan.power.name if plan.power else None) == power
    found = fast_series(plan, [read(one, value) for one, value in read_back.items()], watts=None)
    assert 15 <= found["bmc_inlet_temperature_celsius", ()] <= 30
