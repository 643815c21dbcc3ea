"""The bus in memory: the port's promises, and the troubles that a bus may have without breaking them.

What was accepted stays. A group may be given a record twice; a reader may be late; the bus may be away. Frames may be lost
on their way to it (a device that does not answer), never behind it.
"""

import asyncio
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from bus.errors import BusError
from bus.port import NOWHERE, Consumer, Message, Publisher, Record
from hallkeeper.world.loop import VirtualLoop
from hallkeeper.world.process import Process


@dataclass(slots=True)
class Trouble:
    """What is wrong with the bus at the moment."""

    away: bool = False
    late_seconds: float = 0.0
    """So long after it was accepted a record is given out."""
    doubled: float = 0.0
    """Share of fetches by groups after which the records come once more."""
    swapped: float = 0.0
    """Share of fetches whose frames come in another order, each source's own kept."""


@dataclass(slots=True)
class Log:
    """What the bus holds; it outlives every process."""

    loop: VirtualLoop
    start_ms: int
    random: Random
    records: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[tuple[str, str], int] = field(default_factory=dict)
    trouble: Trouble = field(default_factory=Trouble)
    patience: float = 1.0
    """For speed: a fetch that finds nothing waits so much longer before it says so."""
    _waiting: dict[str, dict["asyncio.Future[None]", None]] = field(default_factory=lambda: defaultdict(dict))
    """By topic, in the order in which they began to wait: a set's order would be another in every run."""

    def now_ms(self) -> int:
        """The bus's own clock."""
        return self.start_ms + int(self.loop.time() * 1000)

    def put(self, messages: Sequence[Message]) -> None:
        """Accept; whoever waits is woken."""
        now_ms = self.now_ms()
        topics: dict[str, None] = {}
        for message in messages:
            row = self.records[message.topic]
            row.append(
                Record(
                    message.topic, message.partition or 0, len(row), message.key, message.value, message.headers, now_ms
                )
            )
            topics[message.topic] = None
        for topic in topics:
            self.wake(topic)

    def wake(self, topic: str) -> None:
        """Something came, or may be seen now."""
        waiting = self._waiting[topic]
        if waiting and self.trouble.late_seconds > 0:
            self.loop.call_later(self.trouble.late_seconds + 0.001, _wake_all, waiting)
        else:
            _wake_all(waiting)

    def wait_for(self, topics: Sequence[str]) -> "asyncio.Future[None]":
        """Done when one of the topics may have something new."""
        woken: asyncio.Future[None] = self.loop.create_future()
        for topic in topics:
            self._waiting[topic][woken] = None
        return woken

    def forget(self, topics: Sequence[str], woken: "asyncio.Future[None]") -> None:
        """Nobody waits for it any more."""
        for topic in topics:
            self._waiting[topic].pop(woken, None)

    def check(self) -> None:
        """Raises `BusError` while it is away."""
        if self.trouble.away:
            raise BusError("the bus is away, try again")

    def since(self, topic: str, since_ms: int) -> int:
        """The first offset from a time on."""
        return bisect_left(self.records[topic], since_ms, key=_taken_at)


def _taken_at(record: Record) -> int:
    return record.at_ms


def _wake_all(waiting: dict["asyncio.Future[None]", None]) -> None:
    for woken in tuple(waiting):
        if not woken.done():
            woken.set_result(None)


class VirtualBus:
    """One process's connection to the log."""

    def __init__(self, log: Log, process: Process) -> None:
        self._log = log
        self._process = process

    async def publisher(self) -> Publisher:
        """Puts records into the log."""
        return _Publisher(self._log, self._process)

    async def consumer(
        self, *, group: str, topics: Sequence[str], member: str | None = None, session_seconds: float = 10.0
    ) -> Consumer:
        """A member of a group; it begins behind what the group committed."""
        del member, session_seconds
        begin = {topic: self._log.committed.get((group, topic), 0) for topic in topics}
        return _Consumer(self._log, self._process, begin, group)

    async def reader(
        self, *, topics: Sequence[str], since_ms: int | None = None, positions: Mapping[tuple[str, int], int] = NOWHERE
    ) -> Consumer:
        """Reads from an offset or a time on; a topic's partitions share their offsets here."""
        begin = {topic: 0 if since_ms is None else self._log.since(topic, since_ms) for topic in topics}
        for topic in topics:
            named = [offset for (of, _), offset in positions.items() if of == topic]
            if named and max(named) <= len(self._log.records[topic]):
                begin[topic] = min(named)
        return _Consumer(self._log, self._process, begin, None)

    def meters(self) -> dict[str, int]:
        """Nothing is counted here."""
        return {}

    async def latest(self, topic: str) -> dict[str, Record]:
        """The last record of each key."""
        self._log.check()
        return {record.key: record for record in self._log.records[topic] if record.value is not None}

    async def close(self) -> None:
        """The log stays."""


