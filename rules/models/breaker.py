"""How soon a breaker trips at this load: heat gathers as the square of the current, and the fastest breaker counts.

x = ∫((I/In)² − 1) dt; the breaker trips where x reaches K. Below its rating x falls, never below 0 (a cold breaker), at the
rate that the same formula gives. Pure: heat and time are arguments, arrays are over breakers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from rules.arrays import Floats

NEVER_SECONDS: Final = 1e9
"""Time to trip of a breaker that does not trip at this load: thirty years, so that a comparison stays a comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """When a breaker trips, as two numbers of its data sheet."""

    heat_to_trip_seconds: float
    """K: seconds x (ratio² − 1) from cold. 126 s are 10 min at 110 %, 153 s at 135 %, 42 s at 200 %."""
    instantaneous_ratio: float
    """From this multiple of the rating on it trips at once."""

    def __post_init__(self) -> None:
        if not (self.heat_to_trip_seconds > 0 and self.instantaneous_ratio > 1):
            raise ValueError("a curve needs heat to trip above 0 and an instantaneous ratio above 1")


WORST_CASE: Final = Curve(heat_to_trip_seconds=126.0, instantaneous_ratio=3.0)
"""Where a site does not name its breakers' curves: a default to tune. It trips before the classes do that it stands for:
IEC 60898 lets no breaker trip within an hour at 1.13 In and has it trip within an hour or two at 1.45 In, UL 489 has it
trip within one or two hours at 135 %; tens of minutes at 110 % and tens of seconds at 200 % are its own two points. Type B
of IEC 60898 trips at once from 3 In on, types C and D later."""


def curve_of(points: Iterable[tuple[float, float]], instantaneous_ratio: float) -> Curve:
    """The curve below every point (multiple of the rating, shortest seconds to trip) of a data sheet's band.

    Raises `ValueError` where there is no point above the rating.
    """
    heats = [(ratio**2 - 1) * seconds for ratio, seconds in points if ratio > 1 and seconds > 0]
    if not heats:
        raise ValueError("a curve needs a point above the rating, try (2.0, 42.0)")
    return Curve(heat_to_trip_seconds=min(heats), instantaneous_ratio=instantaneous_ratio)


def worst_of(curves: Iterable[Curve]) -> Curve:
    """The curve that trips before each of them. Raises `ValueError` where there is none."""
    found = tuple(curves)
    return Curve(
        heat_to_trip_seconds=min(curve.heat_to_trip_seconds for curve in found),
        instantaneous_ratio=min(curve.instantaneous_ratio for curve in found),
    )


def heat_after(heat_seconds: Floats, load_ratio: Floats, elapsed_seconds: float, curve: Curve = WORST_CASE) -> Floats:
    """Heat after a time at a load; where the load is NaN (the meter is lost) heat stays: it did not cool to our knowledge."""
    grown = heat_seconds + (load_ratio**2 - 1.0) * elapsed_seconds
    kept = np.where(np.isnan(load_ratio), heat_seconds, grown)
    return np.clip(kept, 0.0, curve.heat_to_trip_seconds)


def breaker_time_to_trip_seconds(heat_seconds: Floats, load_ratio: Floats, curve: Curve = WORST_CASE) -> Floats:
    """Seconds until it trips if the load stays; NEVER_SECONDS at or below the rating, NaN where the load is not known."""
    excess = load_ratio**2 - 1.0
    left = np.maximum(curve.heat_to_trip_seconds - heat_seconds, 0.0)
    soon = np.divide(left, excess, out=np.full(left.shape, NEVER_SECONDS), where=excess > 0)
    result = np.where(load_ratio >= curve.instantaneous_ratio, 0.0, np.minimum(soon, NEVER_SECONDS))
    return np.where(np.isnan(load_ratio), np.nan, result)
