"""The promises of docs/how-to/campaign.md, each a pure function over one run: what it yields is a violation."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Final

from bus.events import AlertEvent, IncidentEvent, RemediationEvent
from hallkeeper.world.case import Case
from hallkeeper.world.limits import over_limits
from remediator.records import Intent
from simulator.machines import NodeState

CUTS: Final = frozenset({"power_off", "outlet_off", "taint_out_of_service", "evict", "delete_pod"})
POWER: Final = frozenset({"power_off", "power_on", "outlet_off", "outlet_on"})
RESOLVED_SECONDS: Final = 250.0
"""Within so long every intent has its outcome: send limit, effect latency, what the wire may take, and a restart."""
FRESH_SECONDS: Final = 10.0
SLACK_SECONDS: Final = 2.5
"""From a reading to the decision that it is for: a poll's spacing and the bus."""
READY_SECONDS: Final = 5.0

Check = Callable[[Case], Iterator[str]]


def one_holder(case: Case) -> Iterator[str]:
    """S1: no two remediations hold one machine at the same time."""
    by_target: dict[str, list[Intent]] = defaultdict(list)
    for intent in sorted(case.intents, key=case.created):
        by_target[str(intent.target)].append(intent)
    for target, intents in by_target.items():
        order = [intent.remediation_id for intent in intents]
        changes = 1 + sum(one != other for one, other in pairwise(order))
        if changes > len(set(order)):
            yield f"S1 {target}: remediations take turns: {order}"


def intent_first(case: Case) -> Iterator[str]:
    """S2: what reaches a device stands durably in ledger and journal before."""
    for seen in case.seen:
        if seen.intent is None:
            yield f"S2 {seen.arrival.verb} on {seen.arrival.device} at {seen.at:.1f} without a durable intent"
        elif not seen.noted:
            yield f"S2 {seen.arrival.verb} on {seen.arrival.device} at {seen.at:.1f} not in the actuator's journal"


def single_shot(case: Case) -> Iterator[str]:
    """S3: one state-changing request an intent; no copy of it runs behind the fence."""
    sent = Counter(seen.arrival.intent for seen in case.seen if not seen.arrival.copy)
    for intent, count in sent.items():
        if count > 1:
            yield f"S3 intent {intent} reached its device {count} times"
    for seen in case.seen:
        if seen.arrival.copy and seen.arrival.executed and seen.whole and seen.arrival.verb == "power_off":
            yield f"S3 a copy of {seen.arrival.verb} ran on the living {seen.node} at {seen.at:.1f}"


def nothing_in_doubt(case: Case) -> Iterator[str]:
    """S4: every intent has its outcome in time, and none is lost."""
    known = {intent.intent_id for intent in case.intents}
    for intent in case.intents:
        if intent.outcome is None and case.seconds - case.created(intent) > RESOLVED_SECONDS:
            yield f"S4 intent {intent.intent_id} ({intent.verb} on {intent.target}) is in doubt since {case.created(intent):.0f} s"
    for seen in case.seen:
        if seen.arrival.intent not in known:
            yield f"S4 intent {seen.arrival.intent} ({seen.arrival.verb}) is lost: the ledger does not know it"
    for name in case.endings:
        if name not in known:
            yield f"S4 intent {name} is in the journal and not in the ledger"


def fresh_evidence(case: Case) -> Iterator[str]:
    """S5: no power verb on a reading that is older than ten seconds."""
    for intent in _created(case, POWER):
        at = case.created(intent)
        sources = {f"{outlet.labels['pdu']}/snmp" for outlet in case.site.graph.outlets_of(intent.target)}
        newest = max((_newest(case.frames_at.get(source, ()), at) for source in sources), default=0.0)
        late = max(
            (span.value for span in case.during("bus-late") if span.begun + span.value <= at <= span.ended), default=0.0
        )
        away = any(span.begun + FRESH_SECONDS + SLACK_SECONDS < at < span.ended for span in case.during("bus-away"))
        if at - newest + late > FRESH_SECONDS + SLACK_SECONDS or away:
            yield f"S5 {intent.verb} on {intent.target} at {at:.1f} s on a reading of {newest:.1f} s (bus late by {late:.0f} s)"


