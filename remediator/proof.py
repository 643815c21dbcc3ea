"""Proof of effect: two consecutive samples, measured after the send, by an instrument other than the one commanded.

Pure: samples in, a finding out. A sample counts as measured at `at - refresh`: it may be that old inside its device.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bus.events import Proof
from fleet.quality import QUALITY_MASK
from remediator.vitals import off_threshold_watts

SAMPLES_NEEDED = 2
"""Consecutive samples (design, section 5)."""
ON_SHARE_OF_IDLE = 0.5
"""A machine that was switched on draws at least half its idle watts while it boots (default to tune)."""
PROVEN_SHARE = 0.95
"""A shed is proven when the meter shows at most 95 % of the limit."""


class Verdict(StrEnum):
    """What the samples say of an effect."""

    PROVEN = "proven"
    OPEN = "open"
    """Not enough samples yet."""
    CONTRADICTED = "contradicted"
    """Two samples after the send show that it did not happen."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One sample of a meter."""

    at_ms: int
    value: float
    quality: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """One series with its recent samples, oldest first."""

    metric: str
    labels: Mapping[str, str]
    readings: Sequence[Reading]
    refresh_ms: int = 0

    def measured_after(self, at_ms: int) -> tuple[Reading, ...]:
        """The last consecutive samples measured after that moment; one that is not good breaks the row."""
        row: list[Reading] = []
        for reading in self.readings:
            if reading.at_ms - self.refresh_ms <= at_ms:
                continue
            if not reading.quality & QUALITY_MASK:  # good
                row.append(reading)
            else:
                row.clear()
        return tuple(row[-SAMPLES_NEEDED:])


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict with the samples behind it."""

    verdict: Verdict
    lines: tuple[Proof, ...] = field(default=())
    text: str = ""


def off_proven(outlets: Sequence[Meter], sent_at_ms: int, idle_watts: float) -> Finding:
    """Off is nothing but standby power on every outlet of the machine, measured twice."""
    ceiling = off_threshold_watts(idle_watts, len(outlets))
    return _every(outlets, sent_at_ms, lambda watts: watts <= ceiling, f"at most {ceiling:.0f} W on every outlet")


def on_proven(outlets: Sequence[Meter], sent_at_ms: int, idle_watts: float) -> Finding:
    """On is a sum of watts that no standby reaches, measured twice; one supply alone may carry it."""
    rows = [meter.measured_after(sent_at_ms) for meter in outlets]
    if not rows or any(len(row) < SAMPLES_NEEDED for row in rows):
        return Finding(Verdict.OPEN, text="too few samples after the send")
    floor = ON_SHARE_OF_IDLE * idle_watts
    sums = [sum(row[place].value for row in rows) for place in range(SAMPLES_NEEDED)]
    passed = all(total >= floor for total in sums)
    lines = tuple(_line(meter, reading, passed) for meter, row in zip(outlets, rows, strict=True) for reading in row)
    text = f"{sums[-1]:.0f} W, at least {floor:.0f} W"
    return Finding(Verdict.PROVEN if passed else Verdict.CONTRADICTED, lines, text)


def outlet_off_proven(outlet: Meter, sent_at_ms: int, ceiling_watts: float) -> Finding:
    """One outlet carries nothing, measured twice."""
    return _every([outlet], sent_at_ms, lambda watts: watts <= ceiling_watts, f"at most {ceiling_watts:.0f} W")


def below_proven(meter: Meter, sent_at_ms: int, limit: float) -> Finding:
    """A shed or a cap: the meter shows at most 95 % of the limit, measured twice."""
    ceiling = PROVEN_SHARE * limit
    return _every([meter], sent_at_ms, lambda value: value <= ceiling, f"at most {ceiling:.1f}")


def seen(what: str, state: bool | None) -> Finding:
    """What the scheduler's own record shows, read after the send with another credential; None: it was not read."""
    if state is None:
        return Finding(Verdict.OPEN, text=f"{what}: not read yet")
    return Finding(Verdict.PROVEN if state else Verdict.CONTRADICTED, text=f"{what}: {'seen' if state else 'not seen'}")


def _every(meters: Sequence[Meter], sent_at_ms: int, holds: Callable[[float], bool], text: str) -> Finding:
    rows = [meter.measured_after(sent_at_ms) for meter in meters]
    if not rows or any(len(row) < SAMPLES_NEEDED for row in rows):
        return Finding(Verdict.OPEN, text="too few samples after the send")
    lines = tuple(
        _line(meter, reading, holds(reading.value)) for meter, row in zip(meters, rows, strict=True) for reading in row
    )
    passed = all(line.passed for line in lines)
    return Finding(Verdict.PROVEN if passed else Verdict.CONTRADICTED, lines, text)


def _line(meter: Meter, reading: Reading, passed: bool) -> Proof:
    return Proof(
        metric=meter.metric, labels=dict(meter.labels), value=reading.value, at_ms=reading.at_ms, passed=passed
    )
