"""Apache Kafka through aiokafka: the only place that knows the client, its defaults and its traps.

Its defaults are the opposite of what a log of record needs, and are all set here: idempotent, `acks=all`, commits by hand,
from the earliest record. Its traps, each met here: with idempotence a batch never expires (every await has a deadline, and a
producer without an answer is dropped whole); an out-of-order sequence is never recovered (the same); a consumer can fall
silent for ever after a blip (a probe asks the broker itself, and builds the consumer anew).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    RebalanceInProgressError,
    TopicAlreadyExistsError,
    for_code,
)

from bus.checks import unknown_topic
from bus.errors import BusError
from bus.kafka_settings import (
    ANSWER_SECONDS,
    CANCELS,
    CLOSE_SECONDS,
    CONSUMER,
    COPIES,
    HEARTBEAT_SECONDS,
    LATEST_SECONDS,
    PROBE_SECONDS,
    PRODUCER,
    settings_of,
)
from bus.port import NOWHERE, Message, Record
from bus.topics import Topic
from fleet.clock import Clock

T = TypeVar("T")


class KafkaLog:
    """A Kafka cluster as the bus sees it; connects when something is asked of it."""

    def __init__(self, address: str, *, clock: Clock, zones: int, topics: Mapping[str, Topic]) -> None:
        """`address` is host:port, several with commas."""
        self.address = address
        self.clock = clock
        self.topics = topics
        self.counts = {name: topic.partitions(zones) for name, topic in topics.items()}
        """Partitions by topic; more where the cluster has more."""
        self._ready = False

    async def ready(self) -> None:
        """Make the topics that are not there, once. Raises `BusError` when no broker answers."""
        if self._ready:
            return
        admin = AIOKafkaAdminClient(
            bootstrap_servers=self.address, request_timeout_ms=int(ANSWER_SECONDS * 1000), retry_backoff_ms=100
        )
        try:
            await self.begun(admin.start())
            described = await self.answered(admin.describe_topics(list(self.topics)))
            await self._make(admin, {found["topic"]: len(found["partitions"]) for found in described})
            self._ready = True
        finally:
            await _closed(admin.close)

    def doubt(self) -> None:
        """Something failed: look for the topics again at the next connection (a broker may come back without them)."""
        self._ready = False

    async def _make(self, admin: AIOKafkaAdminClient, found: Mapping[str, int]) -> None:
        absent = [topic for name, topic in self.topics.items() if not found.get(name)]
        if absent:
            brokers = await self.answered(admin.describe_cluster())
            copies = min(COPIES, len(brokers["brokers"]))
            made = [
                NewTopic(topic.name, self.counts[topic.name], copies, topic_configs=settings_of(topic, copies))
                for topic in absent
            ]
            answer = await self.answered(admin.create_topics(made))
            for name, code, *reason in answer.topic_errors:
                if code and for_code(code) is not TopicAlreadyExistsError:
                    raise BusError(
                        f"kafka {self.address}: topic {name} cannot be made: {reason or for_code(code).__name__}"
                    )
        for name, count in found.items():
            if 0 < count < self.counts[name]:
                await self.answered(admin.create_partitions({name: NewPartitions(self.counts[name])}))
            self.counts[name] = max(count, self.counts[name])

    async def sender(self) -> "Sender":
        """A producer that is connected. Raises `BusError`."""
        await self.ready()
        producer = AIOKafkaProducer(bootstrap_servers=self.address, **PRODUCER)
        sender = Sender(producer, self)
        try:
            await self.begun(producer.start())
        except BaseException:
            await sender.drop()
            raise
        return sender

    async def consumer(
        self, *, group: str, topics: Sequence[str], member: str | None, session_seconds: float
    ) -> "KafkaConsumer":
        """A member of a group; with `member` a static one, whose restart within the session moves nothing."""
        await self._known(topics)

        async def connect(consumer: KafkaConsumer) -> AIOKafkaConsumer:
            client = AIOKafkaConsumer(
                bootstrap_servers=self.address,
                group_id=group,
                group_instance_id=member,
                session_timeout_ms=int(session_seconds * 1000),
                heartbeat_interval_ms=int(min(HEARTBEAT_SECONDS, session_seconds / 3) * 1000),
                rebalance_timeout_ms=int(session_seconds * 1000),
                **CONSUMER
                | {"request_timeout_ms": int((session_seconds + ANSWER_SECONDS) * 1000)},  # a join waits for the dead
            )
            client.subscribe(topics=list(topics), listener=_Revoked(consumer))
            return await self._started(client, session_seconds + 2 * ANSWER_SECONDS)

        return await self._opened(KafkaConsumer(self, connect, commits=True))

    async def reader(
        self, *, topics: Sequence[str], since_ms: int | None, begin: Mapping[tuple[str, int], int] = NOWHERE
    ) -> "KafkaConsumer":
        """Every partition from an offset or a time on."""
        await self._known(topics)
        parts = [TopicPartition(topic, number) for topic in topics for number in range(self.counts[topic])]

        async def connect(consumer: KafkaConsumer) -> AIOKafkaConsumer:
            client = await self._started(AIOKafkaConsumer(bootstrap_servers=self.address, **CONSUMER))
            try:
                await self._seek(client, await self._starts(client, parts, since_ms, begin), consumer.positions)
            except BaseException:
                await _stopped(client)
                raise
            return client

        return await self._opened(KafkaConsumer(self, connect, commits=False))

    async def _starts(
        self,
        client: AIOKafkaConsumer,
        parts: Sequence[TopicPartition],
        since_ms: int | None,
        begin: Mapping[tuple[str, int], int],
    ) -> Mapping[TopicPartition, int]:
        """Where each partition begins: at an offset that lies in it, else by time, else at its first record."""
        client.assign(list(parts))
        starts = dict(await self.answered(client.beginning_offsets(list(parts))))
        if since_ms is None and not begin:
            return starts
        ends = await self.answered(client.end_offsets(list(parts)))
        if since_ms is not None:
            found = await self.answered(client.offsets_for_times(dict.fromkeys(parts, since_ms)))
            starts = {part: ends[part] if found.get(part) is None else found[part].offset for part in parts}
        named = {part: begin[part.topic, part.partition] for part in parts if (part.topic, part.partition) in begin}
        return starts | {part: offset for part, offset in named.items() if offset <= ends[part]}

    async def _seek(
        self,
        client: AIOKafkaConsumer,
        starts: Mapping[TopicPartition, int],
        positions: Mapping[TopicPartition, int],
    ) -> None:
        """Each partition goes on where this consumer was, else it begins."""
        for part, start in starts.items():
            client.seek(part, positions.get(part, start))

    async def latest(self, topic: str) -> dict[str, Record]:
        """The last record of each key: the whole topic is read up to where it ended when this began."""
        if topic not in self.topics or not self.topics[topic].compacted:
            raise ValueError(f"{topic} is not compacted: it has no latest record of a key, try a reader")
        reader = await self.reader(topics=[topic], since_ms=None)
        found: dict[str, Record] = {}
        try:
            async with asyncio.timeout(LATEST_SECONDS):
                async for record in reader.up_to_now():
                    found[record.key] = record
        except TimeoutError as error:
            raise BusError(
                f"kafka {self.address}: reading {topic} took over {LATEST_SECONDS:g} s, try again"
            ) from error
        finally:
            await reader.close()
        return {key: record for key, record in found.items() if record.value is not None}

    async def answered(self, question: Awaitable[T], seconds: float = 2 * ANSWER_SECONDS) -> T:
        """The broker's answer in time. Raises `BusError`, naming it and what to try."""
        try:
            async with asyncio.timeout(seconds):
                return await question
        except (KafkaError, OSError, TimeoutError) as error:
            what = str(error) or f"no answer within {seconds:g} s"
            raise BusError(
                f"kafka {self.address}: {what} ({type(error).__name__}), try whether it runs and is reached from here"
            ) from error

    async def _known(self, topics: Sequence[str]) -> None:
        for topic in topics:
            if topic not in self.topics:
                raise unknown_topic(topic, self.topics)
        await self.ready()

    async def begun(self, start: Coroutine[Any, Any, object], seconds: float = 2 * ANSWER_SECONDS) -> None:
        """A client's start, never cut off in the middle: aiokafka forgets the connection it is opening. Raises `BusError`."""
        starting = asyncio.create_task(start)
        try:
            await self.answered(asyncio.shield(starting), seconds)
        finally:
            if not starting.done():
                await asyncio.wait({starting}, timeout=2 * ANSWER_SECONDS)
            starting.cancel()

    async def _started(self, client: AIOKafkaConsumer, seconds: float = 2 * ANSWER_SECONDS) -> AIOKafkaConsumer:
        try:
            await self.begun(client.start(), seconds)
        except BaseException:
            await _stopped(client)
            raise
        return client

    async def _opened(self, consumer: "KafkaConsumer") -> "KafkaConsumer":
        await consumer.connect()
        return consumer