def _newest(times: object, at: float) -> float:
    assert isinstance(times, list | tuple)
    place = bisect_right(times, at)
    return times[place - 1] if place else 0.0


def blast_radius(case: Case) -> Iterator[str]:
    """S6: never more machines of a domain out at our hands than its budget, in count and in share."""
    for seen in case.seen:
        if seen.arrival.verb in {"cordon", "power_off"} and seen.arrival.executed and seen.node:
            yield from over_limits(case.site, seen.node, seen.out, seen.at)


def redundancy(case: Case) -> Iterator[str]:
    """S7: nothing is cut where a feed is lost."""
    for span in case.during("feed-loss"):
        for intent in _created(case, frozenset({"power_off", "outlet_off"})):
            feeds = {str(outlet.labels["pdu"]) for outlet in case.site.graph.outlets_of(intent.target)}
            if span.target in feeds and span.begun + 20 < case.created(intent) < span.ended:
                yield f"S7 {intent.verb} on {intent.target} at {case.created(intent):.0f} s while {span.target} has no feed"


def mass_failure(case: Case) -> Iterator[str]:
    """S8: where more than 30 % of a kind of instrument vanished together, nothing is cut."""
    for span in case.during("agents-silent"):
        for intent in _created(case, CUTS):
            if span.begun + 45 < case.created(intent) < span.ended:
                yield f"S8 {intent.verb} on {intent.target} at {case.created(intent):.0f} s while many agents are silent"


def living_machines(case: Case) -> Iterator[str]:
    """S9: no machine that runs and is whole is cut, none that is dead is given back, no job ever runs twice."""
    for seen in case.seen:
        verb, at = seen.arrival.verb, f"{seen.node} at {seen.at:.1f} s"
        if not seen.arrival.executed or seen.arrival.copy:
            continue
        if verb in {"power_off", "taint_out_of_service", "delete_pod"} and seen.whole:
            yield f"S9 {verb} on the living {at}"
        if verb == "uncordon" and seen.state is not NodeState.RUNNING:
            yield f"S9 uncordon of the dead {at}"
    for twin in case.second_writers:
        yield f"S9 a rank ran twice: {twin}"


def stopped(case: Case) -> Iterator[str]:
    """S12: no new intent after the stop switch was thrown; there is one switch, and whoever resumes lifts it for all."""
    spans = case.during("stop")
    for span in spans:
        ended = min(other.ended for other in spans if other.ended > span.begun)
        for intent in case.intents:
            if span.begun + 1.0 < case.created(intent) < ended:
                yield f"S12 {intent.verb} on {intent.target} meant at {case.created(intent):.1f} s, stopped since {span.begun:.1f} s"


def hands_off(case: Case) -> Iterator[str]:
    """S13: nothing reaches a machine that a technician has locked out, or that is in maintenance."""
    for span in case.during("lockout"):
        for seen in case.seen:
            if seen.node == span.target and span.begun + 0.5 < seen.at < span.ended and not seen.arrival.copy:
                yield f"S13 {seen.arrival.verb} reached the locked {seen.node} at {seen.at:.1f} s"
    deaf = case.during("bus-away", "bus-late", "down", "pause", "clock-jump", "disk-full")
    for span in case.during("maintenance"):
        if any(other.begun < span.begun + 5 and other.ended > span.begun - 60 for other in deaf):
            continue
        for intent in case.intents:
            if str(intent.target) == span.target and span.begun + 3.0 < case.created(intent) < span.ended:
                yield f"S13 {intent.verb} on {intent.target} at {case.created(intent):.0f} s, in maintenance since {span.begun:.0f} s"