class _Publisher:
    def __init__(self, log: Log, process: Process) -> None:
        self._log, self._process = log, process

    async def publish(self, messages: Sequence[Message]) -> None:
        """Durable on the bus when it returns. Raises `BusError` while the bus is away."""
        self._process.point("publish")
        self._log.check()
        self._log.put(messages)
        self._process.point("published")

    def pending(self) -> int:
        """Nothing waits in front of this bus."""
        return 0


class _Consumer:
    def __init__(self, log: Log, process: Process, begin: dict[str, int], group: str | None) -> None:
        self._log, self._process, self._group = log, process, group
        self._next = begin
        self._topics = tuple(begin)

    async def fetch(self, *, limit: int = 1000, timeout_seconds: float = 1.0) -> list[Record]:
        """Records as soon as there is one; empty after the timeout. Raises `BusError` while the bus is away."""
        until = self._log.loop.time() + timeout_seconds * self._log.patience
        while True:
            self._process.check()
            self._log.check()
            found = self._take(limit)
            left = until - self._log.loop.time()
            if found or left <= 0:
                if self._process.stopped:
                    await self._process.sleep(0)
                return found
            await self._wait(left)

    async def _wait(self, seconds: float) -> None:
        woken = self._log.wait_for(self._topics)
        handle = self._log.loop.call_later(seconds, _wake_all, {woken: None})
        try:
            await self._process.wait(woken)
        finally:
            handle.cancel()
            self._log.forget(self._topics, woken)

    def _take(self, limit: int) -> list[Record]:
        """What may be seen now, from where we are."""
        found: list[Record] = []
        trouble = self._log.trouble
        visible_ms = self._log.now_ms() - round(1000 * trouble.late_seconds)
        for topic in self._topics:
            row, begin = self._log.records[topic], self._next[topic]
            if begin >= len(row):
                continue
            end = min(len(row), begin + limit - len(found))
            while end > begin and row[end - 1].at_ms > visible_ms:
                end -= 1
            found += row[begin:end]
            self._next[topic] = end
        if found and (trouble.doubled or trouble.swapped):
            return self._troubled(found, trouble)
        return found

    def _troubled(self, found: list[Record], trouble: Trouble) -> list[Record]:
        random = self._log.random
        if random.random() < trouble.doubled:
            found = [*found, *found[-min(len(found), 20) :]]
        if random.random() < trouble.swapped:
            found = _in_another_order(found, random)
        return found

    async def commit(self) -> None:
        """Everything fetched so far is done."""
        self._process.point("commit offsets")
        self._log.check()
        if self._group is not None:
            for topic in self._topics:
                self._log.committed[self._group, topic] = self._next[topic]
        self._process.point("offsets committed")

    async def lag(self) -> int:
        """What waits."""
        self._log.check()
        return sum(len(self._log.records[topic]) - self._next[topic] for topic in self._topics)

    def assignment(self) -> frozenset[tuple[str, int]]:
        """All of it."""
        return frozenset((topic, 0) for topic in self._topics)

    async def close(self) -> None:
        """What was not committed comes again."""


def _in_another_order(found: list[Record], random: Random) -> list[Record]:
    """Records of different keys change places; those of one key keep their order, as one partition would."""
    order = [record.key for record in found]
    random.shuffle(order)
    by_key: dict[str, list[Record]] = defaultdict(list)
    for record in reversed(found):
        by_key[record.key].append(record)
    return [by_key[key].pop() for key in order]
