"""What the site's sources can carry for a while, within their permits, and how much load is left over to shed.

Power is moved before it is shed: sun, grid up to its limit, turbines that run, the battery over the whole time, turbines that
can be started in time. A turbine counts only as far as its permit reaches: hours left, and kilograms of NOx left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

RESTORE_SECONDS = 900.0
"""A lost redundancy is back within 15 minutes, by starting what can be started and shedding the rest."""
USABLE_SHARE = 0.90
"""What remains after a loss is loaded to this share at most (P-FEED of `remediation.md`)."""


class SourceKind(StrEnum):
    """What gives power; in the order in which it is used."""

    SOLAR = "solar"
    GRID = "grid"
    TURBINE = "turbine"
    BESS = "bess"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One unit that gives power."""

    name: str
    kind: SourceKind
    watts: float
    """What it gives at most now: its rating, or the limit that a curtailment sets."""
    running: bool = True
    start_seconds: float = 0.0
    energy_watt_hours: float | None = None
    """BESS: what it holds above its floor."""
    permit_hours_left: float | None = None
    nox_kilograms_left: float | None = None
    nox_kilograms_per_megawatt_hour: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one source carries, and what held it back."""

    source: Source
    watts: float
    bound: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """Who carries the load, and what nobody can."""

    shares: tuple[Share, ...]
    short_watts: float
    """To shed."""


def dispatch(load_watts: float, sources: Sequence[Source], *, notice_seconds: float, hold_seconds: float) -> Dispatch:
    """Who carries a load for as long as it is held. A turbine at rest counts if it can run when it is needed."""
    order = list(SourceKind)
    ranked = sorted(sources, key=lambda each: (order.index(each.kind) + (0 if each.running else 10), each.name))
    left = load_watts
    shares = []
    for source in ranked:
        most, bound = _most(source, notice_seconds, hold_seconds)
        taken = min(left, most)
        shares.append(Share(source=source, watts=taken, bound=bound if most < source.watts else ""))
        left -= taken
    return Dispatch(shares=tuple(shares), short_watts=max(0.0, left))


def _most(source: Source, notice_seconds: float, hold_seconds: float) -> tuple[float, str]:
    """What it can give from the first second to the last, and in words what bounds it."""
    hours = hold_seconds / 3600
    if not source.running and source.start_seconds > notice_seconds:
        return 0.0, f"starts in {source.start_seconds:.0f} s, {notice_seconds:.0f} s are left"
    if source.permit_hours_left is not None and source.permit_hours_left < hours:
        return 0.0, f"its permit has {source.permit_hours_left:.1f} h left of {hours:.1f} h"
    most, bound = source.watts, ""
    if source.energy_watt_hours is not None and source.energy_watt_hours / hours < most:
        most, bound = (
            source.energy_watt_hours / hours,
            f"holds {source.energy_watt_hours / 1e6:.1f} MWh for {hours:.1f} h",
        )
    if source.nox_kilograms_left is not None and source.nox_kilograms_per_megawatt_hour > 0:
        permitted = 1e6 * max(0.0, source.nox_kilograms_left) / source.nox_kilograms_per_megawatt_hour / hours
        if permitted < most:
            most, bound = permitted, f"its permit has {source.nox_kilograms_left:.0f} kg of NOx left"
    return most, bound


def redundancy(load_watts: float, sources: Sequence[Source]) -> int:
    """How many of the largest running units may fail while the others carry the load at 90 % at most; -1 if none may
    and even now they are loaded beyond that.
    """
    units = sorted((source.watts for source in sources if source.running), reverse=True)
    for lost in range(len(units) + 1):
        if USABLE_SHARE * sum(units[lost:]) < load_watts:
            return lost - 1
    return len(units)


def to_restore(load_watts: float, sources: Sequence[Source], wanted: int) -> float:
    """Watts to shed so that `wanted` units may fail again, when all that starts within 15 minutes has been started."""
    units = sorted(
        (source.watts for source in sources if source.running or source.start_seconds <= RESTORE_SECONDS), reverse=True
    )
    return max(0.0, load_watts - USABLE_SHARE * sum(units[wanted:]))
