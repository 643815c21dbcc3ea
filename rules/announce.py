"""Transitions as alert events, and alert events as records of the bus."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from bus.events import AlertEvent, decode_event, encode_event
from bus.identity import derived_id
from bus.port import Message, Record
from bus.topics import ALERTS
from fleet.errors import HallkeeperError
from rules.alerts.alert import Alert
from rules.engine import AlertTransition, Engine


@dataclass(frozen=True, slots=True, eq=False)
class Telling:
    """An event on its way to the bus; `words` are its annotations where they are still to be written."""

    event: AlertEvent
    words: Mapping[str, str] | None = None

    def whole(self) -> AlertEvent:
        """The event as it is said."""
        return self.event if self.words is None else replace(self.event, annotations=dict(self.words))


def telling_of(transition: AlertTransition) -> Telling:
    """What is to be said of a transition, without its annotations: most of a storm's cost is their templates."""
    return Telling(_event(transition, {}), transition.annotations)


def event_of(transition: AlertTransition) -> AlertEvent:
    """The event of a transition; its trace follows the alert's whole life."""
    return _event(transition, dict(transition.annotations))


def _event(transition: AlertTransition, annotations: dict[str, str]) -> AlertEvent:
    return AlertEvent(
        alert_id=transition.alert_id,
        rule=transition.rule,
        alertname=transition.alertname,
        state=transition.state,
        severity=transition.severity,
        labels=dict(transition.labels),
        annotations=annotations,
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


def alert_events(records: Iterable[Record]) -> list[AlertEvent]:
    """What records of the alerts' topic say; one that cannot be read is left out: whoever acts on alerts parks it."""
    found = []
    for record in records:
        try:
            event = decode_event(record.value or b"")
        except HallkeeperError:
            continue
        if isinstance(event, AlertEvent):
            found.append(event)
    return found


class EngineAlerts:
    """An engine's open alerts, as succession asks for them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, identity: str) -> Alert | None:
        """The alert of that id, where it is open here."""
        found = self._engine.open.get(identity)
        return None if found is None else found[1]

    def align(self, identity: str, active_since_ms: int) -> None:
        """It has been active since then."""
        self._engine.align(identity, active_since_ms)

    def take_over(self, told: AlertEvent, at_ms: int) -> None:
        """Go on with an alert of which only the bus knows."""
        self._engine.take_over(told, at_ms)

    def forget(self, identity: str) -> None:
        """It is over, and that was said."""
        self._engine.forget(identity)

    def current(self, at_ms: int) -> Iterable[AlertEvent]:
        """What would have to be said of each alert that is open here."""
        return [event_of(transition) for transition in self._engine.current(at_ms)]

    def knows(self, rule: str) -> bool:
        """Whether there is a rule of that uid."""
        return self._engine.knows(rule)
