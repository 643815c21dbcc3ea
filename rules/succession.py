"""What the bus holds of alerts against what this engine found: how one engine goes on where another has ended. Pure.

A standby judges all the time and says nothing. It hears what the leader says and takes over the leader's beginnings, so that
`for` counts from the same moment in both. Who begins to lead says only the difference.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from bus.events import AlertEvent, AlertState
from rules.alerts.alert import Alert

OPEN = frozenset({AlertState.PENDING, AlertState.FIRING})


@dataclass(slots=True)
class Said:
    """The last that the bus holds of an alert that is open there."""

    event: AlertEvent
    ended: AlertState | None = None
    """How the alert ended in this engine, whose end nobody has said yet."""


class Alerts(Protocol):
    """The engine's open alerts."""

    def find(self, identity: str) -> Alert | None: ...

    def align(self, identity: str, active_since_ms: int) -> None: ...

    def take_over(self, told: AlertEvent, at_ms: int) -> None: ...

    def forget(self, identity: str) -> None: ...

    def current(self, at_ms: int) -> Iterable[AlertEvent]: ...

    def knows(self, rule: str) -> bool: ...


class Succession:
    """The bus's alerts and our own."""

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts
        self._said: dict[str, Said] = {}
        self._echoes: set[str] = set()
        """Ids of events that we have published and not heard yet."""

    def begin(self, newest: Iterable[AlertEvent], at_ms: int) -> None:
        """At a start, after states of before were read: the bus has the last word on what was said.

        `newest` is the last event of each alert. What it holds as open goes on here; what it holds as ended is over.
        """
        for event in newest:
            mine = self._alerts.find(event.alert_id)
            if event.state in OPEN:
                self._said[event.alert_id] = Said(event)
                self._alerts.take_over(event, at_ms)
            elif mine is not None and mine.active_since_ms == event.active_since_ms:
                self._alerts.forget(event.alert_id)

    def published(self, event: AlertEvent) -> None:
        """The bus has taken an event of ours."""
        self._echoes.add(event.event_id())
        self._note(event)

    def echoed(self, identity: str) -> None:
        """An event of ours has come back: nobody waits for it any more."""
        self._echoes.discard(identity)

    def heard(self, event: AlertEvent) -> None:
        """An event has come off the bus: an echo of ours, or another engine's."""
        identity = event.event_id()
        if identity in self._echoes:
            self._echoes.discard(identity)
            return
        self._note(event)
        if event.state in OPEN:
            self._alerts.align(event.alert_id, event.active_since_ms)

    def _note(self, event: AlertEvent) -> None:
        if event.state in OPEN:
            self._said[event.alert_id] = Said(event)
        else:
            self._said.pop(event.alert_id, None)

    def found(self, event: AlertEvent) -> None:
        """Our own engine has moved an alert while another speaks: it began, or went on, or ended."""
        said = self._said.get(event.alert_id)
        if said is None:
            return
        if event.state not in OPEN:
            said.ended = event.state
        elif said.ended is None:  # the leader was the first to see the same beginning
            self._alerts.align(event.alert_id, said.event.active_since_ms)

    def holds(self, event: AlertEvent) -> bool:
        """Whether the bus holds exactly this already."""
        said = self._said.get(event.alert_id)
        return said is not None and said.event.event_id() == event.event_id()

    def difference(self, at_ms: int) -> list[AlertEvent]:
        """What must be said so that the bus holds what this engine found: ends first, then beginnings."""
        ends, begins, seen = [], [], set()
        for event in self._alerts.current(at_ms):
            seen.add(event.alert_id)
            said = self._said.get(event.alert_id)
            if said is not None and said.event.active_since_ms == event.active_since_ms:
                if event.state is AlertState.FIRING and said.event.state is AlertState.PENDING:
                    begins.append(event)
                continue
            if said is not None:
                ends.append(_end(said.event, said.ended or AlertState.RESOLVED, at_ms))
            begins.append(event)
        for identity, said in self._said.items():
            if identity not in seen:
                known = self._alerts.knows(said.event.rule)
                how = said.ended or (AlertState.RESOLVED if known else AlertState.UNKNOWN)
                ends.append(_end(said.event, how, at_ms))
        return ends + begins


def _end(event: AlertEvent, state: AlertState, at_ms: int) -> AlertEvent:
    """The end of what an event began."""
    fields = {name: getattr(event, name) for name in AlertEvent.__struct_fields__}
    return AlertEvent(**{**fields, "state": state, "evaluated_at_ms": at_ms})