class Sender:
    """One producer: good until its first failure, then dropped whole."""

    def __init__(self, producer: AIOKafkaProducer, log: KafkaLog) -> None:
        self._producer = producer
        self._log = log
        self.broken = False

    async def send(self, messages: Sequence[tuple[int, Message]], seconds: float = ANSWER_SECONDS) -> None:
        """Return when all replicas have all of them, in order per partition.

        Raises `BusError`: then some may have arrived, none may be counted on, and this sender sends no more.
        """
        if self.broken:
            raise BusError(f"kafka {self._log.address}: this producer failed before, try a new one")
        try:
            await self._log.answered(self._acknowledged(messages), seconds)
        except BaseException:
            self._log.doubt()
            await self.drop()
            raise

    async def _acknowledged(self, messages: Sequence[tuple[int, Message]]) -> None:
        parts: dict[tuple[str, int], list[Message]] = {}
        for partition, message in messages:
            parts.setdefault((message.topic, partition), []).append(message)
        await asyncio.gather(*[self._send_part(topic, number, part) for (topic, number), part in parts.items()])

    async def _send_part(self, topic: str, partition: int, messages: Sequence[Message]) -> None:
        """Batches made here: no future and no task a message."""
        acknowledged = []
        batch = self._producer.create_batch()
        for message in messages:
            if not _append(batch, message):
                acknowledged.append(await self._producer.send_batch(batch, topic, partition=partition))
                batch = self._producer.create_batch()
                _append(batch, message)
        acknowledged.append(await self._producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*acknowledged)

    async def drop(self) -> None:
        """End without flushing: what had no answer must not be sent behind the back of who sends it anew.

        aiokafka's own stop() flushes first, and would for ever against a dead broker; hence its inner parts.
        """
        self.broken = True
        producer = self._producer
        producer._closed = True  # noqa: SLF001
        sending = producer._sender and producer._sender.sender_task  # noqa: SLF001
        if sending:
            sending.cancel()
        await _closed(producer.client.close)  # what is in flight ends at once
        for _ in range(CANCELS if sending else 0):
            if (await asyncio.wait({sending}, timeout=CLOSE_SECONDS / CANCELS))[0]:
                break
            sending.cancel()  # each ends one request that waits for metadata of a client now closed
        await _closed(producer.client.close)  # what it had begun to open meanwhile


