"""Keeps the layout of a small device's readings still, so that a value that is missing is marked stale, not forgotten."""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from devices.profiles.profile import Point
from devices.reading import STALE, Reading, Series
from fleet.quality import Quality, Reason, pack

IMPLAUSIBLE = pack(Quality.BAD, Reason.RANGE)


class Layout:
    """The series of one endpoint's signal group, in a fixed order that grows only when something new appears.

    For devices with at most some hundred points: one dictionary entry a point is affordable there, not on exporter pages.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self.series: tuple[Series, ...] = ()
        self._limit = limit

    def values(self, found: Mapping[Series, float], *, forget: bool = False) -> npt.NDArray[np.float64]:
        """The found values in the layout's order; a known series without value is `STALE`, or dropped if `forget`.

        `self.series` stays the same object while the layout does. What exceeds the limit is left out, oldest kept.
        """
        known = found.keys() if forget else set(self.series) | found.keys()
        if known != set(self.series):
            kept = [series for series in self.series if series in known]
            new = sorted(known - set(kept))
            self.series = tuple(kept + new)[: self._limit]
        return np.array([found.get(series, STALE) for series in self.series], dtype=np.float64)


class PointReadings:
    """Turns points with values into one reading a signal group, marking what its profile calls implausible."""

    def __init__(self, points: Iterable[Point]) -> None:
        self._limits: dict[Series, Point] = {}
        for point in points:
            self._limits.setdefault(series_of(point), point)
        self._layouts: dict[str, Layout] = {}

    def of(self, found: Mapping[Point, float], due: frozenset[str], *, at_ms: int) -> tuple[Reading, ...]:
        """One reading for each due group that has ever had a value."""
        readings = []
        for signal in sorted(due):
            layout = self._layouts.setdefault(signal, Layout())
            values = layout.values({series_of(p): v for p, v in found.items() if p.signal == signal})
            if layout.series:
                quality = self._quality(layout.series, values)
                readings.append(
                    Reading(series=layout.series, values=values, quality=quality, at_ms=at_ms, signal=signal)
                )
        return tuple(readings)

    def _quality(self, series: tuple[Series, ...], values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8] | None:
        points = [self._limits.get(one) for one in series]
        low = np.array([-np.inf if point is None or point.low is None else point.low for point in points])
        high = np.array([np.inf if point is None or point.high is None else point.high for point in points])
        outside = (values < low) | (values > high)  # a stale value is a NaN and compares false
        return np.where(outside, IMPLAUSIBLE, 0).astype(np.uint8) if outside.any() else None


def series_of(point: Point) -> Series:
    """The series that a point without an index makes."""
    return (point.metric, tuple(sorted(point.labels)))
