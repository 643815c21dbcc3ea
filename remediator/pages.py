"""When a person must be told: one page an incident, as soon as automation cannot or may not heal it. Pure."""

from collections.abc import Callable, Mapping

from fleet.model import Site
from remediator.causes import SILENCES, Symptom, is_cause
from remediator.incidents import Incident, Standing, treatable
from remediator.transitions import Phase
from remediator.verbs import Verb

SYMPTOM_PATIENCE_MS = 30_000
"""A silence may have a cause that is noticed a little later: then that one pages, once."""
SYMPTOMS = (*SILENCES, "PowerBrake")
"""How alerts end that mostly have a cause elsewhere: an instrument, a network, a feed."""
STILL_FIRING_MS = 900_000
"""A remedy that succeeded has this long to make its alert go away; rules on events look ten minutes back."""

Answered = Callable[[Symptom, Incident], bool]


def page_reason(incident: Incident, now_ms: int, *, site: Site, answers: Answered) -> str | None:
    """Why a person must be told now; None while automation is at work or nothing is grave."""
    for standing in incident.remediations.values():
        reason = _remediation(standing, now_ms, incident.severity)
        if reason is not None:
            return reason
    return _unremedied(incident, now_ms, site, answers)


def _remediation(standing: Standing, now_ms: int, severity: str) -> str | None:
    where = f"{standing.playbook} on {standing.target}"
    paged = [text for verb, text in standing.told if verb == Verb.PAGE]
    if paged:
        return f"{standing.playbook}: {paged[0]}"
    if standing.reason_code == "handed_over":
        return f"{where}: {standing.reason_text}" if severity == "critical" else None
    if standing.phase in {Phase.ESCALATED, Phase.FAILED}:
        return f"{where} gave up: {standing.reason_text}"
    if standing.phase is Phase.AWAITING_APPROVAL:
        return f"{where} waits for approval: {standing.reason_text}"
    if standing.reason_code == "approval_expired":
        return f"{where}: {standing.reason_text}"
    if standing.reason_code == "frozen" and standing.phase is Phase.DENIED:
        return f"{where} stands still: {standing.reason_text}"
    refused = standing.refused_since_ms
    if standing.phase is Phase.DENIED and refused is not None and now_ms - refused >= REFUSED_MS:
        return f"{where} is refused for {(now_ms - refused) // 1000} s: {standing.reason_text}"
    return None


REFUSED_MS = 60_000
"""What is refused for a minute will not come by itself (default to tune)."""


def _unremedied(incident: Incident, now_ms: int, site: Site, answers: Answered) -> str | None:
    """A grave alert that nothing answers, that is only observed, or that a remedy did not end."""
    if incident.severity != "critical" or not incident.active:
        return None
    standings: Mapping[str, Standing] = incident.remediations
    if any(standing.live for standing in standings.values()):
        return None
    for standing in standings.values():
        if standing.phase is Phase.WOULD_HAVE:
            return f"{standing.playbook} on {standing.target} is in mode observe: nothing was done"
        if standing.phase is Phase.SUCCEEDED and now_ms - standing.updated_at_ms >= STILL_FIRING_MS:
            return f"{standing.playbook} on {standing.target} succeeded, and its alert still fires"
    answered = any(standing.phase is not Phase.SUPERSEDED for standing in standings.values())
    if answered or any(answers(alert, incident) for alert in treatable(incident, site)):
        return None
    root = incident.cause
    patience = 0 if is_cause(root, site) or not root.alertname.endswith(SYMPTOMS) else SYMPTOM_PATIENCE_MS
    if now_ms - incident.opened_at_ms < patience:
        return None
    return f"nothing answers {root.alertname} by itself"
