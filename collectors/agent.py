"""Polls a node's agent: heartbeat, readings, and every GPU error once, in order, from where it left off."""

from collections.abc import Mapping
from typing import Literal

from bus.events import DeviceEvent
from collectors.poller import Poll
from devices.profiles import PROFILES
from devices.profiles.agent import severity
from devices.reading import Reading
from devices.wire.agent import AgentReader
from devices.wire.agent_protocol import Event, Events, Heartbeat, Readings, series_of
from devices.wire.series import Layout
from fleet.clock import Clock
from fleet.errors import Malformed, Refused, Unreachable
from fleet.model import Endpoint
from fleet.settings import Settings

PAGES_LIMIT = 10
"""Pages of events taken in one poll; what is left comes with the next."""


class AgentPoller:
    """One node's agent."""

    def __init__(self, endpoint: Endpoint, secret: Mapping[str, object], clock: Clock) -> None:
        """Raises `Refused` when address, token or authority cannot be used."""
        self.signals: Mapping[str, float] = PROFILES[endpoint.profile].intervals()
        self._endpoint = endpoint
        self._clock = clock
        self._reader = AgentReader(endpoint, secret)
        self._layout = Layout()
        self._boot_id: str | None = None
        self._cursor = 0
        self._half_silent = False

    async def poll(self, due: frozenset[str]) -> Poll:
        """Raises `Unreachable`, `Refused` or `Malformed` when the heartbeat fails; the rest alone is told as an event.

        The heartbeat needs neither disk nor GPU on the node: it proves life while readings hang with either.
        """
        asked_ms = self._clock.now_ms()
        heartbeat = await self._reader.heartbeat()
        answered_ms = self._clock.now_ms()
        readings, events = await self._rest()
        boot = self._boot(heartbeat, answered_ms)
        offset_seconds = (heartbeat.at - (asked_ms + answered_ms) / 2) / 1000
        values = self._layout.values(series_of(heartbeat, readings, offset_seconds=offset_seconds))
        reading = Reading(series=self._layout.series, values=values, at_ms=answered_ms, signal=min(due))
        return Poll(readings=(reading,), events=(*boot, *events))

    async def _rest(self) -> tuple[Readings | None, list[DeviceEvent]]:
        """Readings and new events; when they fail though the heart beats, one event when it begins."""
        try:
            readings = await self._reader.readings()
            events, self._cursor = await self._new_events()
        except (Unreachable, Malformed) as error:
            lost = [] if self._half_silent else [self._told("agent", "readings_lost", "warning", str(error)[:500])]
            self._half_silent = True
            return None, lost
        self._half_silent = False
        return readings, events

    async def close(self) -> None:
        await self._reader.close()

    async def _new_events(self) -> tuple[list[DeviceEvent], int]:
        """Events after the cursor and the cursor after them; a gap and a buffer that started anew are events too."""
        found: list[DeviceEvent] = []
        cursor = self._cursor
        for _ in range(PAGES_LIMIT):
            page = await self._reader.events(cursor)
            if page.cursor < cursor:  # the agent's memory is younger than ours: all it holds is new
                cursor = max(page.oldest - 1, 0)
                continue
            if cursor and page.oldest > cursor + 1:
                found.append(self._gap(page, cursor))
            found += [self._event(event, page.boot_id) for event in page.events]
            if page.cursor == cursor:
                break
            cursor = page.cursor
        return found, cursor

    def _event(self, event: Event, boot_id: str) -> DeviceEvent:
        labels = {"boot_id": boot_id} | ({} if event.gpu is None else {"gpu": str(event.gpu)})
        return self._told(
            event.kind, event.code, severity(event.kind, event.code), event.text, at_ms=event.at, labels=labels
        )

    def _gap(self, page: Events, cursor: int) -> DeviceEvent:
        text = f"events {cursor + 1} to {page.oldest - 1} were overwritten before they were read"
        return self._told("agent", "events_lost", "warning", text)

    def _boot(self, heartbeat: Heartbeat, now_ms: int) -> tuple[DeviceEvent, ...]:
        before, self._boot_id = self._boot_id, heartbeat.boot_id
        if before in {None, heartbeat.boot_id}:
            return ()
        text = f"the node started again, {heartbeat.uptime_seconds:.0f} s ago"
        labels = {"boot_id": heartbeat.boot_id}
        return (self._told("boot", "boot", "info", text, at_ms=now_ms, labels=labels),)

    def _told(
        self,
        kind: str,
        code: str,
        grade: Literal["info", "warning", "critical"],
        text: str,
        *,
        at_ms: int | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> DeviceEvent:
        return DeviceEvent(
            asset=self._endpoint.asset,
            source=self._endpoint.source,
            kind=kind,
            code=code,
            severity=grade,
            text=text,
            at_ms=self._clock.now_ms() if at_ms is None else at_ms,
            labels=dict(labels or {}),
        )


def open_poller(
    endpoint: Endpoint, secret: Mapping[str, object] | None, settings: Settings, clock: Clock
) -> AgentPoller:
    """The poller of a node's agent. Raises `Refused` without credentials."""
    del settings
    if secret is None:
        raise Refused(f"{endpoint.source}: an agent is not read without a token, try `credentials` in site.yaml")
    return AgentPoller(endpoint, secret, clock)
