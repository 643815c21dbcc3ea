"""Frames off the bus into the engine, and what that says of the bus: how far it lags, whether its silence is the site's."""

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from bus.errors import BusError
from bus.port import Consumer, Record
from fleet.clock import Clock, within
from rules.engine import Engine
from rules.lag import Lag
from rules.meters import Tally

FETCH_LIMIT: Final = 1_000
"""Records at a time: 15 ms of appending, so that a pass is never much delayed by a backlog."""
FUTURE_MS: Final = 60_000
"""A frame further ahead than this would hide every sample that follows: it is dropped and counted."""
BUS_TIMEOUT_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 1.0

log = structlog.get_logger("rules.frames")


class FrameFeed:
    """Appends what comes, and tells which groups have something newer to judge."""

    def __init__(self, engine: Engine, clock: Clock, tally: Tally, *, wake: Callable[[frozenset[str]], None]) -> None:
        self._engine, self._clock, self._tally, self._wake = engine, clock, tally, wake
        self.lag = Lag(clock.now_ms())
        self._refilled = False
        self.fetched = 0
        """Records that came, whatever they were."""
        self.positions: dict[tuple[str, int], int] = {}
        """The offset behind what was taken, by topic and partition."""
        self.partitions: dict[str, int] = {}
        """Where each source's frames come."""

    def refilled(self) -> None:
        """The window holds what was there before: from now on what this engine records comes from itself alone."""
        self._refilled = True

    async def fetch(self, frames: Consumer, wait: float) -> None:
        """Take what comes within the time."""
        try:
            records = await frames.fetch(limit=FETCH_LIMIT, timeout_seconds=wait)
        except BusError as error:
            self.lag.asked(None, self._clock.now_ms())
            log.error("the bus cannot be read", why=str(error))
            await self._clock.sleep(RETRY_SECONDS)
            return
        now = self._clock.now_ms()
        self.fetched += len(records)
        for record in records:
            place = record.topic, record.partition
            self.positions[place] = max(self.positions.get(place, 0), record.offset + 1)
            self.partitions[record.key] = record.partition
        self.lag.took(records, now)
        self._tally.lag_ms = self.lag.milliseconds
        self._take(records)
        if not records and self.lag.quiet(now):
            self.lag.asked(await self.backlog(frames), now)

    async def backlog(self, frames: Consumer) -> int | None:
        """How much waits; None when the bus does not answer: is silence the site's or the bus's?"""
        try:
            return await within(self._clock, BUS_TIMEOUT_SECONDS, frames.lag())
        except (BusError, TimeoutError):
            return None

    def _take(self, records: Sequence[Record]) -> None:
        mine = self._engine.records if self._refilled else frozenset()
        taken = [record for record in records if record.value and record.key not in mine]
        if not taken:
            return
        limit = self._clock.now_ms() + FUTURE_MS
        woken, refused = self._engine.append_frames([record.value or b"" for record in taken], not_after_ms=limit)
        self._wake(woken)
        for place, error in refused:
            self._tally.refused_frames += 1
            log.warning("a frame was refused", source=taken[place].key, why=str(error))

    def append(self, value: bytes, not_after_ms: int | None = None) -> None:
        """One frame or table into the window. Raises `Malformed`."""
        self._wake(self._engine.append_frame(value, not_after_ms=not_after_ms))
