"""The two models of power, as the engine runs them: `breaker` and `oscillation` say what is computed, this what it is fed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np

from rules.arrays import Floats, Times
from rules.models.breaker import WORST_CASE, Curve, breaker_time_to_trip_seconds, heat_after
from rules.models.oscillation import BAND_HERTZ, UNKNOWN, Oscillation, oscillation
from rules.models.port import History, Input, Kept, Output, Series, Step
from rules.models.rows import carried, remembered

LOAD: Final = """
  pdu_phase_current_amperes
  / on (asset, phase) group_left () (max by (asset, phase) (fleet_pdu_phase_rated_amperes) > 0)
"""
LONGEST_STEP_SECONDS: Final = 30.0
"""A gap between two steps that is longer (a restart, a machine that slept) counts as this: what the load did meanwhile is
not known, and heat must not run away on one late sample."""
WAVEFORM: Final = "feeder_power_waveform_watts"
LEAST_SAMPLES_A_SECOND: Final = 2 * BAND_HERTZ[1]


@dataclass(frozen=True)
class BreakerHeat:
    """How soon each phase's breaker trips; its heat is what is kept."""

    curve: Curve = WORST_CASE
    name: str = "breaker"
    interval_ms: int = 1_000
    reads: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({"load": LOAD}))
    writes: frozenset[str] = frozenset({"breaker_time_to_trip_seconds"})

    def step(self, at_ms: int, inputs: Mapping[str, Input], kept: Kept) -> Step:
        """Heat grows or falls by the load since the last step; a phase without a reading keeps its heat."""
        load = inputs["load"]
        assert isinstance(load, Series)
        was = carried(kept, load.labels, {"heat": 0.0, "at": float(at_ms)})
        ratio = np.where(load.present, load.values, np.nan)
        elapsed = np.clip((at_ms - was["at"]) / 1000.0, 0.0, LONGEST_STEP_SECONDS)
        heat = was["heat"]
        for seconds in np.unique(elapsed).tolist():  # one value, but for series that have just come
            rows = elapsed == seconds
            heat[rows] = heat_after(heat[rows], ratio[rows], seconds, self.curve)
        left = breaker_time_to_trip_seconds(heat, ratio, self.curve)
        keep = {"heat": heat, "at": np.full(load.labels.size, float(at_ms))}
        output = Output("breaker_time_to_trip_seconds", load.labels, left, load.present)
        return Step((output,), remembered(load.labels, keep))


@dataclass(frozen=True)
class FeederOscillation:
    """How much each feeder's power swings, where a power-quality meter sends 40 samples a second or more."""

    name: str = "oscillation"
    interval_ms: int = 5_000
    reads: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType(
            {
                "watts": f"{WAVEFORM}[1m]",
                # never looked at: a ring as deep as this holds a minute at a hundred samples a second
                "room": f"{WAVEFORM} offset 10m",
            }
        )
    )
    writes: frozenset[str] = frozenset({"feeder_oscillation_ratio", "feeder_oscillation_peak_ratio"})

    def step(self, at_ms: int, inputs: Mapping[str, Input], kept: Kept) -> Step:
        """The last minute of each feeder; what is too slow, too short or full of gaps says nothing."""
        del at_ms, kept
        watts = inputs["watts"]
        assert isinstance(watts, History)
        rows = range(watts.labels.size)
        seen = [_of(watts.values[: watts.counts[row], row], watts.times[: watts.counts[row], row]) for row in rows]
        band = np.array([each.band_ratio for each in seen], dtype=np.float64)
        peak = np.array([each.peak_ratio for each in seen], dtype=np.float64)
        return Step(
            (
                Output("feeder_oscillation_ratio", watts.labels, band, ~np.isnan(band)),
                Output("feeder_oscillation_peak_ratio", watts.labels, peak, ~np.isnan(peak)),
            )
        )


def _of(values: Floats, times: Times) -> Oscillation:
    """One feeder: its samples on an even grid, as wide as most of their distances."""
    if len(values) < 2:
        return UNKNOWN
    spacing = float(np.median(np.diff(times)))
    if spacing <= 0 or 1000.0 / spacing < LEAST_SAMPLES_A_SECOND:
        return UNKNOWN
    places = np.rint((times - times[0]) / spacing).astype(np.int64)
    even = np.full(int(places[-1]) + 1, np.nan)
    even[places] = values
    return oscillation(even, 1000.0 / spacing)
