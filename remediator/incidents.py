"""What an incident is: alerts that share a cause, the remediations for it, and where it stands. Pure."""

from collections.abc import Mapping

import msgspec

from bus.events import IncidentAlert, IncidentEvent, IncidentState, Moment
from fleet.model import AssetId, Site
from remediator.announce import told_by
from remediator.causes import REMEDIES_OF_ROOT, Symptom, is_cause, names_asset
from remediator.records import Remediation
from remediator.transitions import Phase

SUPERSEDED = "superseded by "
"""How the outcome of an incident begins that another one took in."""
_RANK = {"info": 0, "warning": 1, "critical": 2}


class Standing(msgspec.Struct, frozen=True):
    """How a remediation of the incident stands."""

    phase: Phase
    acted: bool
    reason_code: str = ""
    reason_text: str = ""
    refused_since_ms: int | None = None
    updated_at_ms: int = 0
    target: str = ""
    playbook: str = ""
    step: str = ""
    told: tuple[tuple[str, str], ...] = ()
    """What it told people and other systems, verb and text, in order."""

    @property
    def live(self) -> bool:
        """It goes on."""
        return self.phase in _LIVE


_LIVE = frozenset(
    {Phase.PENDING, Phase.DENIED, Phase.AWAITING_APPROVAL, Phase.ADMITTED, Phase.EXECUTING, Phase.VERIFYING}
)
_GIVEN_UP = frozenset({Phase.ESCALATED, Phase.FAILED})


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One cause with all that came of it."""

    incident_id: str
    state: IncidentState = IncidentState.OPEN
    root: AssetId
    root_alert: str
    alerts: dict[str, Symptom]
    remediations: dict[str, Standing] = {}
    opened_at_ms: int
    updated_at_ms: int
    ended_at_ms: int | None = None
    outcome: str | None = None
    pages: bool = False
    superseded_by: str | None = None
    owner: str = ""
    """Who acknowledged it last: it is theirs."""
    acknowledged_at_ms: int | None = None
    timeline: tuple[Moment, ...] = ()
    sequence: int = 0
    trace: str = ""

    @property
    def ended(self) -> bool:
        """Nothing more will happen to it."""
        return self.ended_at_ms is not None

    @property
    def cause(self) -> Symptom:
        """The alert that explains the others."""
        return self.alerts[self.root_alert]

    @property
    def severity(self) -> str:
        """The gravest of its alerts."""
        return max((alert.severity for alert in self.alerts.values()), key=lambda s: _RANK.get(s, 1), default="info")

    @property
    def active(self) -> tuple[Symptom, ...]:
        """Alerts that still fire."""
        return tuple(alert for alert in self.alerts.values() if alert.active)

    def event(self, epoch: int) -> IncidentEvent:
        """What travels."""
        root = self.cause
        return IncidentEvent(
            incident_id=self.incident_id,
            state=self.state,
            title=root.annotations.get("summary") or f"{root.alertname} on {self.root}",
            severity=self.severity,
            root=str(self.root),
            alerts=[alert.shown() for alert in self.alerts.values()],
            assets=sorted({str(alert.asset) for alert in self.alerts.values()}),
            remediations=list(self.remediations),
            opened_at_ms=self.opened_at_ms,
            updated_at_ms=self.updated_at_ms,
            ended_at_ms=self.ended_at_ms,
            outcome=self.outcome,
            pages=self.pages,
            timeline=list(self.timeline),
            sequence=self.sequence,
            epoch=epoch,
            trace=self.trace,
            unknown={"owner": self.owner, "acknowledged_at_ms": self.acknowledged_at_ms} if self.owner else {},
        )


def state_of(incident: Incident) -> IncidentState:
    """Where an incident stands, from its remediations and alerts."""
    standings = incident.remediations.values()
    if any(standing.phase in _GIVEN_UP for standing in standings):
        return IncidentState.ESCALATED
    if any(standing.live and standing.acted for standing in standings):
        return IncidentState.ACTING
    if any(standing.phase is Phase.SUCCEEDED for standing in standings):
        return IncidentState.VERIFYING
    return IncidentState.OPEN


def standing_of(state: Remediation) -> Standing:
    """What an incident remembers of a remediation."""
    return Standing(
        phase=state.phase,
        acted=state.acted,
        reason_code=state.reason_code,
        reason_text=state.reason_text,
        refused_since_ms=state.refused_since_ms,
        updated_at_ms=state.updated_at_ms,
        target=str(state.target),
        playbook=state.playbook,
        step=state.step_name,
        told=told_by(state.done),
    )


def treatable(incident: Incident, site: Site) -> tuple[Symptom, ...]:
    """Alerts that may have a remedy of their own: the cause, what is on its asset, and what is its remedy; no symptom."""
    root = incident.cause
    if not is_cause(root, site):
        return tuple(alert for alert in incident.active if alert.named)
    return tuple(
        alert
        for alert in incident.active
        if alert.named and (alert.asset == root.asset or alert.alertname in REMEDIES_OF_ROOT)
    )


def incident_of(event: IncidentEvent, remediations: Mapping[str, Remediation], site: Site) -> Incident | None:
    """An incident as another worker published it; None for one without an alert."""
    if not event.alerts:
        return None
    alerts = {shown.alert_id: _symptom(shown, site) for shown in event.alerts}
    root = next((alert for alert in alerts.values() if str(alert.asset) == event.root), None)
    outcome = event.outcome or ""
    return Incident(
        incident_id=event.incident_id,
        state=event.state,
        root=AssetId(event.root),
        root_alert=(root or next(iter(alerts.values()))).alert_id,
        alerts=alerts,
        remediations={name: standing_of(remediations[name]) for name in event.remediations if name in remediations},
        opened_at_ms=event.opened_at_ms,
        updated_at_ms=event.updated_at_ms,
        ended_at_ms=event.ended_at_ms,
        outcome=event.outcome,
        pages=event.pages,
        superseded_by=outcome.removeprefix(SUPERSEDED) if outcome.startswith(SUPERSEDED) else None,
        timeline=tuple(event.timeline),
        sequence=event.sequence,
        trace=event.trace,
        owner=str(event.unknown.get("owner", "")),
        acknowledged_at_ms=event.unknown.get("acknowledged_at_ms"),
    )


def _symptom(shown: IncidentAlert, site: Site) -> Symptom:
    return Symptom(
        alert_id=shown.alert_id,
        rule=shown.rule,
        alertname=shown.alertname,
        asset=AssetId(shown.asset),
        named=names_asset(shown.labels, site),
        state=shown.state,
        severity=shown.severity,
        labels=shown.labels,
        annotations=shown.annotations,
        since_ms=shown.since_ms,
    )
