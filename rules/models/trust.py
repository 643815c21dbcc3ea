"""Which sensors deserve no belief: stuck, jumped, unbalanced, contradicted. Published as `sample_quality{…, metric, reason}`.

Its value is the quality byte of `fleet.quality`, and there is a series only while there is something to object. Collectors
mark what one answer shows (range, sentinel, a step between two answers); this takes what needs more: other instruments, and
patience. Doubt is not evidence of the opposite: rules that act are silent about a doubted value, never reassured by it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fleet.metrics import METRICS
from fleet.quality import Quality, Reason, pack
from rules.arrays import Bools
from rules.models.port import Input, Kept, Output, Series, Step
from rules.models.rows import carried, looked_up, remembered
from rules.models.trust_claims import CLAIMS, STUCK, Claim, StuckCheck

QUALITY: Final = "sample_quality"
INTERVAL_MS: Final = 1_000
"""The fastest sensors are read every second."""
STUCK_SAMPLES: Final = 60
"""Samples in a row, bit for bit the same (catalogue C18)."""
STUCK_SPREAD: Final = 0.10
"""By which what drives the sensor moved meanwhile, of its mean (catalogue C18)."""
HABIT_SAMPLES: Final = 300
"""Over so many samples it is learnt how often a sensor moves (a default to tune)."""
HABIT_LEAST: Final = 0.1
"""A sensor that moves in fewer of its samples may well stand still: one that rounds to whole degrees, one that is regulated
(a default to tune)."""
JUMPING: Final = (
    "cdu_supply_temperature_celsius",
    "cdu_return_temperature_celsius",
    "cdu_primary_supply_temperature_celsius",
    "rack_supply_temperature_celsius",
    "rack_return_temperature_celsius",
    "cdu_reservoir_level_ratio",
)
"""Metrics with a greatest rate in the register, whose value goes on to be doubted after a step that cannot be."""
SLOWER: Final = 50.0
"""A real change is so much slower than the register's greatest rate: 0.1 K/s for coolant, what a loop of 150 litres does at
50 kW with no flow (catalogue, section 8)."""


@dataclass(frozen=True)
class Trust:
    """The model; its tables are arguments so that a test, or a site, can give others."""

    stuck: Sequence[StuckCheck] = STUCK
    claims: Sequence[Claim] = CLAIMS
    jumping: Sequence[str] = JUMPING
    name: str = "trust"
    interval_ms: int = INTERVAL_MS
    writes: frozenset[str] = frozenset({QUALITY})
    reads: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """One input a metric, one a driver, one a claim."""
        reads = {f"jump {metric}": metric for metric in self.jumping}
        reads |= {f"sensor {check.metric}": check.metric for check in self.stuck}
        reads |= {f"driver {check.metric}": check.driver for check in self.stuck}
        reads |= {f"claim {claim.name}": claim.expr for claim in self.claims}
        object.__setattr__(self, "reads", reads)

    def step(self, at_ms: int, inputs: Mapping[str, Input], kept: Kept) -> Step:
        """One look at every sensor of the tables."""
        outputs: list[Output] = []
        keeps: dict[str, npt.NDArray[Any]] = {}
        for output, keep in self._judged(at_ms, inputs, kept):
            outputs.append(output)
            keeps |= keep
        return Step(outputs, keeps)

    def _judged(
        self, at_ms: int, inputs: Mapping[str, Input], kept: Kept
    ) -> Iterator[tuple[Output, Mapping[str, npt.NDArray[Any]]]]:
        for metric in self.jumping:
            if (sensor := _series(inputs, f"jump {metric}")).labels.size:
                yield jumped(metric, sensor, at_ms, kept)
        for check in self.stuck:
            if (sensor := _series(inputs, f"sensor {check.metric}")).labels.size:
                yield stuck(check, sensor, _series(inputs, f"driver {check.metric}"), kept)
        for claim in self.claims:
            if (objection := _series(inputs, f"claim {claim.name}")).labels.size:
                yield claimed(claim, objection, at_ms, kept)


def jumped(metric: str, sensor: Series, at_ms: int, kept: Kept) -> tuple[Output, Mapping[str, npt.NDArray[Any]]]:
    """A value that came by a step that its metric cannot make is doubted until it is where it can have come to since."""
    rate = METRICS[metric].max_rate_per_second
    assert rate is not None, metric
    was = carried(kept, sensor.labels, {"value": np.nan, "at": -1.0, "before": np.nan, "since": np.nan}, f"{metric}/")
    times = sensor.times.astype(np.float64)
    fresh = sensor.present & (times > was["at"])
    seconds = (times - was["at"]) / 1000.0
    step = fresh & (np.abs(sensor.values - was["value"]) > rate * np.maximum(seconds, 1.0))
    doubted = ~np.isnan(was["since"])
    beginning = step & ~doubted
    before = np.where(beginning, was["value"], was["before"])
    since = np.where(beginning, float(at_ms), was["since"])
    elapsed = np.maximum((at_ms - since) / 1000.0, 1.0)
    ended = fresh & (np.abs(sensor.values - before) <= rate / SLOWER * elapsed)
    since = np.where(ended, np.nan, since)
    keep = {
        "value": np.where(fresh, sensor.values, was["value"]),
        "at": np.where(fresh, times, was["at"]),
        "before": np.where(ended, np.nan, before),
        "since": since,
    }
    marked = ~np.isnan(since) & sensor.present
    return _mark(sensor, metric, Reason.RATE, marked), remembered(sensor.labels, keep, f"{metric}/")


def stuck(
    check: StuckCheck, sensor: Series, driver: Series, kept: Kept
) -> tuple[Output, Mapping[str, npt.NDArray[Any]]]:
    """Bit for bit the same for a minute of samples, of a sensor that is used to move, while what drives it moved."""
    prefix = f"{check.metric}|"
    was = carried(
        kept,
        sensor.labels,
        {"value": np.nan, "at": -1.0, "same": 0.0, "habit": 0.0, "low": np.inf, "high": -np.inf},
        prefix,
    )
    times = sensor.times.astype(np.float64)
    fresh = sensor.present & (times > was["at"])
    moved = fresh & (sensor.values != was["value"])
    same = np.where(moved, 0.0, was["same"] + fresh)
    habit = np.where(moved, np.minimum(was["habit"] + 1.0 / HABIT_SAMPLES, 1.0), was["habit"])
    habit = np.where(fresh & ~moved & (same <= STUCK_SAMPLES), habit * (1.0 - 1.0 / HABIT_SAMPLES), habit)
    drive = looked_up(driver, sensor.labels, check.on)
    low = np.fmin(np.where(moved, np.inf, was["low"]), drive)
    high = np.fmax(np.where(moved, -np.inf, was["high"]), drive)
    spread = (high - low) / np.maximum((high + low) / 2.0, check.least)
    marked = sensor.present & (same >= STUCK_SAMPLES) & (habit >= HABIT_LEAST) & (spread > STUCK_SPREAD)
    keep = {
        "value": np.where(fresh, sensor.values, was["value"]),
        "at": np.where(fresh, times, was["at"]),
        "same": same,
        "habit": habit,
        "low": low,
        "high": high,
    }
    return _mark(sensor, check.metric, Reason.STUCK, marked), remembered(sensor.labels, keep, prefix)


def claimed(claim: Claim, objection: Series, at_ms: int, kept: Kept) -> tuple[Output, Mapping[str, npt.NDArray[Any]]]:
    """What two instruments say against each other, once it has lasted."""
    prefix = f"{claim.name}:"
    since = carried(kept, objection.labels, {"since": np.nan}, prefix)["since"]
    since = np.where(objection.present, np.where(np.isnan(since), float(at_ms), since), np.nan)
    marked = objection.present & (at_ms - since >= claim.lasting_seconds * 1000.0)
    return _mark(objection, claim.metric, claim.reason, marked), remembered(objection.labels, {"since": since}, prefix)


def _mark(sensor: Series, metric: str, reason: Reason, marked: Bools) -> Output:
    byte = float(pack(Quality.UNCERTAIN, reason))
    constant = {"metric": metric, "reason": reason.name.lower()}
    return Output(QUALITY, sensor.labels, np.full(sensor.labels.size, byte), marked, constant)


def _series(inputs: Mapping[str, Input], name: str) -> Series:
    found = inputs[name]
    assert isinstance(found, Series), name
    return found
