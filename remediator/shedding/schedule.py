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
    releases = _releases(plan.steps, site, hold_seconds or 0.0)
    effects = _effects(plan.steps, site, notice_seconds, ramp_watts_per_second)
    orders = [
        Order(
            step=step,
            order_at=effect - step.rung.lead_seconds,
            effect_at=effect,
            release_at=None if hold_seconds is None else release,
        )
        for step, effect, release in zip(plan.steps, effects, releases, strict=True)
    ]
    orders.sort(key=lambda order: (order.order_at, order.step.what))
    first = orders[0].order_at if orders else 0.0
    return Schedule(
        admissions_stop_at=max(-notice_seconds, first - CAP_SECONDS),
        orders=tuple(orders),
        complete_at=max((order.effect_at for order in orders), default=0.0),
    )


def _effects(steps: Sequence[Step], site: str, notice: float, ramp: float) -> list[float]:
    """When each step's watts are gone: the last at 0, each before it as much earlier as what follows takes at the ramp; what
    cannot be ordered in time comes as soon as it can, and still no faster than the ramp.
    """
    latest, at = [0.0] * len(steps), 0.0
    for place in range(len(steps) - 1, -1, -1):
        latest[place] = at
        at -= steps[place].relief.get(site, 0.0) / ramp
    soonest = [max(wanted, step.rung.lead_seconds - notice) for wanted, step in zip(latest, steps, strict=True)]
    free = -notice
    for place in sorted(range(len(steps)), key=lambda place: (soonest[place], place)):
        soonest[place] = max(soonest[place], free)
        free = soonest[place] + steps[place].relief.get(site, 0.0) / ramp
    return soonest


def _releases(steps: Sequence[Step], site: str, end: float) -> list[float]:
    """Reverse of the order of taking: a step a minute, and no faster than the ramp."""
    found = []
    at = end
    for step in reversed(steps):
        found.append(at)
        at += max(RELEASE_STEP_SECONDS, step.relief.get(site, 0.0) / RAMP_WATTS_PER_SECOND)
    return found[::-1]
