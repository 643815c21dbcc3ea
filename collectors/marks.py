"""Quality marks: what one frame, the one before it and the register of metrics show. Pure, a few array operations a frame."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from devices.reading import STALE, Series
from fleet.metrics import METRICS, Metric
from fleet.quality import QUALITY_MASK, Quality, Reason, pack

Floats = npt.NDArray[np.float64]
Marked = npt.NDArray[np.uint8]

RANGE = np.uint8(pack(Quality.BAD, Reason.RANGE))
SENTINEL = np.uint8(pack(Quality.BAD, Reason.SENTINEL))
RATE = np.uint8(pack(Quality.UNCERTAIN, Reason.RATE))
AGE = np.uint8(pack(Quality.UNCERTAIN, Reason.AGE))
RESET = np.uint8(pack(Quality.GOOD, Reason.COUNTER_RESET))
"""A counter that starts again stays good: every rate function knows what to do."""
CLOCK = np.uint8(pack(Quality.UNCERTAIN, Reason.CLOCK))

EVIDENCE_SECONDS = 30.0
"""No value is evidence for longer (design, section 3)."""
AHEAD_SECONDS = 1.0
"""A device clock further ahead than this is of no use (design, section 3)."""


class Marks:
    """The limits of one layout as arrays, and the frame before to judge changes by.

    A frame in which nothing is wrong costs about a dozen array operations, 10 µs at 320 series.
    """

    __slots__ = (
        "_before",
        "_before_ms",
        "_counts",
        "_fall",
        "_hiding",
        "_known",
        "_limits",
        "_moves",
        "_refresh_seconds",
        "_rise",
    )

    def __init__(self, series: Sequence[Series], *, refresh_seconds: float = 0.0) -> None:
        """`refresh_seconds` is how old a value may be inside the device: so much time more a change may have had."""
        self._refresh_seconds = refresh_seconds
        self._known = tuple(METRICS.get(name) for name, _ in series)
        low, high = _field(self._known, "low", -np.inf), _field(self._known, "high", np.inf)
        self._limits = (low, high) if np.isfinite(low).any() or np.isfinite(high).any() else None
        self._rise = _field(self._known, "max_rate_per_second", np.inf)
        self._counts = np.array([one is not None and one.kind == "counter" for one in self._known], dtype=np.bool_)
        self._fall = np.where(self._counts, 0.0, -self._rise)
        self._moves = bool(np.isfinite(self._rise).any() or self._counts.any())
        self._hiding = _hiding(self._known)
        self._before: Floats | None = None
        self._before_ms = 0

    def forget(self) -> None:
        """The device was gone: its next values have no predecessor."""
        self._before = None

    def of(self, values: Floats, quality: Marked | None, at_ms: int, now_ms: int) -> Marked | None:
        """The marks of one frame, None where all is good; a sentinel's value becomes absent in place."""
        found = _Found(quality, len(values))
        with np.errstate(invalid="ignore"):  # stale markers are signalling NaNs: every comparison with them is false
            self._mark_range(found, values)
            if self._moves:
                self._mark_changes(found, values, at_ms)
        if now_ms - at_ms > EVIDENCE_SECONDS * 1000:
            found.mark(np.ones(len(values), dtype=np.bool_), AGE)
        elif at_ms - now_ms > AHEAD_SECONDS * 1000:
            found.mark(np.ones(len(values), dtype=np.bool_), CLOCK)
        return found.quality

    def _mark_range(self, found: "_Found", values: Floats) -> None:
        """Sentinels lie outside the plausible range, but for a few counters that are looked at by themselves."""
        outside = None
        if self._limits is not None:
            low, high = self._limits
            outside = (values < low) | (values > high)
            if not np.count_nonzero(outside):
                outside = None
        hidden = self._hiding is not None and not self._hiding[1].isdisjoint(values[self._hiding[0]].tolist())
        if outside is None and not hidden:
            return
        self._mark_sentinels(found, values)
        if outside is not None:
            found.mark(outside, RANGE)

    def _mark_sentinels(self, found: "_Found", values: Floats) -> None:
        suspects = zip(values.tolist(), self._known, strict=True)
        blank = np.array([known is not None and value in known.sentinels for value, known in suspects], dtype=np.bool_)
        found.mark(blank, SENTINEL)
        values[blank] = STALE

    def _mark_changes(self, found: "_Found", values: Floats, at_ms: int) -> None:
        seconds = (at_ms - self._before_ms) / 1000
        if self._before is not None and 0 < seconds <= EVIDENCE_SECONDS:
            change = (values - self._before) / (seconds + self._refresh_seconds)
            odd = (change > self._rise) | (change < self._fall)
            if np.count_nonzero(odd):
                again = self._counts & (change < 0)
                found.mark(again, RESET)
                found.mark(odd & ~again, RATE)
        self._before, self._before_ms = values, at_ms


class _Found:
    """Marks found so far; the first reason found for a value stays."""

    __slots__ = ("_count", "quality")

    def __init__(self, quality: Marked | None, count: int) -> None:
        self.quality = quality
        self._count = count

    def mark(self, where: npt.NDArray[np.bool_], mark: np.uint8) -> None:
        marks = self.quality if self.quality is not None else np.zeros(self._count, dtype=np.uint8)
        still_good = marks & np.uint8(QUALITY_MASK) == np.uint8(Quality.GOOD)
        self.quality = np.where(where & still_good, mark, marks)


def _field(known: Sequence[Metric | None], field: str, otherwise: float) -> Floats:
    found = [None if metric is None else getattr(metric, field) for metric in known]
    return np.array([otherwise if value is None else value for value in found], dtype=np.float64)


def _hiding(known: Sequence[Metric | None]) -> tuple[npt.NDArray[np.intp], frozenset[float]] | None:
    """Series whose range does not rule out their own sentinels, and those sentinels; None when there are none."""
    inside = {
        at: [value for value in metric.sentinels if metric.low <= value <= metric.high]
        for at, metric in enumerate(known)
        if metric is not None
    }
    where = [at for at, values in inside.items() if values]
    if not where:
        return None
    return np.array(where, dtype=np.intp), frozenset(value for at in where for value in inside[at])
