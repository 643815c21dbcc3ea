"""What the register says about one metric, and the short forms in which its tables are written."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["gauge", "counter", "info", "state"]
"""gauge: goes up and down. counter: only up, until it starts again. info: always 1, the labels speak.
state: one of a few numbers, whose meaning `states` gives."""

UNITS: Mapping[str, str] = {
    "timestamp_seconds": "seconds since 1970",
    "watts_per_second": "watts per second",
    "bytes_per_second": "bytes per second",
    "kelvin_per_second": "kelvin per second",
    "kelvin_per_watt": "kelvin per watt",
    "siemens_per_meter": "siemens per metre",
    "liters_per_minute": "litres per minute",
    "kilograms_per_kilowatt_hour": "kilograms per kilowatt-hour",
    "liters_per_kilowatt_hour": "litres per kilowatt-hour",
    "speed_rpm": "revolutions per minute",
    "watts": "watts",
    "amperes": "amperes",
    "volts": "volts",
    "celsius": "degrees Celsius",
    "joules": "joules",
    "ratio": "ratio",
    "seconds": "seconds",
    "bytes": "bytes",
    "pascals": "pascals",
    "hertz": "hertz",
    "kelvin": "kelvin",
    "kilograms": "kilograms",
    "liters": "litres",
}
"""Last words of a name and the unit that they say; `liters_per_minute`, `speed_rpm` and what is per kilowatt-hour are no base
units, because operators, data sheets and the standards of CUE and WUE (ISO/IEC 30134-8 and -9) know no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One known metric."""

    name: str
    unit: str
    """Base unit in words; `1` for counts, states and what has none."""
    kind: Kind
    low: float = -math.inf
    """Below it a value is bad (reason RANGE)."""
    high: float = math.inf
    """Above it a value is bad (reason RANGE)."""
    max_rate_per_second: float | None = None
    """Faster change than this, either way, is uncertain (reason RATE); None where it may jump."""
    meaning: str
    producer: str = ""
    """Who publishes it."""
    labels: tuple[str, ...] = ()
    """Labels beyond job, instance, asset, node, rack and zone."""
    sentinels: tuple[float, ...] = ()
    """Numbers that mean that there is no value (reason SENTINEL)."""
    states: tuple[tuple[float, str], ...] = ()
    """Of a state: what each number means."""

    def plausible(self, value: float) -> bool:
        """Within its range and no sentinel."""
        return self.low <= value <= self.high and value not in self.sentinels


def gauge(
    name: str,
    meaning: str,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    rate: float | None = None,
    labels: tuple[str, ...] = (),
    unit: str | None = None,
) -> Metric:
    """A value that goes up and down, between low and high, by at most `rate` a second."""
    return Metric(
        name=name,
        unit=unit or unit_of(name),
        kind="gauge",
        low=low,
        high=high,
        max_rate_per_second=rate,
        meaning=meaning,
        labels=labels,
    )


def counter(
    name: str, meaning: str, *, rate: float | None = None, labels: tuple[str, ...] = (), unit: str | None = None
) -> Metric:
    """A sum that only grows, by at most `rate` a second, until its device starts again."""
    return Metric(
        name=name,
        unit=unit or unit_of(name),
        kind="counter",
        low=0.0,
        max_rate_per_second=rate,
        meaning=meaning,
        labels=labels,
    )


def state(name: str, meaning: str, states: Mapping[float, str], *, labels: tuple[str, ...] = ()) -> Metric:
    """One of a few numbers."""
    return Metric(
        name=name,
        unit="1",
        kind="state",
        low=min(states),
        high=max(states),
        meaning=meaning,
        labels=labels,
        states=tuple(sorted(states.items())),
    )


def info(name: str, meaning: str, *labels: str) -> Metric:
    """Always 1: its labels are the message."""
    return Metric(name=name, unit="1", kind="info", low=1.0, high=1.0, meaning=meaning, labels=labels)


def produced_by(producer: str, *metrics: Metric, sentinels: tuple[float, ...] = ()) -> tuple[Metric, ...]:
    """These metrics, with their producer and the numbers by which it says that it has no value."""
    return tuple(replace(metric, producer=producer, sentinels=metric.sentinels or sentinels) for metric in metrics)


def unit_of(name: str) -> str:
    """The unit that a name's last words say; `1` where they say none."""
    bare = name.removesuffix("_total")
    return next((unit for words, unit in UNITS.items() if bare.endswith(f"_{words}")), "1")


ON_OFF: Mapping[float, str] = {0.0: "off", 1.0: "on"}
NO_YES: Mapping[float, str] = {0.0: "no", 1.0: "yes"}
