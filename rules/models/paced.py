"""Expressions that are published at a pace of their own.

A recording rule is evaluated whenever what it reads has arrived, up to 25 times a second; a figure that changes over hours,
or that many rules read, would fill the bus at that pace. These are plain PromQL all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rules.models.port import Input, Kept, Output, Series, Step

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
