"""The on-call service: reads incidents off the bus, queues what must be told, and sees it delivered."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from bus.errors import UnknownMajor
from bus.events import IncidentEvent, decode_event
from bus.port import Bus, Consumer, Record
from bus.topics import INCIDENTS
from fleet.clock import Clock
from fleet.errors import Malformed
from oncall.outbox import Notice, Outbox, Told
from oncall.payload import ENDED, pushed_alerts, reason_to_tell, webhook_body
from oncall.signature import signed_headers
from oncall.webhook import Answer, Delivery

PUSH_SECONDS = 30.0
"""How often a living incident is pushed again (Prometheus' clients page: every 30 s to 3 min)."""
END_AFTER_SECONDS = 4 * PUSH_SECONDS
"""endsAt lies four intervals ahead, as Prometheus does, so that one lost push resolves nothing."""
RESEND_RESOLVED_SECONDS = 900.0
"""A resolved incident is pushed for 15 minutes more (prometheus#1945)."""
KEEP_TAKEN_MS = 90 * 24 * 3600 * 1000

log = structlog.get_logger("oncall")


class Poster(Protocol):
    """Posts a body somewhere."""

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Delivery: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """One webhook: a name, where it goes, and the keys its deliveries are signed with."""

    name: str
    poster: Poster
    keys: tuple[bytes, ...] = ()


class OncallService:
    """Tells people: webhooks through a durable outbox, and alerts pushed to Alertmanagers."""

    def __init__(
        self,
        *,
        bus: Bus,
        clock: Clock,
        registry: CollectorRegistry,
        data: Path,
        receivers: tuple[Receiver, ...],
        alertmanagers: tuple[Receiver, ...],
        external_url: str,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._outbox = Outbox(data / "oncall.sqlite")
        self._receivers = receivers
        self._alertmanagers = alertmanagers
        self._external_url = external_url
        self._living: dict[str, IncidentEvent] = {}
        self._changed = asyncio.Event()
        self._waiting: str | None = "reading the incidents that were open before"
        self.progress = 0
        self._sent = Counter(
            "hallkeeper_notifications_total",
            "Notifications by receiver and what became of the try.",
            ["receiver", "answer"],
            registry=registry,
        )
        self._queued = Gauge(
            "hallkeeper_notifications_queued", "Notifications in the outbox by state.", ["state"], registry=registry
        )
        self._parked = Counter(
            "hallkeeper_oncall_parked_total",
            "Records of the incidents topic that this version cannot read.",
            registry=registry,
        )

    def not_ready(self) -> str | None:
        """None when incidents are being read."""
        return self._waiting

    async def run(self) -> None:
        """Run until cancelled; the outbox keeps what was not delivered."""
        consumer = await self._bus.consumer(group="oncall", topics=[INCIDENTS])
        try:
            await self._recall()
            self._waiting = None
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(consumer))
                group.create_task(self._deliver())
                if self._alertmanagers:
                    group.create_task(self._push())
        finally:
            for receiver in (*self._receivers, *self._alertmanagers):
                await receiver.poster.close()
            await consumer.close()
            self._outbox.close()

    async def _recall(self) -> None:
        """Learn which incidents live, from the compacted topic."""
        for record in (await self._bus.latest(INCIDENTS)).values():
            incident = self._decode(record)
            if incident is not None:
                self._living[incident.incident_id] = incident

    async def _read(self, consumer: Consumer) -> None:
        while True:
            records = await consumer.fetch(timeout_seconds=1.0)
            for record in records:
                incident = self._decode(record)
                if incident is not None:
                    self._tell(incident)
            if records:
                self._outbox.prune(self._clock.now_ms() - KEEP_TAKEN_MS)
                await consumer.commit()
                self._changed.set()
            self.progress += 1

    def _decode(self, record: Record) -> IncidentEvent | None:
        if record.value is None:
            return None
        try:
            event = decode_event(record.value)
        except (Malformed, UnknownMajor) as error:
            self._parked.inc()
            log.error("a record of the incidents topic cannot be read", offset=record.offset, why=str(error))
            return None
        return event if isinstance(event, IncidentEvent) else None

    def _tell(self, incident: IncidentEvent) -> None:
        """Queue what this transition tells; a redelivered or older one tells nothing."""
        self._living[incident.incident_id] = incident
        told = self._outbox.told(incident.incident_id)
        if told is not None and incident.updated_at_ms < told.at_ms:
            return
        reason = reason_to_tell(incident, told.state if told else None, paged=bool(told and told.paged))
        if reason is None:
            return
        paged = incident.pages or bool(told and told.paged)
        now = Told(state=incident.state, paged=paged, at_ms=incident.updated_at_ms)
        self._outbox.queue(
            incident.incident_id, now, [self._notice(incident, receiver, reason) for receiver in self._receivers]
        )

    def _notice(self, incident: IncidentEvent, receiver: Receiver, reason: str) -> Notice:
        return Notice(
            id=f"{receiver.name}.{incident.event_id()}.{reason}",
            receiver=receiver.name,
            subject=incident.incident_id,
            body=webhook_body(incident, receiver=receiver.name, external_url=self._external_url, reason=reason),
            created_ms=self._clock.now_ms(),
        )

    async def _deliver(self) -> None:
        while True:
            for receiver in self._receivers:
                for notice in self._outbox.due(receiver.name, self._clock.now_ms()):
                    await self._try(receiver, notice)
            for state, count in self._outbox.counts().items():
                self._queued.labels(state).set(count)
            self._changed.clear()
            try:
                async with asyncio.timeout(1.0):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _try(self, receiver: Receiver, notice: Notice) -> None:
        now_ms = self._clock.now_ms()
        headers = {"Content-Type": "application/json", "User-Agent": "Hallkeeper"}
        if receiver.keys:
            headers |= signed_headers(
                notice_id=notice.id, at_seconds=now_ms // 1000, body=notice.body, keys=receiver.keys
            )
        delivery = await receiver.poster.post(notice.body, headers)
        self._sent.labels(receiver.name, delivery.answer).inc()
        if delivery.answer is Answer.TAKEN:
            self._outbox.taken(notice)
            return
        given_up = self._outbox.failed(notice, now_ms, delivery.why, for_ever=delivery.answer is Answer.REFUSED)
        if given_up:
            log.error("undeliverable", receiver=receiver.name, incident=notice.subject, why=delivery.why)
        elif notice.attempts == 0:
            log.warning(
                "not delivered yet, will try again", receiver=receiver.name, incident=notice.subject, why=delivery.why
            )

    async def _push(self) -> None:
        """Keep every Alertmanager told of what lives, and for a while of what ended: at once on a change, else every 30 s."""
        pushed: dict[str, int] = {}
        rounds = 0
        while True:
            now_ms = self._clock.now_ms()
            self._living = {key: incident for key, incident in self._living.items() if _still_told(incident, now_ms)}
            seen = {key: incident.updated_at_ms for key, incident in self._living.items()}
            if self._living and (seen != pushed or rounds % int(PUSH_SECONDS) == 0):
                await self._push_once(
                    [alert for incident in self._living.values() for alert in self._pushed(incident, now_ms)]
                )
                pushed = seen
            rounds += 1
            await self._clock.sleep(1.0)

    async def _push_once(self, alerts: list[dict[str, object]]) -> None:
        body = msgspec.json.encode(alerts)
        for manager in self._alertmanagers:
            delivery = await manager.poster.post(body, {"Content-Type": "application/json"})
            self._sent.labels(manager.name, delivery.answer).inc()
            if delivery.answer is not Answer.TAKEN:
                log.warning(
                    "an Alertmanager did not take the push, the next one follows",
                    alertmanager=manager.name,
                    why=delivery.why,
                )

    def _pushed(self, incident: IncidentEvent, now_ms: int) -> list[dict[str, object]]:
        return pushed_alerts(
            incident, now_ms=now_ms, ends_ms=now_ms + int(END_AFTER_SECONDS * 1000), external_url=self._external_url
        )


def _still_told(incident: IncidentEvent, now_ms: int) -> bool:
    """Whether an Alertmanager should still hear of it."""
    return (
        incident.state not in ENDED
        or now_ms - (incident.ended_at_ms or incident.updated_at_ms) < RESEND_RESOLVED_SECONDS * 1000
    )
