"""Signs of life and death of a node, and whether a living one may be taken away: plain values."""

from dataclasses import dataclass
from typing import Literal

from fleet.model import AssetId


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """One outlet of the target as its PDU measures it, with its usual draw."""

    name: AssetId
    watts: float | None
    """None: no fresh, good reading."""
    usual_watts: float | None = None
    """What it drew while the node lived; None: not known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """Signs of life and death of a node, each from its own plane, fresh and good readings only."""

    alive_in_band: tuple[str, ...] = ()
    """In-band instruments with a fresh sign of life (agent, exporter, kubelet)."""
    silent_seconds: float | None = None
    """Since the last in-band sign of life; None: never seen."""
    bmc_on: bool | None = None
    stop_events: tuple[str, ...] = ()
    """SEL records of the last minutes: watchdog expired, operating system stopped."""
    outlets: tuple[Outlet, ...] = ()
    idle_watts: float = 0.0
    """The node's rating: what it draws doing nothing."""
    fabric: Literal["active", "counting", "down"] | None = None

    @property
    def outlets_off(self) -> bool:
        """Every outlet is measured and below what a host that is off may draw."""
        return bool(self.outlets) and all(
            outlet.watts is not None and outlet.watts <= self.off_watts_per_outlet for outlet in self.outlets
        )

    @property
    def idle_share_watts(self) -> float:
        """What one outlet carries of an idle node."""
        return self.idle_watts / max(1, len(self.outlets))

    @property
    def off_watts_per_outlet(self) -> float:
        """The most that an outlet of a host that is off draws."""
        return off_threshold_watts(self.idle_watts, len(self.outlets))


OFF_SHARE_OF_IDLE = 0.05
"""A host that is off draws standby power alone: 5 % of its idle share an outlet (default to tune per model)."""
OFF_FLOOR_WATTS = 5.0
"""Meters show a few watts at zero (default to tune)."""


def off_threshold_watts(idle_watts: float, outlets: int) -> float:
    """The most that one outlet of a host that is off may draw, in watts."""
    return max(OFF_FLOOR_WATTS, OFF_SHARE_OF_IDLE * idle_watts / max(1, outlets))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Whether a living node may be taken away."""

    workload_pods: int | None = None
    """Pods of jobs still on it; None: the scheduler was not read."""
    acknowledged: bool = False
    """Every job there acknowledged its checkpoint."""
    deadline_passed: bool = False
    """The time that the jobs were given is over."""
