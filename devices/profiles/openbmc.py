"""Any BMC that speaks IPMI 2.0: what its sensors mean by type, unit and place, never by one vendor's names alone.

Sensor and entity numbers are those of IPMI v2.0 rev 1.1 (tables 42-3, 43-13, 43-15) and DCMI v1.5 (table 6-4). Names are
asked only where the numbers leave it open (Dell says "Inlet Temp", IBM "Ambient Temp", both with the same entity).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from devices.profiles.profile import Point, Profile, Table
from fleet.model import Wire

TEMPERATURE, VOLTAGE, CURRENT, FAN, POWER_SUPPLY, OTHER_UNITS = 0x01, 0x02, 0x03, 0x04, 0x08, 0x0B
THRESHOLD, SENSOR_SPECIFIC = 0x01, 0x6F

INLET_ENTITIES = (0x40, 0x37)
"""DCMI's inlet temperature, IPMI's air inlet; in this order."""
INLET_NAMES = (
    re.compile(r"\binlet|inlet\b", re.IGNORECASE),
    re.compile(r"\bambient|\bintake|front.?panel", re.IGNORECASE),
)
"""Where no sensor has such an entity: the first pattern that one matches."""
SYSTEM_POWER_NAMES = re.compile(r"(total|system|sys|avg|pwr|power).*(power|pwr|watts|consumption)", re.IGNORECASE)
"""Watts of the whole machine, for a BMC without DCMI."""
POWER_SUPPLY_ENTITY = 0x0A
"""Watts of one power supply are not those of the machine."""

SUPPLY_PRESENT = 1 << 0
SUPPLY_FAILED = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5
"""Offsets of sensor type 0x08: failure detected, input lost, input lost or out of range, input out of range."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What a unit becomes: a metric and how to reach its base unit."""

    metric: str
    scale: float = 1.0
    offset: float = 0.0


UNITS: Mapping[str, Unit] = {
    "celsius": Unit("bmc_sensor_temperature_celsius"),
    "fahrenheit": Unit("bmc_sensor_temperature_celsius", 5 / 9, -160 / 9),
    "kelvin": Unit("bmc_sensor_temperature_celsius", 1.0, -273.15),
    "volts": Unit("bmc_sensor_voltage_volts"),
    "amperes": Unit("bmc_sensor_current_amperes"),
    "watts": Unit("bmc_sensor_power_watts"),
    "rpm": Unit("bmc_sensor_fan_speed_rpm"),
}
"""Sensors in any other unit (percent, altitude in feet) are left out: no rule reads them."""

DETAIL_REFRESH_SECONDS = 60.0
"""Sensors beyond the small fast set are read in turn; one is shown until it is this old."""


def _point(metric: str, signal: str = "bmc", refresh_seconds: float | None = None) -> Point:
    return Point(metric=metric, signal=signal, refresh_seconds=refresh_seconds)


PROFILE = Profile(
    name="openbmc",
    wire=Wire.IPMI,
    refresh_seconds=2.0,  # a default to tune: BMCs scan their sensors every 1 to 2 s
    effect_latency_seconds=90.0,
    tables=(
        Table(
            points=(
                _point("bmc_power_state", refresh_seconds=1.0),
                _point("bmc_power_watts"),
                _point("bmc_inlet_temperature_celsius"),
                _point("bmc_fan_speed_rpm"),
                _point("bmc_power_supply_present"),
                _point("bmc_power_supply_failed"),
                _point("bmc_sel_entries_count", "sel"),
                _point("bmc_sel_free_bytes", "sel"),
                *(
                    _point(metric, "sel", DETAIL_REFRESH_SECONDS)
                    for metric in sorted({u.metric for u in UNITS.values()})
                ),
                _point("bmc_sensor_state", "sel", DETAIL_REFRESH_SECONDS),
            ),
        ),
    ),
)

SENSOR_TYPES: Mapping[int, str] = {
    0x01: "temperature",
    0x02: "voltage",
    0x03: "current",
    0x04: "fan",
    0x05: "chassis intrusion",
    0x07: "processor",
    0x08: "power supply",
    0x09: "power unit",
    0x0B: "other units",
    0x0C: "memory",
    0x0D: "drive slot",
    0x0F: "system firmware progress",
    0x10: "event logging disabled",
    0x11: "watchdog 1",
    0x12: "system event",
    0x13: "critical interrupt",
    0x14: "button",
    0x19: "chip set",
    0x1B: "cable",
    0x1D: "system boot initiated",
    0x1F: "operating system boot",
    0x20: "operating system stop",
    0x21: "slot",
    0x22: "ACPI power state",
    0x23: "watchdog 2",
    0x28: "management subsystem health",
    0x29: "battery",
    0x2B: "version change",
}

Severity: TypeAlias = Literal["info", "warning", "critical"]

EVENTS: Mapping[str, tuple[Severity, str]] = {
    "0x7:0x0": ("critical", "internal error"),
    "0x7:0x1": ("critical", "thermal trip"),
    "0x7:0xa": ("warning", "throttled"),
    "0x7:0xb": ("critical", "uncorrectable machine check"),
    "0x8:0x1": ("critical", "failure detected"),
    "0x8:0x2": ("warning", "predictive failure"),
    "0x8:0x3": ("critical", "input lost"),
    "0x8:0x4": ("critical", "input lost or out of range"),
    "0x9:0x4": ("critical", "input lost"),
    "0x9:0x5": ("critical", "soft power control failure"),
    "0x9:0x6": ("critical", "power unit failure"),
    "0xc:0x0": ("warning", "correctable error"),
    "0xc:0x1": ("critical", "uncorrectable error"),
    "0xc:0x2": ("critical", "parity error"),
    "0xc:0x5": ("warning", "correctable error logging limit"),
    "0x10:0x4": ("warning", "event log full"),
    "0x13:0x4": ("critical", "PCI parity error"),
    "0x13:0x5": ("critical", "PCI system error"),
    "0x13:0x7": ("warning", "bus correctable error"),
    "0x13:0x8": ("critical", "bus uncorrectable error"),
    "0x13:0xa": ("critical", "bus fatal error"),
    "0x20:0x1": ("critical", "stopped at run time"),
    "0x23:0x0": ("critical", "timer expired"),
    "0x23:0x1": ("critical", "hard reset"),
    "0x23:0x2": ("critical", "power down"),
    "0x23:0x3": ("critical", "power cycle"),
    "0x28:0x4": ("warning", "sensor failure"),
}
"""Sensor type and offset of sensor-specific events (table 42-3) that need somebody; all others are for information."""

THRESHOLD_EVENTS: Mapping[int, tuple[Severity, str]] = {
    0x0: ("warning", "lower non-critical going low"),
    0x2: ("critical", "lower critical going low"),
    0x4: ("critical", "lower non-recoverable going low"),
    0x7: ("warning", "upper non-critical going high"),
    0x9: ("critical", "upper critical going high"),
    0xB: ("critical", "upper non-recoverable going high"),
}
"""Offsets of threshold events (table 42-2); those not named are returns."""
