"""The book of incidents: alerts that share a cause are one, whoever is noticed first.

Pure: alerts, remediations and times in, changes out. A cause that is found late takes in the incidents that it explains.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from bus.events import AlertEvent, AlertState, IncidentState, Moment
from bus.identity import derived_id
from fleet.model import AssetId, Site
from remediator.causes import SILENCES, TOGETHER_MS, Symptom, explains, is_cause, same_cause, symptom_of
from remediator.incident_index import IncidentIndex
from remediator.incidents import SUPERSEDED, Incident, standing_of, state_of
from remediator.records import Remediation
from remediator.transitions import Phase

TIMELINE_LINES = 200
SETTLE_MS = 1_500
"""Alerts of one event arrive within about a second (default to tune)."""
SILENCE_SETTLE_MS = 15_000
"""That many fell silent together is seen some ten seconds after the first of them (default to tune)."""
RELEASE_MS = 120_000
"""A cause must be gone this long before its symptoms are treated by themselves."""


class IncidentBook:
    """All incidents that have not ended, and which of them lie within another."""

    def __init__(self, site: Site, incidents: Iterable[Incident] = ()) -> None:
        self._site = site
        self._open: dict[str, Incident] = {
            incident.incident_id: incident for incident in incidents if not incident.ended
        }
        self._parents: dict[str, str] = {
            incident.incident_id: incident.superseded_by for incident in incidents if incident.superseded_by
        }
        self._changed: dict[str, Incident] = {}
        self._told: set[str] = set(self._open)
        self._index = IncidentIndex(site, self._open.values())

    @property
    def open(self) -> tuple[Incident, ...]:
        """Incidents that go on, oldest first."""
        return tuple(self._open.values())

    def incident(self, incident_id: str) -> Incident | None:
        """The open incident of that id, or the one that took it in."""
        while incident_id in self._parents:
            incident_id = self._parents[incident_id]
        return self._open.get(incident_id)

    def of_alert(self, alert_id: str) -> Incident | None:
        """The open incident that an alert belongs to."""
        found = self._index.of_alert(alert_id)
        return None if found is None else self._open[found]

    def taken_in(self, incident_id: str) -> bool:
        """Whether another incident took it in."""
        return incident_id in self._parents

    def changes(self, now_ms: int) -> tuple[Incident, ...]:
        """What changed since the last call, each to be told once.

        A new incident is told when it has stood for a moment: a cause that is noticed right after its symptom then takes it
        in before anybody heard of it, also where the protective lane has begun to relieve the symptom. A silence stands
        longer, unless something is done about it.
        """
        found = [incident for incident in self._changed.values() if self._tellable(incident, now_ms)]
        for incident in found:
            del self._changed[incident.incident_id]
            self._told.add(incident.incident_id)
        for incident in [other for other in self._changed.values() if other.superseded_by]:
            del self._changed[incident.incident_id]
        return tuple(found)

    def _tellable(self, incident: Incident, now_ms: int) -> bool:
        if incident.incident_id in self._told:
            return True
        acted = any(remediation.acted for remediation in incident.remediations.values())
        waits = incident.cause.alertname.endswith(SILENCES) and not acted
        settle_ms = SILENCE_SETTLE_MS if waits else SETTLE_MS
        settled = incident.ended or incident.pages or now_ms - incident.opened_at_ms >= settle_ms
        return incident.superseded_by is None and settled

    # alerts

    def hear(self, alert: AlertEvent, now_ms: int) -> None:
        """Take one transition of an alert; pending ones are nobody's incident yet."""
        if alert.state is not AlertState.PENDING:
            self.take(symptom_of(alert, self._site), now_ms)

    def take(self, alert: Symptom, now_ms: int) -> None:
        """Fold an alert into the incident that has or explains it, or open one; a cause takes in what it explains."""
        home = self.of_alert(alert.alert_id)
        if home is not None:
            self._update(home, alert, now_ms)
            return
        if not alert.active:
            return
        candidates = (self._open[incident_id] for incident_id in self._index.near(alert.asset))
        home = next((incident for incident in candidates if self._belongs(alert, incident)), None)
        home = self._opened(alert, now_ms) if home is None else self._joined(home, alert, now_ms)
        if is_cause(alert, self._site):
            self._adopt(home, now_ms)

    def _belongs(self, alert: Symptom, incident: Incident) -> bool:
        root = incident.cause
        if not root.active and not any(a.asset == alert.asset and a.named for a in incident.active):
            return False
        if alert.named and any(other.asset == alert.asset and other.named for other in incident.active):
            return True
        return same_cause(root, alert, self._site) or any(
            explains(cause, alert, self._site) for cause in incident.active if is_cause(cause, self._site)
        )

    def _fresh_id(self, alert: Symptom) -> str:
        """Derived, and never that of an incident that was taken in: its remediations have been, under their own ids."""
        incident_id = derived_id("incident", alert.alert_id, alert.since_ms)
        while incident_id in self._parents:
            incident_id = derived_id("incident", incident_id, "let go")
        return incident_id

    def _opened(self, alert: Symptom, now_ms: int) -> Incident:
        incident_id = self._fresh_id(alert)
        incident = Incident(
            incident_id=incident_id,
            root=alert.asset,
            root_alert=alert.alert_id,
            alerts={alert.alert_id: alert},
            opened_at_ms=now_ms,
            updated_at_ms=now_ms,
            trace=alert.trace or derived_id("trace", incident_id),
            timeline=(Moment(at_ms=now_ms, kind="alert", text=f"{alert.alertname} on {alert.asset} fires"),),
        )
        self._keep(incident)
        return incident

    def _joined(self, home: Incident, alert: Symptom, now_ms: int) -> Incident:
        """The alert is one more of the incident; a cause of those that it has becomes its root."""
        alerts = {**home.alerts, alert.alert_id: alert}
        root, root_alert = home.root, home.root_alert
        if same_cause(home.cause, alert, self._site):
            root = self._common_root([a.asset for a in alerts.values() if a.alertname == alert.alertname], root)
        elif is_cause(alert, self._site) and not is_cause(home.cause, self._site):
            root, root_alert = alert.asset, alert.alert_id
        text = f"{alert.alertname} on {alert.asset} fires"
        return self._changed_to(home, now_ms, "alert", text, alerts=alerts, root=root, root_alert=root_alert)

    def _common_root(self, assets: Sequence[AssetId], otherwise: AssetId) -> AssetId:
        found = self._site.graph.common_causes(assets)
        return found[0] if found else otherwise

    def _adopt(self, home: Incident, now_ms: int) -> None:
        """Incidents that the new cause explains are taken in; their remedies are inhibited from here on."""
        for other in tuple(self._open.values()):
            home = self._open[home.incident_id]
            causes = [alert for alert in home.active if is_cause(alert, self._site)]
            explained = any(explains(cause, other.cause, self._site) for cause in causes)
            if other.incident_id == home.incident_id or not explained:
                continue
            self._parents[other.incident_id] = home.incident_id
            self._changed_to(
                other,
                now_ms,
                "cause",
                f"taken in by the incident of {home.cause.alertname} on {home.root}",
                superseded_by=home.incident_id,
                state=IncidentState.RESOLVED,
                outcome=f"{SUPERSEDED}{home.incident_id}",
                ended_at_ms=now_ms,
                pages=False,
            )
            self._changed_to(
                home,
                now_ms,
                "cause",
                f"explains {other.cause.alertname} on {other.root}",
                alerts={**other.alerts, **home.alerts},
                remediations={**other.remediations, **home.remediations},
                pages=home.pages or other.pages,
            )

    def _update(self, home: Incident, alert: Symptom, now_ms: int) -> None:
        before = home.alerts[alert.alert_id]
        alerts = {**home.alerts, alert.alert_id: alert}
        if before.state is alert.state and before.since_ms == alert.since_ms:
            return
        text = f"{alert.alertname} on {alert.asset}: {alert.state.value}"
        self._changed_to(home, now_ms, "alert", text, alerts=alerts)

    # remediations

    def heed(self, state: Remediation, now_ms: int) -> None:
        """A remediation of one of the incidents moved."""
        incident = self.incident(state.incident_id) or self._about(state)
        if incident is None:
            return
        standing = standing_of(state)
        before = incident.remediations.get(state.remediation_id)
        if before == standing:
            return
        text = f"{state.playbook} on {state.target}: {state.phase.value} {state.step_name} {state.reason_text}".rstrip()
        remediations = {**incident.remediations, state.remediation_id: standing}
        changed = self._changed_to(incident, now_ms, "remediation", text, remediations=remediations)
        for verb, words in standing.told[len(before.told) if before else 0 :]:
            changed = self._changed_to(changed, now_ms, verb, words)

    def _about(self, state: Remediation) -> Incident | None:
        """The protective lane knows no incidents: its acts belong to that of the asset."""
        for incident in self._open.values():
            theirs = any(alert.asset == state.target for alert in incident.active)
            if theirs and state.updated_at_ms >= incident.opened_at_ms - TOGETHER_MS:
                return incident
        return None

    def acknowledge(self, incident_id: str, owner: str, comment: str, now_ms: int) -> bool:
        """A person has it from here, with what they say to it; false where there is no such incident that goes on."""
        incident = self.incident(incident_id)
        if incident is None:
            return False
        text = f"{owner} has it" if not comment else f"{owner} has it: {comment}"
        self._changed_to(incident, now_ms, "ack", text, owner=owner, acknowledged_at_ms=now_ms)
        return True

    # time

    def tick(self, now_ms: int, page: Callable[[Incident, int], str | None]) -> None:
        """What time does: states, ends, symptoms let go by a cause that is gone, and pages."""
        for incident in tuple(self._open.values()):
            self._release(incident, now_ms)
        for incident in tuple(self._open.values()):
            self._settle(incident, now_ms)
        for incident in tuple(self._open.values()):
            why = None if incident.pages else page(incident, now_ms)
            if why is not None:
                self._changed_to(incident, now_ms, "page", why, pages=True)

    def _settle(self, incident: Incident, now_ms: int) -> None:
        if not incident.active and not any(standing.live for standing in incident.remediations.values()):
            outcome = "healed" if any(s.phase is Phase.SUCCEEDED for s in incident.remediations.values()) else "cleared"
            self._changed_to(
                incident,
                now_ms,
                "end",
                f"all alerts resolved: {outcome}",
                state=IncidentState.RESOLVED,
                outcome=outcome,
                ended_at_ms=now_ms,
            )
            return
        state = state_of(incident)
        if state is not incident.state:
            self._changed_to(incident, now_ms, "state", state.value, state=state)

    def _release(self, incident: Incident, now_ms: int) -> None:
        """The cause is gone for two minutes and symptoms still fire: they are incidents of their own."""
        root = incident.cause
        orphans = [alert for alert in incident.active if not _own(alert, incident)]
        since = max((m.at_ms for m in incident.timeline if m.kind == "alert"), default=incident.opened_at_ms)
        gone = not root.active and is_cause(root, self._site) and now_ms - since >= RELEASE_MS
        if not gone or not orphans or any(is_cause(alert, self._site) for alert in incident.active):
            return
        kept = {alert_id: alert for alert_id, alert in incident.alerts.items() if alert not in orphans}
        self._changed_to(incident, now_ms, "cause", f"{len(orphans)} alerts go on without it", alerts=kept)
        for orphan in orphans:
            self.take(orphan, now_ms)

    # keeping

    def _changed_to(self, incident: Incident, now_ms: int, kind: str, text: str, **changes: Any) -> Incident:
        line = Moment(at_ms=now_ms, kind=kind, text=text)
        changed = msgspec.structs.replace(
            incident,
            updated_at_ms=now_ms,
            sequence=incident.sequence + 1,
            timeline=(*incident.timeline[-TIMELINE_LINES + 1 :], line),
            **changes,
        )
        self._keep(changed)
        return changed

    def _keep(self, incident: Incident) -> None:
        self._changed[incident.incident_id] = incident
        self._index.keep(incident)
        if incident.ended:
            self._open.pop(incident.incident_id, None)
        else:
            self._open[incident.incident_id] = incident


def _own(alert: Symptom, incident: Incident) -> bool:
    return alert.alert_id == incident.root_alert or alert.asset == incident.root
