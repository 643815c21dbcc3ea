"""Kafka with the spool in front of it: what is accepted is on the broker, or on this machine's disk on its way there."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from bus.checks import placed
from bus.errors import BusError
from bus.kafka import KafkaConsumer, KafkaLog, Sender
from bus.metrics import add_up
from bus.port import NOWHERE, Consumer, Message, Publisher, Record
from bus.spool import RingSize, Spool
from bus.topics import TOPICS, Topic
from fleet.clock import Clock

ACK_SECONDS: Final = 3.0
"""How long a message may wait for the broker before it goes to the spool."""
START_SECONDS: Final = 3.0
"""How long the first publisher waits for the broker; then the spool accepts."""
IN_FLIGHT: Final = 16
"""Batches of frames on their way at once; who publishes more waits."""
RETRY_SECONDS: Final = (0.2, 0.5, 1.0, 2.0)
"""Pauses between tries to reach a broker that is away; the last one stays."""


class SpooledBus:
    """One process's connection to Kafka."""

    def __init__(self, log: KafkaLog, spool: Spool) -> None:
        """Use `open`."""
        self.log = log
        self.spool = spool
        self._publisher: SpooledPublisher | None = None
        self._consumers: list[KafkaConsumer] = []
        self._past: dict[str, int] = {}
        """Counters of consumers that are closed."""

    @classmethod
    async def open(
        cls,
        address: str,
        *,
        data: Path,
        clock: Clock,
        partitions: int,
        topics: Mapping[str, Topic] = TOPICS,
        spool: str = "spool",
        ring: RingSize | None = None,
        require: bool = False,
    ) -> "SpooledBus":
        """Open the spool `data/<spool>.sqlite`; the broker may be away, unless `require`. Raises `BusError`."""
        if partitions < 1:
            raise ValueError(f"partitions {partitions}: one at least, try the highest zone number and one")
        log = KafkaLog(address, clock=clock, zones=partitions, topics=topics)
        if require:
            await log.ready()
        return cls(log, Spool.open(data, spool, clock=clock, ring=ring))

    async def publisher(self) -> Publisher:
        """Who publishes for this process: the same one however often it is asked for."""
        if self._publisher is None:
            self._publisher = SpooledPublisher(self.log, self.spool)
            await self._publisher.start()
        return self._publisher

    async def consumer(
        self, *, group: str, topics: Sequence[str], member: str | None = None, session_seconds: float = 10.0
    ) -> Consumer:
        """A member of a group. Raises `BusError` when the broker is away."""
        consumer = await self.log.consumer(group=group, topics=topics, member=member, session_seconds=session_seconds)
        return self._entered(consumer)

    async def reader(
        self, *, topics: Sequence[str], since_ms: int | None = None, positions: Mapping[tuple[str, int], int] = NOWHERE
    ) -> Consumer:
        """Every partition from an offset or a time on. Raises `BusError` when the broker is away."""
        reader = await self.log.reader(topics=topics, since_ms=since_ms, begin=positions)
        return self._entered(reader)

    async def latest(self, topic: str) -> dict[str, Record]:
        """The last record of each key. Raises `BusError` when the broker is away."""
        return await self.log.latest(topic)

    def meters(self) -> dict[str, int]:
        """The counters of this process."""
        total = dict(self._past)
        for counted in (self._publisher, *self._consumers):
            add_up(total, counted)
        return total | {"pending": self._publisher.pending() if self._publisher else 0}

    def _entered(self, consumer: KafkaConsumer) -> KafkaConsumer:
        """Remember an open consumer, and of closed ones only their counters."""
        for closed in [one for one in self._consumers if one.closed]:
            add_up(self._past, closed)
            self._consumers.remove(closed)
        self._consumers.append(consumer)
        return consumer

    async def close(self) -> None:
        """Leave the groups; what is still in the spool stays there for the next start."""
        try:
            await asyncio.gather(*[consumer.close() for consumer in self._consumers])
            if self._publisher is not None:
                await self._publisher.close()
        finally:
            await self.spool.close()


