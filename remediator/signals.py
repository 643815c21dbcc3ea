"""How often each metric is read here, and how old its value may be inside the device: from the settings and the profiles."""

from collections.abc import Callable

from devices.profiles import PROFILES
from fleet.model import Site
from fleet.settings import Intervals
from remediator.sight import Signal

OURS = {"agent_": "agent", "bmc_": "bmc", "kube_": "scheduler", "fleet_": "inventory", "up": "inlet"}
"""Metrics of no profile, by their beginning, and the signal that they are read with."""


def signals_of(site: Site, intervals: Intervals) -> Callable[[str], Signal]:
    """Metric to signal. While an incident is open its assets are read more often: the shorter interval counts."""
    used = [PROFILES[name] for name in sorted({e.profile for e in site.endpoints()}) if name in PROFILES]
    known: dict[str, Signal] = {}
    for profile in used:
        for point in profile.points:
            interval = getattr(intervals, point.signal, intervals.incident)
            found = Signal(round(1000 * interval), round(1000 * profile.refresh_of(point.metric)))
            known[point.metric] = _worse(known.get(point.metric), found)
    for endpoint in site.endpoints():
        refresh = endpoint.options.get("refresh_seconds")
        if endpoint.name == "dcgm" and isinstance(refresh, int | float):
            for metric in [m for m in known if m.startswith("DCGM_")]:
                known[metric] = _worse(known[metric], Signal(known[metric].interval_ms, round(1000 * refresh)))

    def signal(metric: str) -> Signal:
        return known.get(metric) or _ours(metric, intervals)

    return signal


def _worse(one: Signal | None, other: Signal) -> Signal:
    """Of two families that bring one metric, what holds for both."""
    if one is None:
        return other
    return Signal(max(one.interval_ms, other.interval_ms), max(one.refresh_ms, other.refresh_ms))


def _ours(metric: str, intervals: Intervals) -> Signal:
    for beginning, name in OURS.items():
        if metric.startswith(beginning):
            return Signal(round(1000 * getattr(intervals, name)))
    return Signal(round(1000 * intervals.incident))
