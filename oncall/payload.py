"""Incidents as the payloads that operators' tools already take: Alertmanager's webhook, version 4, and its `/api/v2/alerts`."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from bus.events import AlertState, IncidentAlert, IncidentEvent, IncidentState

NEVER = "0001-01-01T00:00:00Z"
"""How Alertmanager writes the end of an alert that has not ended."""
GROUP_LABEL = "incident"
ENDED = (IncidentState.RESOLVED,)
ALERTS_IN_A_PAYLOAD = 100
"""More alerts of one incident than this are counted in `truncatedAlerts`, as Alertmanager's `max_alerts` does (number: default of ours)."""


def rfc3339(at_ms: int) -> str:
    """Unix milliseconds as Alertmanager writes times."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def reason_to_tell(incident: IncidentEvent, told: str | None, *, paged: bool) -> str | None:
    """Why this transition leaves the house, or None: first word, a page, an escalation, the end. `told` is the last state told."""
    if incident.state in ENDED:
        return "resolved" if told is not None and told not in ENDED else None
    if incident.pages and not paged:
        return "page"
    if told is None:
        return "opened"
    if incident.state is IncidentState.ESCALATED and told is not IncidentState.ESCALATED:
        return "escalated"
    return None


def webhook_body(incident: IncidentEvent, *, receiver: str, external_url: str, reason: str) -> bytes:
    """The webhook payload, byte-compatible with Alertmanager's version 4."""
    shown = incident.alerts[:ALERTS_IN_A_PAYLOAD]
    alerts = [_alert(alert, incident, external_url) for alert in shown]
    common = common_pairs([alert["labels"] for alert in alerts])
    annotations = common_pairs([alert["annotations"] for alert in alerts])
    return msgspec.json.encode(
        {
            "version": "4",
            "groupKey": f'{{}}:{{{GROUP_LABEL}="{incident.incident_id}"}}',
            "truncatedAlerts": len(incident.alerts) - len(shown),
            "status": "resolved" if incident.state in ENDED else "firing",
            "receiver": receiver,
            "groupLabels": {GROUP_LABEL: incident.incident_id},
            "commonLabels": common,
            "commonAnnotations": annotations | {"summary": incident.title, "timeline": _timeline(incident)},
            "externalURL": external_url,
            "notification_reason": reason,
            "alerts": alerts,
        }
    )


def pushed_alerts(incident: IncidentEvent, *, now_ms: int, ends_ms: int, external_url: str) -> list[dict[str, Any]]:
    """One alert per incident for an Alertmanager's `/api/v2/alerts`: its end is renewed while the incident lives."""
    ended = incident.state in ENDED
    labels = {
        "alertname": incident.alerts[0].alertname if incident.alerts else "HallkeeperIncident",
        GROUP_LABEL: incident.incident_id,
        "asset": incident.root,
        "severity": incident.severity,
        "page": "true" if incident.pages else "false",
    }
    end_ms = max(min(incident.ended_at_ms or now_ms, now_ms), incident.opened_at_ms + 1) if ended else ends_ms
    return [
        {
            "labels": labels,
            "annotations": {"summary": incident.title, "description": _timeline(incident)},
            "startsAt": rfc3339(incident.opened_at_ms),
            "endsAt": rfc3339(end_ms),
            "generatorURL": f"{external_url}/api/v1/incidents/{incident.incident_id}",
        }
    ]


def common_pairs(maps: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The pairs that all of them hold."""
    if not maps:
        return {}
    return {key: value for key, value in maps[0].items() if all(other.get(key) == value for other in maps[1:])}


def _alert(alert: IncidentAlert, incident: IncidentEvent, external_url: str) -> dict[str, Any]:
    ended = alert.state in (AlertState.RESOLVED, AlertState.UNKNOWN) or incident.state in ENDED
    return {
        "status": "resolved" if ended else "firing",
        "labels": alert.labels
        | {
            "alertname": alert.alertname,
            GROUP_LABEL: incident.incident_id,
            "page": "true" if incident.pages else "false",
        },
        "annotations": alert.annotations,
        "startsAt": rfc3339(alert.since_ms),
        "endsAt": rfc3339(incident.ended_at_ms or incident.updated_at_ms) if ended else NEVER,
        "generatorURL": f"{external_url}/api/v1/incidents/{incident.incident_id}",
        "fingerprint": alert.alert_id[:16],
    }


def _timeline(incident: IncidentEvent) -> str:
    return "\n".join(f"{rfc3339(moment.at_ms)} {moment.kind}: {moment.text}" for moment in _last(incident.timeline, 20))


def _last(moments: Iterable[Any], count: int) -> list[Any]:
    return list(moments)[-count:]
