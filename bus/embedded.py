"""The embedded bus: the log in one SQLite file that several processes share.

Topics with `full_sync` (alerts, incidents, remediations, commands) are on the disk when `publish` returns; frames, rollups,
events and committed offsets are written with `synchronous=NORMAL`: nothing is lost when a process is killed, the last commits
may be when the machine loses power.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bus import embedded_log as log
from bus.bell import Bell
from bus.checks import placed, unknown_topic
from bus.embedded_consumer import GroupConsumer, Reader
from bus.embedded_log import Part
from bus.metrics import add_up
from bus.port import NOWHERE, Consumer, Message, Publisher, Record
from bus.sqlite import Job, Writer, connect, refusal
from bus.topics import TOPICS, Topic
from fleet.clock import Clock, VirtualClock

LATEST_SLICE: Final = 128
"""Keys that `latest` reads before it lets the event loop run."""


class EmbeddedBus:
    """One process's connection to the file."""

    def __init__(self, path: Path, *, clock: Clock, zones: int, topics: Mapping[str, Topic]) -> None:
        """Use `open`."""
        self.path = path
        self.clock = clock
        self.topics = topics
        self.published = 0
        """Messages accepted."""
        self.reading = _connect(path, topics, zones)
        self.reading.execute("PRAGMA query_only=1")
        self._writer = Writer(
            path,
            lambda: _connect(path, topics, zones),
            inline=isinstance(clock, VirtualClock),
            chore=lambda connection: log.sweep(connection, topics, clock.now_ms()),
            boottime_ns=clock.boottime_ns,
        )
        self.bell = Bell(path.with_name(path.name + ".bells"), clock=clock)
        self._parts: dict[tuple[str, int], int] = {}
        self._counts: dict[str, int] = {}
        self._look_up_parts()
        self._consumers: list[Reader] = []
        self._past: dict[str, int] = {}
        """Counters of consumers that are closed."""

    @classmethod
    async def open(
        cls, path: Path, *, clock: Clock, partitions: int, topics: Mapping[str, Topic] = TOPICS
    ) -> "EmbeddedBus":
        """Open the file, made where it is not there. Raises `BusError`, naming it and what to try.

        Under a `VirtualClock` nothing leaves the event loop: no thread writes and no other process is heard.
        """
        if partitions < 1:
            raise ValueError(f"partitions {partitions}: one at least, try the highest zone number and one")
        return cls(path, clock=clock, zones=partitions, topics=topics)

    async def publisher(self) -> Publisher:
        """Who publishes: the bus itself."""
        return self

    async def publish(self, messages: Sequence[Message]) -> None:
        """Accept all or none: one transaction, shared with whoever publishes at the same moment."""
        if not messages:
            return
        batch = self._plan(messages)
        now_ms = self.clock.now_ms()
        full = any(self.topics[topic].full_sync for topic in {message.topic for message in messages})
        await self.write(lambda connection: log.append(connection, batch, now_ms), full=full)
        self.published += len(messages)
        self.bell.ring()

    def pending(self) -> int:
        """Accepted messages that are not on the bus yet: none, ever."""
        return 0

    async def consumer(
        self, *, group: str, topics: Sequence[str], member: str | None = None, session_seconds: float = 10.0
    ) -> Consumer:
        """A member of a group; a dead member's partitions go to the living at once, whatever `session_seconds` says."""
        del session_seconds
        consumer = GroupConsumer(self, group=group, topics=topics, parts=self.parts(topics), member=member)
        await consumer.join()
        return self._entered(consumer)

    async def reader(
        self, *, topics: Sequence[str], since_ms: int | None = None, positions: Mapping[tuple[str, int], int] = NOWHERE
    ) -> Consumer:
        """Every partition from an offset or a time on, without a group."""
        with self.guarded():
            tails = log.tails(self.reading)
            starts = dict.fromkeys(self.parts(topics), 0)
            for part in starts:
                named = positions.get((part.topic, part.partition))
                if named is not None and named <= tails[part.id]:
                    starts[part] = named
                elif since_ms is not None:
                    starts[part] = log.offset_since(self.reading, part, since_ms)
        return self._entered(Reader(self, starts))

    async def latest(self, topic: str) -> dict[str, Record]:
        """The last record of each key of a compacted topic."""
        if not self.topics[self._known(topic)].compacted:
            raise ValueError(f"{topic} is not compacted: it has no latest record of a key, try a reader")
        found: dict[str, Record] = {}
        for part in self.parts([topic]):
            after = ""
            while True:
                with self.guarded():
                    piece = log.newest(self.reading, part, after, LATEST_SLICE)
                found.update((record.key, record) for record in piece)
                if len(piece) < LATEST_SLICE:
                    break
                after = piece[-1].key
                await asyncio.sleep(0)
        return found

    def meters(self) -> dict[str, int]:
        """The counters of this process."""
        total = dict(self._past)
        for counted in (self, *self._consumers):
            add_up(total, counted)
        return total | {"pending": 0}

    def _entered(self, consumer: Reader) -> Reader:
        """Remember an open consumer, and of closed ones only their counters."""
        for closed in [one for one in self._consumers if one.closed]:
            add_up(self._past, closed)
            self._consumers.remove(closed)
        self._consumers.append(consumer)
        return consumer

    async def close(self) -> None:
        """Close the consumers, write what waits, close the file."""
        try:
            for consumer in self._consumers:
                await consumer.close()
        finally:
            await self._writer.close()
            self.reading.close()
            self.bell.close()

    def parts(self, topics: Sequence[str]) -> list[Part]:
        """The partitions of these topics. Raises `ValueError` for a topic that is not known."""
        with self.guarded():
            return log.parts_of(self.reading, [self._known(topic) for topic in topics])

    async def write(self, job: Job, *, full: bool = False) -> object:
        """Run a job in a transaction. Raises `BusError`."""
        return await self._writer.run(job, full=full)

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Reads whose errors name the file."""
        try:
            yield
        except sqlite3.Error as error:
            raise refusal(self.path, error) from error

    def _plan(self, messages: Sequence[Message]) -> dict[int, list[Message]]:
        """Each table's messages in order. Raises `ValueError` for the first that no bus would take."""
        batch: dict[int, list[Message]] = {}
        if any((message.partition or 0) >= self._counts.get(message.topic, 0) for message in messages):
            self._look_up_parts()  # another process may have opened it for more zones
        for message in messages:
            partition = placed(message, self.topics, self._counts)
            batch.setdefault(self._parts[message.topic, partition], []).append(message)
        return batch

    def _known(self, topic: str) -> str:
        if topic not in self.topics:
            raise unknown_topic(topic, self.topics)
        return topic

    def _look_up_parts(self) -> None:
        for part in self.parts(list(self.topics)):
            self._parts[part.topic, part.partition] = part.id
            self._counts[part.topic] = max(self._counts.get(part.topic, 0), part.partition + 1)


def _connect(path: Path, topics: Mapping[str, Topic], zones: int) -> sqlite3.Connection:
    connection = connect(path, application=log.APPLICATION, schema=log.SCHEMA, version=log.VERSION)
    try:
        connection.execute("BEGIN IMMEDIATE")
        log.make_partitions(connection, topics.values(), zones)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        connection.close()
        raise refusal(path, error) from error
    return connection
