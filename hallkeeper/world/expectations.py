"""Judges a scenario: what it expects of the product, what it forbids, and the bounds that the plant itself kept or broke. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bus.events import AlertEvent, AlertState, IncidentEvent
from hallkeeper.world.case import Case
from hallkeeper.world.witness import Seen
from simulator.layout import Layout
from simulator.scenarios.assets import nodes_behind
from simulator.scenarios.schema import Between, ExpectedAction, ExpectedAlert, Forbidden, Scenario

POWER = frozenset(
    {"power_off", "power_on", "outlet_off", "outlet_on", "soft_off", "reboot", "rack_power_off", "rack_power_on"}
)


@dataclass(frozen=True, slots=True)
class Told:
    """What a run shows to a scenario: times are virtual seconds after its first moment."""

    case: Case
    layout: Layout
    begun: float


def judged(scenario: Scenario, run: Told) -> Iterator[str]:
    """Everything that is not as the scenario wants it."""
    for alert in scenario.expect.alerts:
        yield from _alert(alert, run)
    yield from _count("incidents", scenario.expect.incidents, _incidents(run))
    if scenario.expect.pages is not None:
        yield from _count("pages", scenario.expect.pages, _pages(run))
    for action in scenario.expect_action:
        yield from _action(action, run)
    for rule in scenario.forbid:
        yield from _forbidden(rule, run)


def _alert(wanted: ExpectedAlert, run: Told) -> Iterator[str]:
    times = [
        told.at - run.begun
        for told in run.case.told
        if isinstance(told.event, AlertEvent)
        and told.event.state is AlertState.FIRING
        and told.event.alertname in wanted.rule
        and wanted.asset in {None, told.event.labels.get("asset"), told.event.labels.get("node")}
    ]
    in_time = [at for at in times if at >= wanted.after]
    names = " or ".join(wanted.rule)
    where = f" on {wanted.asset}" if wanted.asset else ""
    if not in_time:
        yield f"{names}{where} never fired"
    elif min(in_time) - wanted.after > wanted.within_seconds:
        yield f"{names}{where} fired {min(in_time) - wanted.after:.1f} s after {wanted.after:g}, {wanted.within_seconds:g} s were allowed"


def _incidents(run: Told) -> int:
    """Incidents that were opened and not taken into another."""
    last: dict[str, IncidentEvent] = {}
    for told in run.case.told:
        if isinstance(told.event, IncidentEvent) and told.at >= run.begun:
            last[told.event.incident_id] = told.event
    return sum(not (event.outcome or "").startswith("superseded") for event in last.values())


def _pages(run: Told) -> int:
    return len(
        {
            told.event.incident_id
            for told in run.case.told
            if isinstance(told.event, IncidentEvent) and told.event.pages and told.at >= run.begun
        }
    )


def _count(what: str, wanted: Between, found: int) -> Iterator[str]:
    if found < wanted.at_least:
        yield f"{found} {what}, at least {wanted.at_least} are expected"
    if wanted.at_most is not None and found > wanted.at_most:
        yield f"{found} {what}, at most {wanted.at_most} are expected"


def _acts(run: Told, verbs: Sequence[str]) -> list[Seen]:
    wanted = set(verbs) | (POWER if "power" in verbs else set())
    return [
        seen
        for seen in run.case.seen
        if seen.arrival.executed and not seen.arrival.copy and ("any" in wanted or seen.arrival.verb in wanted)
    ]


def _names(seen: Seen) -> set[str]:
    """Every asset that an act is about."""
    arguments = seen.arrival.arguments
    found = {seen.node, seen.arrival.device, str(arguments.get("node", ""))}
    if "job" in arguments:
        found.add(f"{arguments.get('namespace', '')}/{arguments['job']}".lstrip("/"))
    return found - {""}


def _expanded(layout: Layout, assets: Sequence[str]) -> set[str]:
    return {*assets, *nodes_behind(layout, assets)}


def _action(wanted: ExpectedAction, run: Told) -> Iterator[str]:
    targets = set(nodes_behind(run.layout, wanted.assets)) or set(wanted.assets)
    first: dict[str, float] = {}
    for seen in _acts(run, wanted.verbs):
        at = seen.at - run.begun - wanted.after
        for name in (_names(seen) & targets) if targets else {seen.node or seen.arrival.device}:
            if at >= 0:
                first.setdefault(name, at)
    times = sorted(first.values())
    needed = len(targets) if wanted.every else wanted.at_least
    verbs = " or ".join(wanted.verbs)
    in_time = [at for at in times if at <= wanted.within_seconds]
    if len(in_time) < needed:
        yield (
            f"{verbs} on {len(in_time)} of {needed} within {wanted.within_seconds:g} s (last {times[-1]:.1f} s)"
            if times
            else f"{verbs} was never done"
        )
    if times and wanted.first_within_seconds is not None and times[0] > wanted.first_within_seconds:
        yield f"the first {verbs} came after {times[0]:.1f} s, {wanted.first_within_seconds:g} s were allowed"
    if times and wanted.p90_seconds is not None and times[math.ceil(0.9 * len(times)) - 1] > wanted.p90_seconds:
        yield f"nine of ten {verbs} took {times[math.ceil(0.9 * len(times)) - 1]:.1f} s, {wanted.p90_seconds:g} s were allowed"


def _forbidden(rule: Forbidden, run: Told) -> Iterator[str]:
    on, but = _expanded(run.layout, rule.assets), _expanded(run.layout, rule.but)
    found = [
        seen
        for seen in _acts(run, rule.verbs)
        if rule.at <= seen.at - run.begun <= (math.inf if rule.until is None else rule.until)
        and (not on or _names(seen) & on)
        and not _names(seen) & but
    ]
    if len(found) > rule.more_than:
        what = ", ".join(f"{seen.arrival.verb} on {seen.node or seen.arrival.device}" for seen in found[:3])
        yield f"{len(found)} forbidden acts ({what}): {rule.because}"
