"""Incidents as people read them: out of the ledger, with what was done about them, as lines, Markdown or JSON."""

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from fleet.errors import HallkeeperError
from remediator.incidents import Incident
from remediator.records import Remediation

BUSY_SECONDS = 5.0


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One incident with its remediations, oldest first."""

    incident: Incident
    remediations: tuple[Remediation, ...]


def incidents_in(ledger: Path) -> list[Told]:
    """All that the ledger remembers, newest first; read beside the process that writes it. Raises `HallkeeperError`."""
    if not ledger.exists():
        raise HallkeeperError(f"{ledger}: no ledger, try --settings of an installation that has run")
    try:
        db = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        try:
            kept = [row[0] for row in db.execute("SELECT value FROM memory WHERE name LIKE 'incident/%'")]
            states = [row[0] for row in db.execute("SELECT state FROM remediations ORDER BY created_at_ms")]
        finally:
            db.close()
    except sqlite3.Error as error:
        raise HallkeeperError(f"{ledger}: {error}, try again, or its backup") from error
    remediations = [msgspec.json.decode(state, type=Remediation) for state in states]
    found = [_told(msgspec.json.decode(value, type=Incident), remediations) for value in kept]
    return sorted(found, key=lambda told: told.incident.opened_at_ms, reverse=True)


def incident_named(ledger: Path, name: str) -> Told:
    """The one whose id begins so. Raises `HallkeeperError`."""
    found = [told for told in incidents_in(ledger) if told.incident.incident_id.startswith(name)]
    if len(found) != 1:
        what = "no incident" if not found else f"{len(found)} incidents"
        raise HallkeeperError(f"{what} of that id ({name}), try `hallkeeper incident list`")
    return found[0]


def _told(incident: Incident, remediations: Sequence[Remediation]) -> Told:
    mine = tuple(
        r for r in remediations if r.remediation_id in incident.remediations or r.incident_id == incident.incident_id
    )
    return Told(incident=incident, remediations=mine)


def plain(told: Told) -> dict[str, Any]:
    """For programs: the incident as it travels, its owner, and each remediation's whole record."""
    incident = told.incident
    event: dict[str, Any] = msgspec.to_builtins(incident)
    alerts = [msgspec.to_builtins(alert) for alert in incident.alerts.values()]
    return {
        **{name: event[name] for name in _FIELDS},
        "severity": incident.severity,
        "alerts": alerts,
        "remediations": [msgspec.to_builtins(state) for state in told.remediations],
    }


_FIELDS = (
    "incident_id", "state", "root", "opened_at_ms", "updated_at_ms", "ended_at_ms", "outcome", "pages", "owner",
    "acknowledged_at_ms", "superseded_by", "timeline", "trace",
)  # fmt: skip


def line_of(told: Told) -> str:
    """One line of the list."""
    incident = told.incident
    owner = incident.owner or "nobody's"
    cause = incident.cause
    return (
        f"{incident.incident_id[:12]}  {when(incident.opened_at_ms)}  {incident.state.value:<9} {incident.severity:<8}"
        f" {cause.alertname} on {incident.root}, {len(incident.alerts)} alerts, {owner}"
    )


def markdown(told: Told) -> str:
    """The whole incident as one Markdown document."""
    return "\n".join(_markdown(told)) + "\n"


def _markdown(told: Told) -> Iterator[str]:
    incident = told.incident
    yield f"# {incident.cause.alertname} on {incident.root}"
    yield ""
    yield f"- id: `{incident.incident_id}`"
    yield f"- state: {incident.state.value}, severity {incident.severity}, paged: {'yes' if incident.pages else 'no'}"
    yield f"- opened {when(incident.opened_at_ms)}, ended {when(incident.ended_at_ms)}"
    yield f"- outcome: {incident.outcome or 'open'}"
    yield f"- owner: {incident.owner or 'nobody'}, acknowledged {when(incident.acknowledged_at_ms)}"
    yield ""
    yield "## Alerts"
    yield ""
    yield "| alert | asset | state | since | role |"
    yield "|---|---|---|---|---|"
    for alert in incident.alerts.values():
        role = "cause" if alert.alert_id == incident.root_alert else "child"
        yield f"| {alert.alertname} | {alert.asset} | {alert.state.value} | {when(alert.since_ms)} | {role} |"
    yield ""
    yield "## Timeline"
    yield ""
    for moment in incident.timeline:
        yield f"- {when(moment.at_ms)} {moment.kind}: {moment.text}"
    for state in told.remediations:
        yield from _remediation(state)


def _remediation(state: Remediation) -> Iterator[str]:
    yield ""
    yield f"## {state.playbook} on {state.target}: {state.phase.value}"
    yield ""
    yield f"mode {state.mode.value}, {state.reason_code} {state.reason_text}".rstrip(" ,")
    for chosen in state.memory.get("ladder", ()):
        yield f"- {chosen['text']}"
    for done in state.done:
        yield f"- step {done.step} {done.verb}: {done.outcome} {done.text}".rstrip()
    for given in state.approvals:
        yield f"- agreed to by {given.actor} ({given.role}), plan `{given.plan}`"
    if state.gates:
        yield ""
        yield "| gate | passed | why |"
        yield "|---|---|---|"
        for gate in state.gates:
            yield f"| {gate.gate} | {'yes' if gate.passed else 'no'} | {gate.text} |"
    evidence = state.memory.get("evidence", {})
    if evidence:
        yield ""
        yield "| step | instrument | metric | asset | value | measured | good |"
        yield "|---|---|---|---|---|---|---|"
        for step, samples in evidence.items():
            for s in samples:
                good = "yes" if s["good"] else "no"
                yield f"| {step} | {s['instrument']} | {s['metric']} | {s['asset']} | {s['value']} | {when(s['at_ms'])} | {good} |"


def when(at_ms: int | None) -> str:
    """A time for people, UTC."""
    if at_ms is None:
        return "never"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