class SpooledPublisher:
    """Publishes straight to Kafka while it answers, into the spool while it does not, and drains the spool when it does again."""

    def __init__(self, log: KafkaLog, spool: Spool) -> None:
        self._log = log
        self._spool = spool
        self._sender: Sender | None = None
        self._turn = asyncio.Lock()
        """Ordered messages go one publish at a time, in the order of asking."""
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._work = asyncio.Event()
        self._up = asyncio.Event()
        self._drainer: asyncio.Task[None] | None = None
        self.published = 0
        """Messages accepted."""
        self.sent = 0
        """Messages that the broker has acknowledged."""
        self.outages = 0
        """How often the broker was lost."""
        self.last_fault = ""
        """Why it was lost, or why the spool cannot drain."""

    @property
    def spooled(self) -> int:
        """Messages that went through the spool."""
        return self._spool.spooled

    @property
    def dropped_frames(self) -> int:
        """Frames that the ring gave up; no other class is ever dropped."""
        return self._spool.dropped_frames

    @property
    def connected(self) -> bool:
        """Whether the broker answers, as far as is known."""
        return self._up.is_set()

    def pending(self) -> int:
        """Accepted messages that are not on the bus yet, frames included."""
        return self._spool.lined + self._spool.ringed + self._spool.tables

    async def start(self) -> None:
        """Connect; when the broker is away, go on trying behind the spool."""
        self._work.set()
        self._drainer = asyncio.create_task(self._drain(), name="spool drains")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await self._up.wait()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when all are on the broker or in the spool. Raises `BusError` when neither takes them."""
        placements = [(placed(message, self._log.topics, self._log.counts), message) for message in messages]
        line = [one for one in placements if not self._log.topics[one[1].topic].sheds]
        frames = [one for one in placements if self._log.topics[one[1].topic].sheds]
        if line:
            async with self._turn:
                if self._spool.lined or not await self._sent(line):
                    await self._spool.append([message for _, message in line])
                    self._work.set()
        if frames:
            async with self._room:
                if not await self._sent(frames):
                    await self._spool.keep([message for _, message in frames])
                    self._work.set()
        self.published += len(messages)

    async def close(self) -> None:
        """Stop draining; nothing accepted is lost, it lies in the spool."""
        if self._drainer is not None:
            self._drainer.cancel()
            await asyncio.gather(self._drainer, return_exceptions=True)
        sender, self._sender = self._sender, None
        if sender is not None:
            await sender.drop()

    async def _sent(self, messages: Sequence[tuple[int, Message]]) -> bool:
        """Whether the broker has acknowledged them; if not it counts as away, and this producer is done with."""
        sender = self._sender
        if sender is None or not self._up.is_set():
            return False
        try:
            await sender.send(messages, ACK_SECONDS)
        except BusError as error:
            self._lose(sender, error)
            return False
        self.sent += len(messages)
        return True

    def _lose(self, sender: Sender, error: BusError) -> None:
        self.last_fault = str(error)
        if self._sender is sender:
            self._sender = None
            self._up.clear()
            self.outages += 1
        self._work.set()

    async def _drain(self) -> None:
        """Reach the broker, then empty the spool: tables, then the line, then the ring; for as long as this runs."""
        tries = 0
        while True:
            await self._work.wait()
            try:
                await self._reach()
                tries = 0
                if not await self._drain_once():
                    self._work.clear()
                    if self.pending() or self._sender is None:
                        self._work.set()
            except Exception as error:  # what the spool holds must leave it, whatever goes wrong on the way
                self.last_fault = str(error)
                await self._log.clock.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
                tries += 1

    async def _reach(self) -> None:
        """A producer, and the tables of the outage before any frame goes past the spool."""
        if self._sender is None:
            self._sender = await self._log.sender()
        while await self._forward(self._spool.told, self._spool.left_told):
            pass
        self._up.set()

    async def _drain_once(self) -> bool:
        """One chunk on its way; whether there was one. The line goes before the ring."""
        if await self._forward(self._spool.line, self._spool.left_line):
            return True
        return await self._forward(self._spool.ring, self._spool.left_ring)

    async def _forward(
        self, take: Callable[[], list[tuple[int, Message]]], left: Callable[[int], Awaitable[None]]
    ) -> bool:
        chunk = take()
        if not chunk:
            return False
        sender = self._sender
        if sender is None:
            raise BusError(self.last_fault or f"kafka {self._log.address}: away")
        placements = [(placed(message, self._log.topics, self._log.counts), message) for _, message in chunk]
        try:
            await sender.send(placements)
        except BusError as error:
            self._lose(sender, error)
            raise
        self.sent += len(chunk)
        await left(chunk[-1][0])
        return True
