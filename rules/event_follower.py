"""Device events off the bus into counters: kept, published, and only then committed."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from bus.errors import BusError
from bus.events import DeviceEvent, decode_event
from bus.frames import FrameWriter
from bus.port import Bus, Consumer, Publisher, Record
from bus.topics import EVENTS
from fleet.clock import Clock
from fleet.errors import HallkeeperError
from rules.events import EventCounters
from rules.meters import Tally

GROUP: Final = "rules"
MEMBER: Final = "rules-events"
"""The one member of the group, whoever it is now: Kafka hands a static member's partitions to its successor at once."""
FETCH_LIMIT: Final = 1_000
COUNTERS_SECONDS: Final = 15.0
"""How often counters are published although nothing happened."""
LATE_MS: Final = 60_000
RETRY_SECONDS: Final = 1.0

log = structlog.get_logger("rules.events")


class EventFollower:
    """Counts what devices tell."""

    def __init__(
        self,
        counters: EventCounters,
        writer: FrameWriter,
        clock: Clock,
        tally: Tally,
        *,
        append: Callable[[bytes], None],
        keep: Callable[[bytes], Awaitable[None]],
    ) -> None:
        """`append` puts a frame into the window, `keep` makes a state survive."""
        self.counters = counters
        self._writer, self._clock, self._tally = writer, clock, tally
        self._append, self._keep = append, keep

    @staticmethod
    async def consumer(bus: Bus) -> Consumer:
        """The device events, from where the last one who counted has got to; who asks takes them over at once."""
        return await bus.consumer(group=GROUP, topics=[EVENTS], member=MEMBER)

    async def run(self, events: Consumer, publisher: Publisher) -> None:
        """Follow until cancelled."""
        told_ms = self._ticks()
        while True:
            try:
                records = await events.fetch(limit=FETCH_LIMIT, timeout_seconds=COUNTERS_SECONDS)
                counted = self._count(records)
                if counted or self._ticks() - told_ms >= COUNTERS_SECONDS * 1000:
                    await self._tell(publisher, keep=counted)
                    told_ms = self._ticks()
                await events.commit()
            except BusError as error:
                log.error("device events wait for the bus", why=str(error))
                await self._clock.sleep(RETRY_SECONDS)

    def _ticks(self) -> int:
        return self._clock.boottime_ns() // 1_000_000

    def _count(self, records: Sequence[Record]) -> bool:
        """Whether one of the records was an event that was not counted before."""
        now, counted = self._clock.now_ms(), False
        for record in records:
            try:
                event = decode_event(record.value or b"")
            except HallkeeperError as error:
                self._tally.refused_events += 1
                log.warning("an event was refused", key=record.key, why=str(error))
                continue
            if isinstance(event, DeviceEvent) and self.counters.count(event, now):
                counted = True
                self._tally.events += 1
                self._tally.late_events += now - event.at_ms > LATE_MS
        return counted

    async def _tell(self, publisher: Publisher, *, keep: bool) -> None:
        """Into the window at once, onto the bus for everybody else."""
        if keep:
            await self._keep(self.counters.state())
        messages = self.counters.frames(self._clock.now_ms(), self._writer)
        for message in messages:
            self._append(message.value)
        if messages:
            await publisher.publish(messages)
