"""Transitions as alert events on the bus, in order, until they are accepted; and the ends that a restart swallowed."""

from collections.abc import Iterable, Mapping
from typing import Final

from bus.events import AlertEvent, AlertState, decode_event, encode_event
from bus.identity import alert_id, derived_id, fingerprint
from bus.port import Message, Record
from bus.topics import ALERTS
from fleet.errors import HallkeeperError
from rules.engine import AlertTransition, Engine

_OPEN: Final = frozenset({AlertState.PENDING, AlertState.FIRING})


def event_of(transition: AlertTransition) -> AlertEvent:
    """The event of a transition; its trace follows the alert's whole life."""
    return AlertEvent(
        alert_id=transition.alert_id,
        rule=transition.rule,
        alertname=transition.alertname,
        state=transition.state,
        severity=transition.severity,
        labels=dict(transition.labels),
        annotations=dict(transition.annotations),
        value=transition.value,
        active_since_ms=transition.active_since_ms,
        evaluated_at_ms=transition.evaluated_at_ms,
        fingerprint=transition.fingerprint,
        group_interval_seconds=transition.group_interval_seconds,
        trace=derived_id(transition.alert_id, transition.active_since_ms),
    )


def message_of(event: AlertEvent) -> Message:
    """The event as a record of the alerts' topic."""
    return Message(ALERTS, event.key(), encode_event(event))


def open_alerts(latest: Mapping[str, Record]) -> list[AlertEvent]:
    """Alerts that the bus still holds as pending or firing."""
    found = []
    for record in latest.values():
        try:
            event = decode_event(record.value or b"")
        except HallkeeperError:
            continue  # not ours to judge: whoever reads the topic parks it
        if isinstance(event, AlertEvent) and event.state in _OPEN:
            found.append(event)
    return found


def orphans(open_events: Iterable[AlertEvent], engine: Engine, at_ms: int) -> list[AlertEvent]:
    """Ends of alerts that the bus holds as open and the engine does not know: how they ended was not seen."""
    active = {alert_id(uid, fingerprint(alert.labels)) for uid, alert in engine.alerts()}
    ends = []
    for event in open_events:
        if event.alert_id in active:
            continue
        fields = {name: getattr(event, name) for name in AlertEvent.__struct_fields__}
        ends.append(AlertEvent(**{**fields, "state": AlertState.UNKNOWN, "evaluated_at_ms": at_ms}))
    return ends
