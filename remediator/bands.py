"""Three bands of a phase's load: act above the first for a moment, aim at the second, give back below the third for long. Pure."""

import itertools
from collections.abc import Callable, Sequence

from fleet.quality import QUALITY_MASK
from remediator.proof import Reading

GAP_MS = 5_000
"""Between two samples of a phase that is read every second or two: more is lost metering."""


def newest(readings: Sequence[Reading], now_ms: int) -> Reading | None:
    """The last good reading, unless it is too old to speak."""
    found = next((reading for reading in reversed(readings) if is_good(reading)), None)
    return found if found is not None and now_ms - found.at_ms <= GAP_MS else None


def is_good(reading: Reading) -> bool:
    """Whether it is evidence; the packed byte of a good one has no low bits."""
    return not reading.quality & QUALITY_MASK


def over_for(readings: Sequence[Reading], limit: float, share: float, seconds: float, now_ms: int) -> bool:
    """At least that share of the limit in every reading of the last seconds; lost metering is never over."""
    return _held(readings, seconds, now_ms, lambda value: value >= share * limit)


def below_for(readings: Sequence[Reading], limit: float, share: float, seconds: float, now_ms: int) -> bool:
    """Less than that share of the limit in every reading of the last seconds; lost metering is never below."""
    return _held(readings, seconds, now_ms, lambda value: value < share * limit)


def _held(readings: Sequence[Reading], seconds: float, now_ms: int, holds: Callable[[float], bool]) -> bool:
    """The reading before the span and all within it are good, hold, and leave no gap."""
    since_ms = now_ms - round(seconds * 1000)
    before = [reading for reading in readings if reading.at_ms <= since_ms]
    span = [*before[-1:], *(reading for reading in readings if reading.at_ms > since_ms)]
    if not before or len(span) < 2:
        return False
    times = [*(reading.at_ms for reading in span), now_ms]
    whole = all(after - first <= GAP_MS for first, after in itertools.pairwise(times))
    return whole and all(is_good(r) and holds(r.value) for r in span)


def need(load: float, limit: float, target: float, margin: float) -> float:
    """How much must go, with a margin, so that what stays is at the target."""
    return max(0.0, (load - target * limit) * margin)
