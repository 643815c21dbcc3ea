"""Thresholds of cooling: loops, CDUs, rooms (entries C of the catalogue)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fleet.thresholds.threshold import Threshold

TUNE: Final = "default to tune"
SHARE: Final = "ratio"
CELSIUS: Final = "degrees Celsius"


def _share(default: float, meaning: str, source: str = TUNE, *, high: float = 1.0) -> Threshold:
    return Threshold(default, SHARE, meaning, source, low=0.0, high=high)


def _celsius(default: float, meaning: str, source: str = TUNE, *, low: float = 10.0, high: float = 70.0) -> Threshold:
    return Threshold(default, CELSIUS, meaning, source, low=low, high=high)


def _kelvin(default: float, meaning: str, source: str = TUNE, *, high: float = 40.0) -> Threshold:
    return Threshold(default, "kelvin", meaning, source, low=0.0, high=high)


def _pascals(default: float, meaning: str, source: str = TUNE) -> Threshold:
    return Threshold(default, "pascals", meaning, source, low=1e3, high=3e6)


_LOOPS: Final = {
    "coolant_supply_warm_celsius": _celsius(
        45.0, "The coolant to the racks is warmer than its class (C01)", "class W45 of ASHRAE TC9.9 ends there"
    ),
    "coolant_supply_hot_celsius": _celsius(
        48.0, "The coolant to the racks is too hot (C01)", "default to tune; the class W45 of ASHRAE ends at 45"
    ),
    "coolant_supply_too_hot_celsius": _celsius(52.0, "The coolant to the racks makes GPUs slow down (C01)"),
    "coolant_delta_high_kelvin": _kelvin(
        15.0, "Coolant warms more than designed (C02)", "default to tune; 12 K designed"
    ),
    "coolant_delta_too_high_kelvin": _kelvin(20.0, "Coolant warms so much that flow is missing (C02)"),
    "coolant_delta_low_kelvin": _kelvin(6.0, "Coolant hardly warms at half load or more (C02)"),
    "coolant_need_per_kilowatt_liters_per_minute": Threshold(
        1.24,
        "litres per minute",
        "Flow that each kilowatt needs for 12 K of warming (C03, C17)",
        "1 / (density x heat x 12 K) of 25 % propylene glycol; water needs 1.21",
        low=0.5,
        high=5.0,
    ),
    "coolant_flow_reduced_ratio": _share(
        0.9, "A CDU moves less than its racks need (C03)", "alarm of CDU makers: 90 % of the set point (Vertiv P204)"
    ),
    "coolant_flow_low_ratio": _share(0.7, "A CDU or a rack has too little flow (C03)"),
    "coolant_flow_lost_ratio": _share(0.3, "A CDU has lost its flow (C03)"),
    "coolant_pressure_fall_ratio": _share(0.15, "The supply pressure fell within a minute (C08)"),
    "coolant_relief_pascals": _pascals(
        600_000.0, "Where the relief valve opens; 10 % below it is told (C08)", "default to tune: 6 bar"
    ),
    "reservoir_low_ratio": _share(0.3, "A reservoir is low (C08)"),
    "makeup_per_day_count": Threshold(
        2.0, "1", "A loop was filled up too often in a day (C08)", TUNE, low=0.0, high=100.0
    ),
    "valve_deviation_ratio": _share(0.05, "A valve is away from its command (C20)"),
}

_FLUIDS: Final = {
    "filter_dirty_pascals": _pascals(50_000.0, "A filter is dirty (C09)", "default to tune: 0.5 bar"),
    "filter_clogged_pascals": _pascals(80_000.0, "A filter is clogged (C09)", "default to tune: 0.8 bar"),
    "filter_growth_ratio": _share(0.5, "A filter resists more than when clean, at the same flow (C09)", high=5.0),
    "coolant_conductivity_siemens_per_meter": Threshold(
        0.5,
        "siemens per metre",
        "The coolant conducts too well (C11)",
        "default to tune: 5,000 uS/cm",
        low=0.0,
        high=10.0,
    ),
    "coolant_turbidity": Threshold(20.0, "1", "The coolant is cloudy, in NTU (C11)", TUNE, low=0.0, high=4_000.0),
    "coolant_glycol_low_ratio": _share(0.20, "The coolant holds too little glycol (C11)", "default to tune; PG25"),
    "coolant_glycol_high_ratio": _share(0.30, "The coolant holds too much glycol (C11)", "default to tune; PG25"),
}

_AIR_AND_PLANT: Final = {
    "condensation_low_kelvin": _kelvin(3.0, "Coolant comes near the dew point (C10)"),
    "condensation_very_low_kelvin": _kelvin(2.0, "Coolant comes very near the dew point (C10)", "alarm of CDU makers"),
    "facility_water_limit_celsius": _celsius(
        40.0, "Facility water comes within 2 K of it (C12)", "class W40 of ASHRAE TC9.9"
    ),
    "wet_bulb_high_celsius": _celsius(
        26.0,
        "The air outside is too warm and humid for the plant (C12)",
        "the plant's design; default to tune",
        low=0.0,
    ),
    "crac_supply_warm_celsius": _celsius(
        27.0, "Air to the machines is too warm (C13)", "recommended range of ASHRAE TC9.9 ends there"
    ),
    "crac_supply_hot_celsius": _celsius(
        32.0, "Air to the machines is hotter than they may have (C13)", "class A1 of ASHRAE TC9.9 ends there"
    ),
}

_HEAT: Final = {
    "loop_warming_kelvin_per_second": Threshold(
        0.5,
        "kelvin per second",
        "The GPUs of a loop warm together (C14)",
        "lumped model of an H100's cold plate: 0.8 to 2 K/s without flow",
        low=0.05,
        high=5.0,
    ),
    "gpu_slowdown_celsius": _celsius(
        89.0, "Where a GPU slows down; the time until there is told (C15)", "H100 by its own tool", low=60.0, high=120.0
    ),
    "slowdown_near_seconds": Threshold(
        30.0, "seconds", "GPUs of a loop slow down so soon (C15)", TUNE, low=5.0, high=300.0
    ),
    "gpu_resistance_growth_ratio": _share(0.2, "A GPU gets rid of its heat worse than last week (C16)", high=5.0),
    "heat_balance_ratio": _share(0.15, "Heat taken is not power drawn (C17)"),
    "coolant_heat_share_ratio": Threshold(
        1.0,
        SHARE,
        "Share of a rack's heat that goes into coolant; the rest goes into air (C17)",
        TUNE,
        low=0.1,
        high=1.0,
    ),
}

COOLING: Mapping[str, Threshold] = MappingProxyType({**_LOOPS, **_FLUIDS, **_AIR_AND_PLANT, **_HEAT})