def _append(batch: Any, message: Message) -> bool:
    appended = batch.append(
        timestamp=None, key=message.key.encode(), value=message.value, headers=list(message.headers)
    )
    return appended is not None


class _Revoked(ConsumerRebalanceListener):  # type: ignore[misc]
    """Forgets what a partition's next owner will read again."""

    def __init__(self, consumer: "KafkaConsumer") -> None:
        self._consumer = consumer

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        self._consumer.revoked(revoked)

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Reading begins where the group has committed."""


class KafkaConsumer:
    """A consumer that survives its client: the client is replaced when the broker has what it does not give."""

    def __init__(
        self,
        log: KafkaLog,
        connect: "Callable[[KafkaConsumer], Awaitable[AIOKafkaConsumer]]",
        *,
        commits: bool,
    ) -> None:
        self._log = log
        self._connect = connect
        self._commits = commits
        self._client: AIOKafkaConsumer | None = None
        self.positions: dict[TopicPartition, int] = {}
        """Behind the last record handed out, of partitions held now."""
        self._committed: dict[TopicPartition, int] = {}
        self._quiet_since_ns = 0
        self._behind_before = False
        self.closed = False
        self.fetched = 0
        self.rebuilt = 0
        self.failed_commits = 0
        """Commits that the broker did not take; the next one says it again."""
        self.lost = 0
        """Partitions that went to another member with records fetched and not committed."""

    async def connect(self) -> AIOKafkaConsumer:
        """Connect anew."""
        self._quiet_since_ns = self._log.clock.boottime_ns()
        self._behind_before = False
        self._client = client = await self._connect(self)
        return client

    async def fetch(self, *, limit: int = 1000, timeout_seconds: float = 1.0) -> list[Record]:
        """Records in order per partition, as soon as there is one; empty after the timeout, and while the broker is away."""
        if self.closed:
            return []
        try:
            client = self._client or await self.connect()
            async with asyncio.timeout(timeout_seconds + ANSWER_SECONDS):
                batches = await client.getmany(timeout_ms=int(timeout_seconds * 1000), max_records=limit)
        except (BusError, KafkaError, OSError, TimeoutError):
            await self._abandon()
            await self._log.clock.sleep(min(timeout_seconds, 0.5))
            return []
        records = [record for part, batch in batches.items() for record in self._taken(part, batch)]
        if records:
            self._quiet_since_ns = self._log.clock.boottime_ns()
            self._behind_before = False
        elif self._log.clock.boottime_ns() - self._quiet_since_ns > PROBE_SECONDS * 1e9:
            await self._probe()
        return records

    def _taken(self, part: TopicPartition, batch: Sequence[Any]) -> list[Record]:
        self.positions[part] = batch[-1].offset + 1
        self.fetched += len(batch)
        topic, number = part.topic, part.partition
        return [
            Record(
                topic,
                number,
                one.offset,
                (one.key or b"").decode("utf-8", "replace"),
                one.value,
                tuple(one.headers),
                one.timestamp,
            )
            for one in batch
        ]

    async def commit(self) -> None:
        """Everything fetched so far is done. What the broker does not take now is said again by the next commit."""
        done = {part: offset for part, offset in self.positions.items() if self._committed.get(part) != offset}
        if not self._commits or not done or self._client is None:
            return
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._client.commit(done)
        except (CommitFailedError, IllegalStateError, RebalanceInProgressError):
            self.revoked([part for part in done if part not in self._client.assignment()])
            self.failed_commits += 1
        except (KafkaError, OSError, TimeoutError):
            self.failed_commits += 1
        else:
            self._committed.update(done)

    def revoked(self, parts: Sequence[TopicPartition]) -> None:
        """These partitions are no longer this member's."""
        for part in parts:
            position = self.positions.pop(part, None)
            self.lost += position is not None and self._committed.get(part) != position
            self._committed.pop(part, None)

    async def lag(self) -> int:
        """Records on the broker that this consumer has not fetched. Raises `BusError` when it does not answer."""
        return sum((await self._behind()).values())

    def assignment(self) -> frozenset[tuple[str, int]]:
        """Topics and partitions that this consumer reads now."""
        if self._client is None:
            return frozenset()
        return frozenset([(part.topic, part.partition) for part in self._client.assignment()])

    async def up_to_now(self) -> AsyncIterator[Record]:
        """Every record up to where the partitions end at this moment."""
        client = self._client
        assert client is not None, "a reader is connected when it is made"
        parts = list(client.assignment())
        ends = await self._log.answered(client.end_offsets(parts))
        starts = await self._log.answered(client.beginning_offsets(parts))
        left = {part for part in parts if ends[part] > starts[part]}
        while left:
            for record in await self.fetch():
                yield record
            left = {part for part in left if self.positions.get(part, 0) < ends[part]}

    async def close(self) -> None:
        """Leave the group."""
        self.closed = True
        await self._abandon()

    async def _behind(self) -> dict[TopicPartition, int]:
        """How many records of each partition are there and not fetched."""
        client = self._client
        if client is None or not client.assignment():
            return {}
        parts = list(client.assignment())
        ends = await self._log.answered(client.end_offsets(parts), ANSWER_SECONDS)
        behind = {}
        for part in parts:
            position = self.positions.get(part)
            if position is None:
                position = await self._log.answered(client.position(part), ANSWER_SECONDS)
            behind[part] = max(0, ends[part] - position)
        return behind

    async def _probe(self) -> None:
        """Twice silent with records waiting: the client is stuck, and another takes its place."""
        self._quiet_since_ns = self._log.clock.boottime_ns()
        try:
            behind = any((await self._behind()).values())
        except BusError:
            return
        if behind and self._behind_before:
            self.rebuilt += 1
            await self._abandon()
        self._behind_before = behind

    async def _abandon(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await _stopped(client)
        if self._commits:
            self.positions.clear()
            self._committed.clear()


async def _stopped(client: AIOKafkaConsumer) -> None:
    """Leave the group if the broker answers; let go of everything in any case, of what a stop cut short too."""
    await _closed(client.stop)
    if client._fetcher is not None:  # noqa: SLF001
        await _closed(client._fetcher.close)  # noqa: SLF001
    await _closed(client._client.close)  # noqa: SLF001


async def _closed(close: Callable[[], Awaitable[object]]) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_SECONDS):
            await close()
