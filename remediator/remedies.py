"""Which remediation an incident gets, how far it may go, and what the incident later wants of it. Pure."""

from collections.abc import Iterable, Mapping

import msgspec

from fleet.faults import Action
from fleet.model import Site
from remediator.causes import Symptom
from remediator.fault_answers import Answers
from remediator.incident_book import IncidentBook
from remediator.incidents import Incident, treatable
from remediator.playbook import Playbook, PlaybookModes, mode_for
from remediator.records import Remediation, remediation_id_of
from remediator.transitions import Move, Phase
from remediator.verbs import Mode
from remediator.world import Wish

FOREIGN = ("external/", "alertmanager/", "webhook/")
"""Rules that are not ours begin so: their alerts reach at most approve."""
_AGAIN = frozenset({Phase.SUCCEEDED, Phase.SUPERSEDED})
"""After these the same alert, fired anew, may be treated again."""


def due(
    incident: Incident,
    answers: Answers,
    modes: Mapping[str, PlaybookModes],
    *,
    site: Site,
    busy: Iterable[str],
    may_enforce: Mapping[str, bool],
    observe_only: bool,
    epoch: int,
    now_ms: int,
) -> list[Remediation]:
    """New remediations for the alerts of an incident that may be treated; `busy` are targets that have one already."""
    found: list[Remediation] = []
    taken = set(busy)
    for alert in treatable(incident, site):
        book = answers.of(alert, incident.active)
        if book is None or alert.asset in taken:
            continue
        ordinal = _ordinal(incident, book, alert)
        if ordinal is None:
            continue
        may = may_enforce.get(book.playbook, False)
        ours = not alert.rule.startswith(FOREIGN)
        mode = mode_for(book, modes, site.graph.domains_of(alert.asset), may_enforce=may, ours=ours)
        state = _opened(incident, book, alert, ordinal, Mode.OBSERVE if observe_only else mode, epoch, now_ms)
        action = answers.action(alert, incident.active)
        found.append(state if action is None else _told_by_code(state, action))
        taken.add(alert.asset)
    return found


def _ordinal(incident: Incident, book: Playbook, alert: Symptom) -> int | None:
    """The first, or one more after a remedy that ended and an alert that fired anew since; None for neither."""
    earlier = [s for s in incident.remediations.values() if (s.playbook, s.target) == (book.playbook, str(alert.asset))]
    if not earlier:
        return 0
    last = max(earlier, key=lambda standing: standing.updated_at_ms)
    again = last.phase in _AGAIN and alert.since_ms > last.updated_at_ms
    return len(earlier) if again or last.phase is Phase.SUPERSEDED else None


def _opened(
    incident: Incident, book: Playbook, alert: Symptom, ordinal: int, mode: Mode, epoch: int, now_ms: int
) -> Remediation:
    return Remediation(
        remediation_id=remediation_id_of(incident.incident_id, book.playbook, alert.asset, ordinal),
        incident_id=incident.incident_id,
        playbook=book.playbook,
        lane=book.lane,
        mode=mode,
        cause=book.cause,
        target=alert.asset,
        memory={"alert": alert.alert_id, "alert_since_ms": alert.since_ms},
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        epoch=epoch,
        trace=incident.trace,
    )


def _told_by_code(state: Remediation, action: Action) -> Remediation:
    """What the fault's code asks for decides where the ladder begins."""
    return msgspec.structs.replace(state, memory={**state.memory, "action": action.value})


def wish_of(state: Remediation, book: IncidentBook, denied: Mapping[str, str], *, site: Site) -> Wish | None:
    """What the incident or a person wants of a remediation now."""
    if state.remediation_id in denied:
        return Wish(Move.CANCEL, f"denied: {denied[state.remediation_id]}")
    parent = inhibited_by(state, book, site)
    if parent is not None:
        return Wish(Move.SUPERSEDE, parent)
    incident = book.incident(state.incident_id)
    alert = None if incident is None else incident.alerts.get(str(state.memory.get("alert")))
    if alert is None or not alert.active:
        return Wish(Move.CANCEL, "the alert resolved by itself", cleared=True)
    return None


def inhibited_by(state: Remediation, book: IncidentBook, site: Site) -> str | None:
    """The incident whose symptom the remediation's alert turned out to be; None while it is a cause itself."""
    incident = book.incident(state.incident_id)
    if incident is None:
        return None
    alert = incident.alerts.get(str(state.memory.get("alert")))
    if alert is None or not alert.active or alert in treatable(incident, site):
        return None
    return f"{incident.cause.alertname} on {incident.root}"


def alerting(state: Remediation, book: IncidentBook) -> bool:
    """Whether the alert that asked for a remediation still fires; an incident that is gone has none."""
    incident = book.incident(state.incident_id)
    alert = None if incident is None else incident.alerts.get(str(state.memory.get("alert")))
    return alert is not None and alert.active
