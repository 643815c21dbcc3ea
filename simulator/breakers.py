"""Thermal breakers: heat gathers with the square of the current, and a breaker trips where it reaches its curve."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class TripCurve:
    """x = ∫((I/In)² − 1) dt trips at K; far above the rating the magnetic part trips at once."""

    heat_to_trip_seconds: float = 150.0
    """K: 12 min at 110 %, 3 min at 135 %, 50 s at 200 %: within "tens of minutes" and "tens of seconds" of the reference, and
    later than IEC 60898's fastest breaker. A default of ours, to tune by a data sheet."""
    instantaneous_ratio: float = 5.0
    """Type C of IEC 60898 trips at once from 5 to 10 times its rating [recalled from the standard]."""

    def seconds_to_trip(self, ratio: float) -> float:
        """How long a cold breaker holds a steady current; infinite at its rating and below."""
        if ratio >= self.instantaneous_ratio:
            return 0.0
        return self.heat_to_trip_seconds / (ratio**2 - 1.0) if ratio > 1.0 else float("inf")


class Breakers:
    """An array of equal breakers; `closed` opens by itself and is closed by people only."""

    def __init__(self, shape: tuple[int, ...], curve: TripCurve) -> None:
        self.curve = curve
        self.heat: FloatArray = np.zeros(shape)
        """x, in seconds; never below 0."""
        self.closed: BoolArray = np.ones(shape, dtype=np.bool_)
        self._warm = False
        self.trips = 0
        """How many have tripped since the start."""

    def step(self, seconds: float, load_ratio: FloatArray) -> bool:
        """Let heat gather and leave; whether any breaker tripped."""
        highest = float(load_ratio.max())
        if highest <= 1.0 and not self._warm:
            return False
        self.heat += (load_ratio * load_ratio - 1.0) * seconds
        np.maximum(self.heat, 0.0, out=self.heat)
        hottest = float(self.heat.max())
        self._warm = hottest > 0.0
        if highest < self.curve.instantaneous_ratio and hottest < self.curve.heat_to_trip_seconds:
            return False
        tripping = self.closed & (
            (self.heat >= self.curve.heat_to_trip_seconds) | (load_ratio >= self.curve.instantaneous_ratio)
        )
        self.closed &= ~tripping
        self.heat[tripping] = 0.0
        self.trips += int(tripping.sum())
        return bool(tripping.any())
