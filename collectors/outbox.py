"""What has been read and not yet been published: frames of many targets in one publication, events never dropped.

Publishing takes whatever has come up since the last time, so that a group of targets polled together costs one commit.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import structlog

from bus.errors import BusError
from bus.port import Message, Publisher
from fleet.clock import Clock

log = structlog.get_logger("collectors.outbox")

FRAMES_BOUND = 20_000
"""Messages with frames that wait at most: telemetry drops its oldest, and counts it (default to tune)."""
EVENTS_BOUND = 10_000
"""Events that wait at most: beyond it polling waits, because an event is never dropped."""
LINGER_SECONDS = 0.02
"""How long the first message waits for its neighbours: the answers of one group arrive within it."""
RETRY_SECONDS = 1.0
"""Pause after the bus accepted nothing."""


class Outbox:
    """The one way from pollers to the bus."""

    def __init__(self, clock: Clock, *, dropped: Callable[[int], None], frames_bound: int = FRAMES_BOUND) -> None:
        """`dropped` is told how many messages with frames were given up."""
        self._clock = clock
        self._dropped = dropped
        self._bound = frames_bound
        self._frames: deque[Message] = deque()
        self._events: deque[Message] = deque()
        self._something = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.published = 0
        """Messages that the bus accepted."""
        self.failing = False
        """The last publication was not accepted."""

    def put(self, messages: Iterable[Message]) -> None:
        """Add frames; beyond the bound the oldest go."""
        self._frames.extend(messages)
        excess = len(self._frames) - self._bound
        if excess > 0:
            for _ in range(excess):
                self._frames.popleft()
            self._dropped(excess)
        self._something.set()

    async def put_events(self, messages: Sequence[Message]) -> None:
        """Add events; waits while too many are not published yet."""
        await self._room.wait()
        self._events.extend(messages)
        if len(self._events) >= EVENTS_BOUND:
            self._room.clear()
        self._something.set()

    async def run(self, publisher: Publisher) -> None:
        """Publish until cancelled; what waits then is published once more."""
        try:
            while True:
                await self._something.wait()
                await self._clock.sleep(LINGER_SECONDS)
                self._something.clear()
                await self._publish(publisher)
        finally:
            if self._frames or self._events:
                await self._publish(publisher)

    async def _publish(self, publisher: Publisher) -> None:
        """One publication: events first, in their order."""
        events, frames = tuple(self._events), tuple(self._frames)
        self._frames.clear()
        try:
            await self._accepted(publisher, (*events, *frames))
        except BusError as error:
            self._refused(frames, error)
            await self._clock.sleep(RETRY_SECONDS)
            return
        except asyncio.CancelledError:
            self._frames.extendleft(reversed(frames))  # perhaps accepted: readers drop what they have seen
            raise
        for _ in events:
            self._events.popleft()
        if len(self._events) < EVENTS_BOUND:
            self._room.set()
        if self.failing:
            log.info("the bus accepts again")
            self.failing = False

    async def _accepted(self, publisher: Publisher, messages: Sequence[Message]) -> None:
        """Publish; a message that no bus would take is left out, so that it does not hold up the others."""
        try:
            await publisher.publish(messages)
            self.published += len(messages)
        except ValueError as error:
            if len(messages) == 1:
                log.error("a message cannot be published", key=messages[0].key, error=str(error))
                self._dropped(1)
                return
            for message in messages:
                await self._accepted(publisher, (message,))

    def _refused(self, frames: Sequence[Message], error: BusError) -> None:
        """Nothing was accepted: frames go back in front of the newer ones, as far as there is room."""
        if not self.failing:
            log.warning("the bus accepts nothing", error=str(error))
            self.failing = True
        room = max(self._bound - len(self._frames), 0)
        kept = frames[max(len(frames) - room, 0) :]
        if len(kept) < len(frames):
            self._dropped(len(frames) - len(kept))
        self._frames.extendleft(reversed(kept))
        self._something.set()
