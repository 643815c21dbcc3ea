"""The collectors: one scheduler for every target, groups instead of timers, and one way to the bus.

A target is polled by itself, never twice at once, within a deadline that the scheduler keeps. Targets that failed wait in
a queue of their own, so that a rack without power never takes the turns of its neighbours.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping

import structlog
from prometheus_client import CollectorRegistry

from bus.events import encode_event
from bus.frames import FrameWriter
from bus.port import Bus, Message
from bus.topics import EVENTS
from collectors.incidents import OpenIncidents, follow
from collectors.inventory import messages_of, sheets_of
from collectors.meters import Meters, Outcome
from collectors.outbox import Outbox
from collectors.pace import BACKOFF_SECONDS
from collectors.poller import Poll, PollerFactory, factory_of
from collectors.target import Target
from collectors.targets import Refusal, targets_of, zones_of
from collectors.wheel import Wheel
from fleet.clock import Clock
from fleet.errors import Malformed, Refused, Unreachable
from fleet.model import Site, Wire
from fleet.settings import Settings

log = structlog.get_logger("collectors")

AT_ONCE: Mapping[Wire, int] = {
    Wire.SNMP: 128,
    Wire.PROMETHEUS: 128,
    Wire.IPMI: 128,
    Wire.AGENT: 128,
    Wire.MODBUS: 32,
    Wire.KUBERNETES: 4,
}
"""Polls of one family of devices that run at once (defaults to tune)."""
DOUBTED_AT_ONCE = 32
"""Polls of targets whose last poll failed that run at once, beside the others (default to tune)."""
DEADLINE_SECONDS: Mapping[Wire, float] = {
    Wire.SNMP: 5.0,
    Wire.PROMETHEUS: 6.0,
    Wire.IPMI: 10.0,
    Wire.AGENT: 6.0,
    Wire.MODBUS: 6.0,
    Wire.KUBERNETES: 15.0,
}
"""What the scheduler allows one poll at most; pollers keep shorter deadlines of their own (defaults to tune)."""


class CollectorService:
    """Polls every endpoint of the site's zones and publishes what they answer."""

    def __init__(
        self,
        site: Site,
        bus: Bus,
        clock: Clock,
        settings: Settings,
        registry: CollectorRegistry,
        *,
        factory: Callable[[Wire], PollerFactory] = factory_of,
        boot: int | None = None,
    ) -> None:
        """`factory` gives the poller of a wire; `boot` is drawn where it is not given."""
        self._site, self._bus, self._clock, self._settings = site, bus, clock, settings
        self._meters = Meters(registry)
        self._factory = factory
        self._writer = FrameWriter(secrets.randbits(64) if boot is None else boot)
        self._outbox = Outbox(clock, dropped=self._meters.drop)
        self._wheel: Wheel[Target] = Wheel(self._now_ms())
        self._targets: list[Target] = []
        self._refused: list[Refusal] = []
        self._running: dict[Target, tuple[asyncio.Task[None], int]] = {}
        self._incidents = OpenIncidents(site)
        self._turns = {wire: asyncio.Semaphore(count) for wire, count in AT_ONCE.items()}
        self._doubted = asyncio.Semaphore(DOUBTED_AT_ONCE)
        self.progress = 0

    async def run(self) -> None:
        """Poll until cancelled; what was read is published before it returns."""
        publisher = await self._bus.publisher()
        self._prepare()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._outbox.run(publisher))
                group.create_task(follow(self._bus, self._incidents, self._hurry, self._clock))
                group.create_task(self._tell_inventory())
                await self._schedule(group)
        finally:
            for target in self._targets:
                await target.poller.close()

    def not_ready(self) -> str | None:
        """Ready once something was published."""
        if self._outbox.failing:
            return "the bus accepts nothing"
        if not self._outbox.published:
            return "nothing has been read and published yet"
        return None

    def _prepare(self) -> None:
        """Make the targets; those that cannot be asked are named once."""
        for found in targets_of(self._site, self._settings, self._clock, self._factory):
            if isinstance(found, Refusal):
                self._refused.append(found)
                log.error("a target cannot be asked", source=found.endpoint.source, reason=found.reason)
            else:
                self._targets.append(found)
                self._queue(found)
        self._count_states()

    def _count_states(self) -> None:
        for target in self._targets:
            self._meters.of(target.endpoint.job).targets.append(target)
        for refused in self._refused:
            self._meters.of(refused.endpoint.job).refused += 1

    async def _schedule(self, group: asyncio.TaskGroup) -> None:
        """Start group after group, and end what runs beyond its deadline."""
        while True:
            await self._clock.sleep(self._wheel.seconds_to_next(self._now_ms()))
            now_ms = self._now_ms()
            due = self._wheel.take(now_ms)
            for target in due:
                self._start(target, group, now_ms)
            self._end_overdue(now_ms)
            if not due and not self._running:
                self.progress += 1  # nothing to do is no standstill

    def _start(self, target: Target, group: asyncio.TaskGroup, now_ms: int) -> None:
        signals = target.pace.due(now_ms)
        if target.polling or target.wakes_ms > now_ms:
            return  # it comes back when its poll is over, or it was queued anew for later
        if not signals:
            self._queue(target)
            return
        target.polling = True
        group.create_task(self._turn(target, signals))

    async def _turn(self, target: Target, signals: frozenset[str]) -> None:
        """Wait for a place among the polls that run, poll, publish, and take the next turn."""
        places = self._doubted if target.failures else self._turns[target.endpoint.wire]
        async with places:
            started_ms = self._now_ms()
            task = asyncio.current_task()
            assert task is not None
            self._running[target] = (task, started_ms)
            target.pace.started(signals, started_ms)
            try:
                await self._poll(target, signals, started_ms)
            finally:
                self._running.pop(target, None)
                target.polling = False
        self.progress += 1
        self._next_turn(target)

    def _next_turn(self, target: Target) -> None:
        watched = target.asset.id in self._incidents.watched
        longest = self._settings.intervals.incident if watched else BACKOFF_SECONDS
        now_ms = self._now_ms()
        target.pace.finished(now_ms, longest_seconds=longest)
        if target.pace.next_ms <= now_ms - target.pace.shortest_ms:
            self._meters.of(target.endpoint.job).skipped += 1
            target.pace.started(target.pace.due(now_ms), now_ms)
        self._queue(target)

    def _queue(self, target: Target) -> None:
        target.wakes_ms = target.pace.next_ms
        self._wheel.put(target, target.wakes_ms)

    async def _poll(self, target: Target, signals: frozenset[str], started_ms: int) -> None:
        """One poll, whatever comes of it: nothing of one target reaches another."""
        outcome, points = Outcome.ANSWERED, 0
        try:
            poll = await target.poller.poll(signals)
            points = await self._answered(target, poll, signals)
        except (Unreachable, asyncio.CancelledError) as error:
            self._not_ours_to_end(target, error)
            outcome = Outcome.UNREACHABLE
            self._failed(target, str(error) or "no answer within its deadline")
        except Refused as error:
            outcome = Outcome.REFUSED
            self._failed(target, str(error))
        except Malformed as error:
            outcome = Outcome.MALFORMED
            self._failed(target, str(error))
        except Exception as error:
            outcome = Outcome.FAILED
            log.exception("a poll failed in a way of our own", source=target.source)
            self._failed(target, repr(error))
        seconds = (self._now_ms() - started_ms) / 1000
        self._meters.of(target.endpoint.job).polled(outcome, seconds, points)

    def _not_ours_to_end(self, target: Target, error: BaseException) -> None:
        """A cancellation that the scheduler did not send for a deadline ends the service, not the poll."""
        if isinstance(error, asyncio.CancelledError):
            task, started_ms = self._running[target]
            if started_ms >= 0 or task.uncancel():
                raise error

    def _end_overdue(self, now_ms: int) -> None:
        for target, (task, started_ms) in self._running.items():
            if 0 <= started_ms < now_ms - DEADLINE_SECONDS[target.endpoint.wire] * 1000:
                self._running[target] = (task, -1)
                task.cancel()

    async def _answered(self, target: Target, poll: Poll, signals: frozenset[str]) -> int:
        now_ms = self._clock.now_ms()
        was_gone = target.gone
        self._outbox.put(target.answered(poll.readings, signals, self._writer, now_ms))
        target.pace.answered()
        if was_gone:
            log.info("a target returned", source=target.source, address=target.endpoint.address)
        if poll.events:
            await self._outbox.put_events([Message(EVENTS, event.key(), encode_event(event)) for event in poll.events])
        return sum(len(reading.series) for reading in poll.readings)

    def _failed(self, target: Target, reason: str) -> None:
        was_gone = target.gone
        self._outbox.put(target.failed(self._writer, self._clock.now_ms()))
        target.pace.failed()
        if target.gone and not was_gone:
            log.warning("a target is gone", source=target.source, address=target.endpoint.address, reason=reason)

    def _hurry(self) -> None:
        """Open incidents changed: read what is close to them more often, the others as usual."""
        now_ms = self._now_ms()
        for target in self._targets:
            watched = target.asset.id in self._incidents.watched
            target.pace.hurry(self._settings.intervals.incident if watched else None, now_ms)
            if watched and not target.polling:
                self._queue(target)

    async def _tell_inventory(self) -> None:
        sheets = sheets_of(self._site, zones_of(self._site, self._settings), self._settings.thresholds)
        while True:
            self._outbox.put(messages_of(sheets, self._writer, self._clock.now_ms()))
            self.progress += 1
            await self._clock.sleep(self._settings.intervals.inventory)

    def _now_ms(self) -> int:
        return self._clock.boottime_ns() // 1_000_000
