"""When each step of a plan is ordered so that its watts are gone in time, and when it is given back."""

from collections.abc import Sequence
from dataclasses import dataclass

from remediator.shedding.options import CAP_SECONDS
from remediator.shedding.plan import Plan, Step

RELEASE_STEP_SECONDS = 60.0
"""One step a minute on the way back (`remediation.md`, section 6)."""
RAMP_WATTS_PER_SECOND = 500_000.0
"""0.5 MW/s for the whole site (guard G8 of `remediation.md`), down as well as up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One step with its moments, in seconds from the moment at which the relief is wanted (negative: before)."""

    step: Step
    order_at: float
    effect_at: float
    release_at: float | None
    """None where no end is named: it is held until somebody gives it back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """All orders in the order of sending, admissions stopped before the first."""

    admissions_stop_at: float
    orders: tuple[Order, ...]
    complete_at: float
    """When the last watt is gone; later than 0 where the notice was too short."""


def schedule(
    plan: Plan,
    *,
    site: str,
    notice_seconds: float = 0.0,
    hold_seconds: float | None = None,
    ramp_watts_per_second: float = RAMP_WATTS_PER_SECOND,
) -> Schedule:
    """Orders such that all is relieved at the moment wanted, or as soon after as the notice allows, within the ramp."""
    effects = _effects(plan.steps, site, ramp_watts_per_second)
    needed = max((-effect + step.rung.lead_seconds for step, effect in effects), default=0.0)
    late = max(0.0, needed - notice_seconds)
    orders = [
        Order(
            step=step,
            order_at=effect - step.rung.lead_seconds + late,
            effect_at=effect + late,
            release_at=None if hold_seconds is None else release,
        )
        for (step, effect), release in zip(effects, _releases(plan.steps, site, hold_seconds or 0.0), strict=True)
    ]
    orders.sort(key=lambda order: (order.order_at, order.step.what))
    first = orders[0].order_at if orders else 0.0
    complete = max((order.effect_at for order in orders), default=0.0)
    return Schedule(
        admissions_stop_at=max(-notice_seconds, first - CAP_SECONDS), orders=tuple(orders), complete_at=complete
    )


def _effects(steps: Sequence[Step], site: str, ramp: float) -> list[tuple[Step, float]]:
    """The last step's watts are gone at 0, each one before as much earlier as what follows takes at the ramp."""
    found = []
    at = 0.0
    for step in reversed(steps):
        found.append((step, at))
        at -= step.relief.get(site, 0.0) / ramp
    return found[::-1]


def _releases(steps: Sequence[Step], site: str, end: float) -> list[float]:
    """Reverse of the order of taking: a step a minute, and no faster than the ramp."""
    found = []
    at = end
    for step in reversed(steps):
        found.append(at)
        at += max(RELEASE_STEP_SECONDS, step.relief.get(site, 0.0) / RAMP_WATTS_PER_SECOND)
    return found[::-1]
