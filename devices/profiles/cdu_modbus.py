"""A coolant distribution unit behind a Modbus gateway, in a generic register map of our own.

No vendor's CDU map of clear origin is public, so the integrator maps the CDU onto this one in its gateway; names follow
the OCP profile for coolant distribution units (Redfish `CoolantConnector`, `Pump`, `Reservoir`, `LeakDetector`).
Another map is another file like this one.

Unit 1 unless the inventory says otherwise; addresses are zero-based; all are input registers (function code 4), read in
one request. Registers are big-endian, of two the high word comes first. 0x8000 (s16), 0xFFFF (u16) and 0xFFFFFFFF (u32)
mean "not available". What may be asked of the unit are two holding registers, where the site file allows it
(`devices.profiles.writing`); its own controller decides what to make of them.

| input register | Redfish / OCP name | type, raw unit | metric |
|--:|---|---|---|
| 0 | secondary SupplyTemperatureCelsius | s16, 0.1 °C | cdu_supply_temperature_celsius |
| 1 | secondary ReturnTemperatureCelsius | s16, 0.1 °C | cdu_return_temperature_celsius |
| 2 | secondary FlowLitersPerMinute | u16, 0.1 L/min | cdu_flow_liters_per_minute |
| 3, 4 | pump 1, pump 2 speed | u16, rpm | cdu_pump_speed_rpm{pump} |
| 5 | secondary DeltaPressurekPa | u16, 0.1 kPa | cdu_pressure_difference_pascals |
| 6 | FluidLevelPercent | u16, 0.1 % | cdu_reservoir_level_ratio |
| 7 | LeakDetector.DetectorState Critical, bit n = detector n + 1 | u16 bits | cdu_leak_detected{detector} |
| 8 | leak detectors fitted, same bits | u16 bits | decides which detectors have a series |
| 9 | status: 0 off, 1 running, 2 standby, 3 degraded, 4 fault | u16 | cdu_state |
| 10-11 | HeatRemoved | u32, W | cdu_heat_removed_watts |

| holding register | what is asked for | type, raw unit |
|--:|---|---|
| 100 | secondary supply temperature | s16, 0.1 °C |
| 101 | standby pump running | u16, 0 or 1 |
"""

from devices.profiles.profile import Point, Profile, Table
from devices.profiles.registers import NOT_AVAILABLE_S16, NOT_AVAILABLE_U16, NOT_AVAILABLE_U32, RegisterPoint
from fleet.model import Wire

LEAK_DETECTORS = 16
"""Bits of one register."""


def _u16(metric: str, column: int, *, scale: float = 1.0, high: float, pump: str = "") -> Point:
    labels = (("pump", pump),) if pump else ()
    return RegisterPoint(
        metric=metric,
        column=column,
        type="u16",
        scale=scale,
        low=0.0,
        high=high,
        labels=labels,
        absent=NOT_AVAILABLE_U16,
        signal="cooling",
    )


def _celsius(metric: str, column: int, *, high: float) -> Point:
    return RegisterPoint(
        metric=metric,
        column=column,
        type="s16",
        scale=0.1,
        low=0.0,
        high=high,
        absent=NOT_AVAILABLE_S16,
        signal="cooling",
    )


def _leak(detector: int) -> Point:
    return RegisterPoint(
        metric="cdu_leak_detected",
        column=7,
        type="u16",
        bit=detector - 1,
        fitted_column=8,
        low=0.0,
        high=1.0,
        labels=(("detector", str(detector)),),
        absent=NOT_AVAILABLE_U16,
        signal="cooling",
    )


PROFILE = Profile(
    name="cdu-modbus",
    wire=Wire.MODBUS,
    refresh_seconds=1.0,
    tables=(
        Table(
            entry="input",
            points=(
                _celsius("cdu_supply_temperature_celsius", 0, high=70.0),
                _celsius("cdu_return_temperature_celsius", 1, high=90.0),
                _u16("cdu_flow_liters_per_minute", 2, scale=0.1, high=6_000.0),
                _u16("cdu_pump_speed_rpm", 3, high=10_000.0, pump="1"),
                _u16("cdu_pump_speed_rpm", 4, high=10_000.0, pump="2"),
                _u16("cdu_pressure_difference_pascals", 5, scale=100.0, high=1_000_000.0),
                _u16("cdu_reservoir_level_ratio", 6, scale=0.001, high=1.0),
                *(_leak(detector) for detector in range(1, LEAK_DETECTORS + 1)),
                _u16("cdu_state", 9, high=4.0),
                RegisterPoint(
                    metric="cdu_heat_removed_watts",
                    column=10,
                    type="u32",
                    low=0.0,
                    high=5_000_000.0,
                    absent=NOT_AVAILABLE_U32,
                    signal="cooling",
                ),
            ),
        ),
    ),
)