def nothing_lost(case: Case) -> Iterator[str]:
    """D1: what was accepted reaches whom it is for."""
    for name, count in case.unheard.items():
        if count:
            yield f"D1 {name}: {count} records were never committed"
    if case.waiting:
        yield f"D1 {case.waiting} events of the ledger never reached the bus"
        return
    last: dict[str, int] = {}
    for told in case.told:
        if isinstance(told.event, RemediationEvent):
            last[told.event.remediation_id] = max(told.event.sequence, last.get(told.event.remediation_id, -1))
    for state in case.remediations:
        if last.get(state.remediation_id, -1) < state.sequence:
            yield f"D1 state {state.sequence} of remediation {state.remediation_id} never reached the bus"


def once(case: Case) -> Iterator[str]:
    """D2: an event told twice says the same."""
    said: dict[tuple[str, int], bytes] = {}
    for told in case.told:
        if isinstance(told.event, RemediationEvent):
            key = told.event.remediation_id, told.event.sequence
            if said.setdefault(key, told.value) != told.value:
                yield f"D2 {key[0]} says two things as number {key[1]}"


def forwards(case: Case) -> Iterator[str]:
    """D3: the judgement of an alert never goes back in time, except with a wall clock that does."""
    if case.during("clock-jump"):
        return
    last: dict[str, int] = {}
    for told in case.told:
        if isinstance(told.event, AlertEvent):
            if told.event.evaluated_at_ms < last.get(told.event.alert_id, 0):
                yield f"D3 {told.event.alertname} goes back in time at {told.at:.1f} s"
            last[told.event.alert_id] = told.event.evaluated_at_ms


def recovers(case: Case) -> Iterator[str]:
    """L1: a remediator that is started is ready within five seconds, nobody doing anything."""
    trouble = case.during("bus-away", "pause", "down", "disk-full", "suspend")
    for begun, seconds in case.ready_seconds:
        excused = any(span.begun < begun + READY_SECONDS and span.ended > begun for span in trouble)
        if seconds > READY_SECONDS and not excused:
            yield f"L1 the remediator started at {begun:.1f} s was ready after {seconds:.1f} s"


def looked_after(case: Case) -> Iterator[str]:
    """L2: when all is quiet again, a machine that hangs is in somebody's hands: an incident is open."""
    known: dict[str, set[str]] = {}
    for told in case.told:
        if isinstance(told.event, IncidentEvent):
            open_now = told.event.ended_at_ms is None
            known[told.event.incident_id] = {str(a.asset) for a in told.event.alerts} if open_now else set()
    covered = set().union(*known.values())
    for node in sorted(case.hung - covered):
        yield f"L2 {node} hangs and nobody knows"


def stays_up(case: Case) -> Iterator[str]:
    """L3: no process ends by itself, but for a disk that takes nothing or a bus that is away when it starts."""
    full, away = case.during("disk-full"), case.during("bus-away")
    for at, name, error in case.fallen:
        excused = (*full, *(away if "BusError" in error else ()))
        if not any(span.begun - 1 < at < span.ended + 15 for span in excused):
            yield f"L3 {name} ended by itself at {at:.1f} s: {error[:200]}"


def _created(case: Case, verbs: frozenset[str]) -> list[Intent]:
    return [intent for intent in case.intents if intent.verb.value in verbs]


CHECKS: Final[Mapping[str, Check]] = {
    "S1": one_holder,
    "S2": intent_first,
    "S3": single_shot,
    "S4": nothing_in_doubt,
    "S5": fresh_evidence,
    "S6": blast_radius,
    "S7": redundancy,
    "S8": mass_failure,
    "S9": living_machines,
    "S12": stopped,
    "S13": hands_off,
    "D1": nothing_lost,
    "D2": once,
    "D3": forwards,
    "L1": recovers,
    "L2": looked_after,
    "L3": stays_up,
}


def violations(case: Case) -> list[str]:
    """Every broken promise, each line beginning with its name."""
    return [found for check in CHECKS.values() for found in check(case)]
