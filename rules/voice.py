"""What an engine says: alert events and recorded frames on their way to the bus, critical alerts before all others.

Critical alerts have a lane of their own: they never wait for another batch to be written down or accepted. What is to be
written down at a time is bounded, so that judging goes on in between.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import structlog
import xxhash

from bus.errors import BusError
from bus.events import AlertEvent
from bus.port import Message, Publisher
from fleet.clock import Clock, within
from rules.announce import Telling, message_of
from rules.meters import Tally

CRITICAL: Final = "critical"
BATCH: Final = 250
"""Alert events in one publication: 10 to 20 ms of writing down, and one synced transaction of about 5 ms."""
FRAMES: Final = 1_000
"""Recorded frames in one publication."""
RECORDED_LIMIT: Final = 10_000
"""Recorded frames that wait for the bus; the oldest go first."""
RETRY_SECONDS: Final = 1.0
HURRY_SECONDS: Final = 0.05
"""So long judging stands back for a critical alert on its way to the bus."""

log = structlog.get_logger("rules.voice")


class Voice:
    """Publishes in order, an alert's events one after the other; judging waits for critical ones alone, and not for long."""

    def __init__(
        self, clock: Clock, tally: Tally, told: Callable[[AlertEvent], None], *, may: Callable[[], bool]
    ) -> None:
        """`told` hears of every event that the bus has taken; `may` is asked before each batch."""
        self._clock, self._tally, self._told, self._may = clock, tally, told, may
        self._critical: deque[Telling] = deque()
        self._others: deque[Telling] = deque()
        self._recorded: deque[Message] = deque(maxlen=RECORDED_LIMIT)
        self._something = (asyncio.Event(), asyncio.Event())
        """For critical alerts, and for all else."""
        self._calm = asyncio.Event()
        """No critical alert waits."""
        self._calm.set()
        self._echoes: dict[int, str] = {}
        """Digests of records of ours that we have not heard yet, with their events' ids."""
        self.failing: str | None = None

    @property
    def waiting(self) -> int:
        """Alert events that the bus has not accepted yet."""
        return len(self._critical) + len(self._others)

    def say(self, tellings: Iterable[Telling]) -> None:
        """Alert events; never dropped while this engine leads."""
        for telling in tellings:
            (self._critical if telling.event.severity == CRITICAL else self._others).append(telling)
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
        self._calm.set()
        self._tally.waiting = 0

    def echo(self, value: bytes | None) -> str | None:
        """The id of our own event that comes back as it was said; None for anybody else's."""
        return self._echoes.pop(xxhash.xxh3_64_intdigest(value), None) if value and self._echoes else None

    def _wake(self) -> None:
        self._tally.waiting = self.waiting
        if self._critical:
            self._calm.clear()
            self._something[0].set()
        if self._others or self._recorded:
            self._something[1].set()

    async def hurry(self) -> None:
        """Let critical alerts go first: return when the bus has them, or after a moment."""
        if self._critical:
            try:
                await within(self._clock, HURRY_SECONDS, self._calm.wait())
            except TimeoutError:
                return

    async def run(self, publisher: Publisher) -> None:
        """Publish whatever there is, as soon as it is there."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._lane(self._something[0], lambda: self._publish_critical(publisher)))
            group.create_task(self._lane(self._something[1], lambda: self._publish_others(publisher)))

    async def _lane(self, something: asyncio.Event, publish: Callable[[], Awaitable[bool]]) -> None:
        while True:
            await something.wait()
            something.clear()
            while not await publish():
                await self._clock.sleep(RETRY_SECONDS)

    async def publish(self, publisher: Publisher) -> bool:
        """All that waits, critical alerts first; False when the bus did not take all."""
        return await self._publish_critical(publisher) and await self._publish_others(publisher)

    async def _publish_critical(self, publisher: Publisher) -> bool:
        while self._critical and self._may():
            if not await self._tried(self._batch(publisher, self._critical)):
                return False
        self._calm.set()
        return True

    async def _publish_others(self, publisher: Publisher) -> bool:
        while (self._others or self._recorded) and self._may():
            batch = self._batch(publisher, self._others) if self._others else self._frames(publisher)
            if not await self._tried(batch):
                return False
        return True

    async def _tried(self, batch: Awaitable[None]) -> bool:
        try:
            await batch
        except BusError as error:
            self.failing = f"the bus accepts nothing: {error}"
            log.error("alerts wait", waiting=self.waiting, why=str(error))
            return False
        self.failing = None
        self._tally.waiting = self.waiting
        return True

    async def _batch(self, publisher: Publisher, queue: deque[Telling]) -> None:
        batch = list(itertools.islice(queue, BATCH))
        events = [telling.whole() for telling in batch]
        messages = [message_of(event) for event in events]
        digests = [xxhash.xxh3_64_intdigest(message.value) for message in messages]
        self._echoes.update(zip(digests, [event.event_id() for event in events], strict=True))
        try:
            await publisher.publish(messages)
        except BusError:
            for digest in digests:
                self._echoes.pop(digest, None)
            raise
        for telling, event in zip(batch, events, strict=True):
            self._told(event)
            if queue and queue[0] is telling:  # it may have fallen silent meanwhile
                queue.popleft()

    async def _frames(self, publisher: Publisher) -> None:
        batch = list(itertools.islice(self._recorded, FRAMES))
        await publisher.publish(batch)
        for message in batch:
            if self._recorded and self._recorded[0] is message:  # a full queue may have dropped it meanwhile
                self._recorded.popleft()
