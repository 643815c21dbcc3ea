"""What the console knows: the latest of each incident, alert and remediation, and who listens for changes."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from bus.events import AlertEvent, AnyEvent, IncidentEvent, RemediationEvent

KEPT = 2_000
"""Incidents, alerts and remediations kept in memory, newest first; older ones are on the bus."""
LISTENER_QUEUE = 256
"""A listener that is so many changes behind is let go: its browser reconnects and reads everything anew."""


class Listener:
    """One reader of the live stream."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[AnyEvent | None] = asyncio.Queue(LISTENER_QUEUE)
        self.lost = False

    def offer(self, event: AnyEvent) -> None:
        """Hand on a change, or mark the listener lost."""
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self.lost = True

    def close(self) -> None:
        """End the stream."""
        self.lost = True
        if not self._queue.full():
            self._queue.put_nowait(None)

    async def changes(self) -> AsyncIterator[AnyEvent]:
        """Changes as they come, until the listener is lost or closed."""
        while not self.lost:
            event = await self._queue.get()
            if event is None:
                return
            yield event


class LiveState:
    """A fold of the bus: the last event of each key."""

    def __init__(self) -> None:
        self.incidents: OrderedDict[str, IncidentEvent] = OrderedDict()
        self.alerts: OrderedDict[str, AlertEvent] = OrderedDict()
        self.remediations: OrderedDict[str, RemediationEvent] = OrderedDict()
        self._listeners: set[Listener] = set()

    def take(self, event: AnyEvent) -> None:
        """Fold one event; an older one than is known changes nothing."""
        match event:
            case IncidentEvent():
                changed = _newer(self.incidents, event.incident_id, event, event.updated_at_ms)
            case AlertEvent():
                changed = _newer(self.alerts, event.alert_id, event, event.evaluated_at_ms)
            case RemediationEvent():
                changed = _newer(self.remediations, event.remediation_id, event, event.at_ms)
            case _:
                changed = False
        if changed:
            for listener in self._listeners:
                listener.offer(event)

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """A listener for as long as the block runs."""
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """End every stream."""
        for listener in tuple(self._listeners):
            listener.close()


def _newer(kept: OrderedDict[str, Any], key: str, event: AnyEvent, at_ms: int) -> bool:
    known = kept.get(key)
    if known is not None and known.time_ms() > at_ms:
        return False
    kept[key] = event
    kept.move_to_end(key)
    if len(kept) > KEPT:
        kept.popitem(last=False)
    return True


def plain(event: AnyEvent) -> dict[str, Any]:
    """An event's fields as JSON shows them, without what only the bus needs."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    return {key: value for key, value in fields.items() if key not in {"unknown", "envelope"}}
