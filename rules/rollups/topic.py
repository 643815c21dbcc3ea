"""`telemetry.rollups`: the engine that speaks tells each minute of what it looks back on, and one that lost its state reads them."""

from collections.abc import Callable
from typing import Final

import numpy as np
import structlog

from bus.errors import BusError
from bus.port import Bus, Message, Publisher, Record
from bus.topics import ROLLUPS
from fleet.clock import Clock
from fleet.errors import HallkeeperError, Malformed
from rules.arrays import NEVER, Floats, Rows, Times
from rules.engine import Engine
from rules.rollups.buckets import MINUTE_MS, Field
from rules.rollups.keep import Metric, Rollups
from rules.rollups.minutes import GRACE_MS, Minute, decoded, encoded

LOOK_SECONDS: Final = 1.0
FETCH_LIMIT: Final = 1_000
UNSENT: Final = 10_000
"""Records that wait for a bus that takes nothing; the oldest go (a default of ours)."""

log = structlog.get_logger("rules.rollups")


class RollupTopic:
    """One engine's way to and from the topic."""

    def __init__(self, engine: Engine, bus: Bus, clock: Clock, partition_of: Callable[[str], int]) -> None:
        """`partition_of` says in which partition a source's frames come."""
        self._engine, self._bus, self._clock, self._partition_of = engine, bus, clock, partition_of
        self._unsent: list[Message] = []
        self.learned = 0
        """Records that were read."""

    def begin(self) -> None:
        """Before a kept state is read: from now on minutes are told."""
        if self._engine.window.rollups is not None:
            self._engine.window.rollups.tell(self._clock.now_ms())

    async def rebuild(self) -> None:
        """Before frames are read: what no kept state had. Raises `BusError`."""
        rollups, now_ms = self._engine.window.rollups, self._clock.now_ms()
        if rollups is None:
            return
        learning = Learning(rollups)
        reader = await self._bus.reader(topics=[ROLLUPS], since_ms=learning.since_ms(now_ms))
        try:
            while await reader.lag():
                for record in await reader.fetch(limit=FETCH_LIMIT, timeout_seconds=LOOK_SECONDS):
                    self._learn(learning, record)
        finally:
            await reader.close()
        log.info("look-backs rebuilt from the bus", records=self.learned)

    def _learn(self, learning: "Learning", record: Record) -> None:
        try:
            learning.learn(decoded(record.value or b""))
            self.learned += 1
        except (Malformed, ValueError) as error:
            log.warning("a minute was refused", source=record.key, why=str(error))

    async def run(self, publisher: Publisher, speaks: Callable[[], bool]) -> None:
        """Tell each minute soon after its end, for as long as this engine speaks."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            rollups = self._engine.window.rollups
            if rollups is not None and rollups.told_until is None:  # rules that look back have come by a reload
                self.begin()
            if rollups is None or not speaks():
                self._unsent.clear()
                continue
            self._unsent += [self._message(minute) for minute in rollups.told(self._clock.now_ms() - GRACE_MS)]
            del self._unsent[:-UNSENT]
            await self._tell(publisher)

    async def _tell(self, publisher: Publisher) -> None:
        if not self._unsent:
            return
        try:
            await publisher.publish(self._unsent)
            self._unsent.clear()
        except (BusError, HallkeeperError) as error:
            log.error("minutes wait for the bus", waiting=len(self._unsent), why=str(error))

    def _message(self, minute: Minute) -> Message:
        return Message(ROLLUPS, minute.source, encoded(minute), partition=self._partition_of(minute.source))


class Learning:
    """Minutes into look-backs, each once: what a kept state has already, or what was told before, is left out."""

    def __init__(self, rollups: Rollups) -> None:
        self._rollups = rollups
        self._after: dict[tuple[str, int], Times] = {
            (name, range_ms): metric.newest.copy() if range_ms in metric.kept else np.full_like(metric.newest, NEVER)
            for name, metric in rollups.metrics.items()
            for range_ms in metric.buckets
        }
        """For each look-back, and each series by its column: up to when it has everything."""

    def since_ms(self, now_ms: int) -> int:
        """From when on records may be missing."""
        oldest = now_ms
        for name, metric in self._rollups.metrics.items():
            for range_ms in metric.buckets:
                known = int(self._after[name, range_ms].max(initial=NEVER))
                oldest = min(oldest, max(known - MINUTE_MS, now_ms - range_ms))
        return oldest

    def learn(self, minute: Minute) -> None:
        """Raises `ValueError` for arrays of unequal lengths."""
        for told in minute.metrics:
            metric = self._rollups.metrics.get(told.name)
            if metric is None:
                continue
            fields = told.fields()
            columns = metric.columns_of(np.frombuffer(told.series, dtype="<u8").tolist())
            for range_ms in metric.buckets:
                self._merge(metric, (told.name, range_ms), minute.minute, columns, fields)
            end = minute.minute + MINUTE_MS - 1
            newer = metric.newest[columns] < end
            metric.newest[columns[newer]] = end
            metric.previous[columns[newer]] = fields[Field.LAST][newer]

    def _merge(
        self, metric: Metric, key: tuple[str, int], at_ms: int, columns: Rows, fields: dict[Field, Floats]
    ) -> None:
        after = self._after[key]
        if len(after) < len(metric.newest):
            more = np.full(len(metric.newest) - len(after), NEVER, dtype=np.int64)
            after = self._after[key] = np.concatenate([after, more])
        fresh = after[columns] < at_ms
        chosen = columns[fresh]
        if len(chosen):
            metric.buckets[key[1]].merge(at_ms, chosen, {field: values[fresh] for field, values in fields.items()})
            after[chosen] = at_ms + MINUTE_MS - 1
