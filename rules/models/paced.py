"""Expressions that are published at a pace of their own.

A recording rule is evaluated whenever what it reads has arrived, up to 25 times a second; a figure that changes over hours,
or that many rules read, would fill the bus at that pace. These are plain PromQL all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rules.models.port import Input, Kept, Output, Series, Step

COOLANT_IN: Final = """max by (rack) (
  max by (cdu, rack) (fleet_cools)
  * on (cdu) group_left () label_replace(max by (asset) (cdu_supply_temperature_celsius), "cdu", "$1", "asset", "(.+)")
)"""
"""Temperature of the coolant into a rack, as its CDU supplies it."""
GAMMA: Final = """(
  ln(room_relative_humidity_ratio > 0.01)
  + on (asset, zone) 17.62 * room_temperature_celsius / (243.12 + room_temperature_celsius)
)"""
"""Magnus's formula over water, with Sonntag's constants of 1990 (0.35 K from -45 to 60 °C)."""


@dataclass(frozen=True)
class Paced:
    """Expressions that are published once an interval, under the names that `reads` gives them."""

    name: str
    interval_ms: int
    reads: Mapping[str, str]

    @property
    def writes(self) -> frozenset[str]:
        """What it publishes."""
        return frozenset(self.reads)

    def step(self, at_ms: int, inputs: Mapping[str, Input], kept: Kept) -> Step:
        """Hand on what the expressions say."""
        del at_ms, kept
        series = {name: found for name, found in inputs.items() if isinstance(found, Series)}
        return Step([Output(name, found.labels, found.values, found.present) for name, found in series.items()])


FOULING: Final = Paced(
    name="fouling",
    interval_ms=60_000,
    reads={
        # five minutes above 500 W: a cold plate and its die settle within one (catalogue, section 8: 300 to 700 J/K)
        "gpu_thermal_resistance_kelvin_per_watt": f"""
          (avg_over_time(DCGM_FI_DEV_GPU_TEMP[5m]) - on (rack) group_left () {COOLANT_IN})
          / on (asset, gpu)
          (avg_over_time(DCGM_FI_DEV_POWER_USAGE[5m]) and min_over_time(DCGM_FI_DEV_POWER_USAGE[5m]) > 500)
        """,
        # turbulent flow: pressure goes with its square, so dirt shows at any flow; below 100 L/min meters say little
        "cdu_filter_reference_pressure_difference_pascals": """
          avg_over_time(cdu_filter_pressure_difference_pascals[5m])
          * (1000 / (avg_over_time(cdu_flow_liters_per_minute[5m]) > 100)) ^ 2
        """,
    },
)
"""What grows over weeks: the resistance between a GPU and its coolant, and that of a filter."""

CONDENSATION: Final = Paced(
    name="condensation",
    interval_ms=5_000,
    reads={
        "condensation_margin_kelvin": f"""
          cdu_supply_temperature_celsius
          - on (zone) group_left ()
          max by (zone) (room_dew_point_celsius or on (asset) 243.12 * {GAMMA} / (17.62 - {GAMMA}))
        """,
    },
)
"""How far above the dew point of its room's air the coldest surface is."""
