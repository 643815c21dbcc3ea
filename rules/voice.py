"""What an engine says: alert events and recorded frames on their way to the bus, critical alerts before all others."""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from bus.errors import BusError
from bus.events import AlertEvent
from bus.port import Message, Publisher
from fleet.clock import Clock
from rules.announce import message_of
from rules.meters import Tally

CRITICAL: Final = "critical"
BATCH: Final = 1_000
"""Records in one publication: on the embedded bus one synced transaction of about 10 ms."""
RECORDED_LIMIT: Final = 10_000
"""Recorded frames that wait for the bus; the oldest go first."""
RETRY_SECONDS: Final = 1.0

log = structlog.get_logger("rules.voice")


class Voice:
    """Publishes in order, an alert's events one after the other; judging never waits for it."""

    def __init__(
        self, clock: Clock, tally: Tally, told: Callable[[AlertEvent], None], *, may: Callable[[], bool]
    ) -> None:
        """`told` hears of every event that the bus has taken; `may` is asked before each batch."""
        self._clock, self._tally, self._told, self._may = clock, tally, told, may
        self._critical: deque[AlertEvent] = deque()
        self._others: deque[AlertEvent] = deque()
        self._recorded: deque[Message] = deque(maxlen=RECORDED_LIMIT)
        self._something = asyncio.Event()
        self.failing: str | None = None

    @property
    def waiting(self) -> int:
        """Alert events that the bus has not accepted yet."""
        return len(self._critical) + len(self._others)

    def say(self, events: Sequence[AlertEvent]) -> None:
        """Alert events; never dropped while this engine leads."""
        for event in events:
            (self._critical if event.severity == CRITICAL else self._others).append(event)
        self._wake()

    def record(self, frames: Sequence[Message]) -> None:
        """Frames that rules recorded."""
        self._tally.dropped_recorded += max(0, len(self._recorded) + len(frames) - RECORDED_LIMIT)
        self._recorded.extend(frames)
        self._wake()

    def fall_silent(self) -> None:
        """Another leads now: what was not said is the other's to say."""
        self._critical.clear()
        self._others.clear()
        self._recorded.clear()
        self._tally.waiting = 0

    def _wake(self) -> None:
        self._tally.waiting = self.waiting
        if self._critical or self._others or self._recorded:
            self._something.set()

    async def run(self, publisher: Publisher) -> None:
        """Publish whatever there is, as soon as it is there."""
        while True:
            await self._something.wait()
            self._something.clear()
            while not await self.publish(publisher):
                await self._clock.sleep(RETRY_SECONDS)

    async def publish(self, publisher: Publisher) -> bool:
        """Critical alerts first, also before the next batch of others; then what was recorded.

        False when the bus did not take all.
        """
        while (self._critical or self._others or self._recorded) and self._may():
            try:
                await self._batch(publisher)
            except BusError as error:
                self.failing = f"the bus accepts nothing: {error}"
                log.error("alerts wait", waiting=self.waiting, why=str(error))
                return False
            self._tally.waiting = self.waiting
        self.failing = None
        return True

    async def _batch(self, publisher: Publisher) -> None:
        queue = self._critical or self._others
        if not queue:
            await self._frames(publisher)
            return
        batch = list(itertools.islice(queue, BATCH))
        await publisher.publish([message_of(event) for event in batch])
        for event in batch:
            self._told(event)
            if queue and queue[0] is event:  # it may have fallen silent meanwhile
                queue.popleft()

    async def _frames(self, publisher: Publisher) -> None:
        batch = list(itertools.islice(self._recorded, BATCH))
        await publisher.publish(batch)
        for message in batch:
            if self._recorded and self._recorded[0] is message:  # a full queue may have dropped it meanwhile
                self._recorded.popleft()
