"""What grows over weeks, beside what it was: the resistance between a GPU and its coolant, and that of a filter.

Both are judged once a minute, and what they were is learnt, not looked up: a week of a site's GPUs would fill the window.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np

from rules.models.port import Input, Kept, Output, Series, Step
from rules.models.rows import carried, remembered

RESISTANCE: Final = "gpu_thermal_resistance_kelvin_per_watt"
RESISTANCE_BEFORE: Final = "gpu_thermal_resistance_baseline_kelvin_per_watt"
FILTER: Final = "cdu_filter_reference_pressure_difference_pascals"
FILTER_CLEAN: Final = "cdu_filter_clean_pressure_difference_pascals"
COOLANT_IN: Final = """max by (rack) (
  max by (cdu, rack) (fleet_cools)
  * on (cdu) group_left () label_replace(max by (asset) (cdu_supply_temperature_celsius), "cdu", "$1", "asset", "(.+)")
)"""
"""Temperature of the coolant into a rack, as its CDU supplies it."""
READS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # five minutes above 500 W: a cold plate and its die settle within one (catalogue, section 8: 300 to 700 J/K)
        "resistance": f"""
          (avg_over_time(DCGM_FI_DEV_GPU_TEMP[5m]) - on (rack) group_left () {COOLANT_IN})
          / on (asset, gpu)
          (avg_over_time(DCGM_FI_DEV_POWER_USAGE[5m]) and min_over_time(DCGM_FI_DEV_POWER_USAGE[5m]) > 500)
        """,
        # turbulent flow: pressure goes with its square, so dirt shows at any flow; below 100 L/min meters say little
        "filter": """
          avg_over_time(cdu_filter_pressure_difference_pascals[5m])
          * (1000 / (avg_over_time(cdu_flow_liters_per_minute[5m]) > 100)) ^ 2
        """,
    }
)
WEEK_MINUTES: Final = 7 * 24 * 60.0
LEARNT_MINUTES: Final = 60.0
"""Minutes under load before a GPU's own mean is worth comparing with (a default to tune)."""
FORGETS_PER_MINUTE: Final = 0.01 / (24 * 60)
"""The lowest pressure that a filter had is forgotten by a hundredth a day: another make of filter is clean at another."""


@dataclass(frozen=True)
class Fouling:
    """The model. It keeps each GPU's mean of a loaded week, and each filter's lowest pressure."""

    name: str = "fouling"
    interval_ms: int = 60_000
    reads: Mapping[str, str] = field(default_factory=lambda: READS)
    writes: frozenset[str] = frozenset({RESISTANCE, RESISTANCE_BEFORE, FILTER, FILTER_CLEAN})

    def step(self, at_ms: int, inputs: Mapping[str, Input], kept: Kept) -> Step:
        """One minute."""
        del at_ms
        resistance, pressure = inputs["resistance"], inputs["filter"]
        assert isinstance(resistance, Series)
        assert isinstance(pressure, Series)
        mean, minutes = _learnt_mean(resistance, kept)
        lowest = _learnt_lowest(pressure, kept)
        outputs = (
            Output(RESISTANCE, resistance.labels, resistance.values, resistance.present),
            Output(RESISTANCE_BEFORE, resistance.labels, mean, resistance.present & (minutes >= LEARNT_MINUTES)),
            Output(FILTER, pressure.labels, pressure.values, pressure.present),
            Output(FILTER_CLEAN, pressure.labels, lowest, pressure.present),
        )
        keep = remembered(resistance.labels, {"mean": mean, "minutes": minutes}, "gpu/")
        return Step(outputs, keep | remembered(pressure.labels, {"lowest": lowest}, "filter/"))


Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]


def _learnt_mean(seen: Series, kept: Kept) -> tuple[Numbers, Numbers]:
    """A plain mean at first, and one that forgets over a week of loaded minutes from then on; and minutes seen."""
    was = carried(kept, seen.labels, {"mean": 0.0, "minutes": 0.0}, "gpu/")
    minutes = was["minutes"] + seen.present
    share = 1.0 / np.clip(minutes, 1.0, WEEK_MINUTES)
    mean = np.where(seen.present, was["mean"] + (seen.values - was["mean"]) * share, was["mean"])
    return mean, minutes


def _learnt_lowest(seen: Series, kept: Kept) -> Numbers:
    """The lowest so far, forgotten slowly."""
    was = carried(kept, seen.labels, {"lowest": np.inf}, "filter/")["lowest"] * (1.0 + FORGETS_PER_MINUTE)
    return np.where(seen.present, np.fmin(was, seen.values), was)
