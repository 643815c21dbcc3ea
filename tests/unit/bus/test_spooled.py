"""Kafka behind the spool, with a broker that does what the test says: what is accepted, in which order it leaves."""

import asyncio
from collections.abc import Sequence

import pytest

from bus.errors import BusError
from bus.port import Message, open_bus
from bus.spool import Spool
from bus.spooled import SpooledBus, SpooledPublisher
from bus.topics import ALERTS, FRAMES, TOPICS
from fleet.clock import SystemClock, VirtualClock
from tests.contract.bus.harness import until


class FakeSender:
    """Takes what it is given while its broker is up."""

    def __init__(self, broker: "FakeBroker") -> None:
        self.broker = broker
        self.dropped = False

    async def send(self, messages: Sequence[tuple[int, Message]], seconds: float = 5.0) -> None:
        assert not self.dropped, "a producer that failed is not used again"
        await asyncio.sleep(0)
        if self.broker.slow is not None:
            slow, self.broker.slow = self.broker.slow, None
            await slow.wait()
        if self.broker.takes_before_failing:
            self.broker.took += [message for _, message in messages]
        if not self.broker.up or self.broker.takes_before_failing:
            self.broker.takes_before_failing = False
            self.dropped = True
            raise BusError("away")
        self.broker.took += [message for _, message in messages]

    async def drop(self) -> None:
        self.dropped = True


class FakeBroker:
    """What `KafkaLog` is to the publisher."""

    def __init__(self) -> None:
        self.address = "fake:1"
        self.topics = TOPICS
        self.counts = {name: topic.partitions(2) for name, topic in TOPICS.items()}
        self.clock = VirtualClock()
        self.up = True
        self.takes_before_failing = False
        """The broker stores what is sent, and its answer is lost."""
        self.slow: asyncio.Event | None = None
        """The next message waits for it."""
        self.took: list[Message] = []

    async def sender(self) -> FakeSender:
        if not self.up:
            raise BusError("away")
        return FakeSender(self)

    def numbers(self, topic: str) -> list[int]:
        return [int(message.value) for message in self.took if message.topic == topic and message.value[:1] != b"\x94"]


@pytest.fixture
async def broker(tmp_path):
    made = FakeBroker()
    made.spool = Spool.open(tmp_path, "spool", clock=made.clock)
    made.publisher = SpooledPublisher(made, made.spool)
    await made.publisher.start()
    yield made
    await made.publisher.close()
    await made.spool.close()


def numbered(topic: str, first: int, last: int) -> list[Message]:
    return [Message(topic, "k", b"%d" % number) for number in range(first, last)]


async def emptied(broker: FakeBroker) -> None:
    for _ in range(200):
        await broker.clock.advance(1)
        if broker.publisher.connected and not broker.publisher.pending():
            return
    raise AssertionError(f"still {broker.publisher.pending()} pending: {broker.publisher.last_fault}")


async def test_while_the_broker_answers_nothing_touches_the_spool(broker):
    await broker.publisher.publish(numbered(ALERTS, 0, 10) + numbered(FRAMES, 0, 10))
    assert broker.numbers(ALERTS) == broker.numbers(FRAMES) == list(range(10))
    assert (broker.publisher.spooled, broker.publisher.pending()) == (0, 0)


async def test_the_line_is_not_overtaken_by_what_is_published_while_it_drains(broker):
    await broker.publisher.publish(numbered(ALERTS, 0, 5))
    broker.up = False
    for start in range(5, 1000, 5):
        await broker.publisher.publish(numbered(ALERTS, start, start + 5))
    broker.up = True
    for start in range(1000, 1100, 5):
        await broker.publisher.publish(numbered(ALERTS, start, start + 5))
        await broker.clock.advance(0.1)
    await emptied(broker)
    assert broker.numbers(ALERTS) == list(range(1100))
    await broker.publisher.publish(numbered(ALERTS, 1100, 1101))
    assert broker.numbers(ALERTS)[-1] == 1100


async def test_what_is_published_while_the_line_drains_stands_behind_it(broker):
    broker.up = False
    await broker.publisher.publish(numbered(ALERTS, 0, 5))
    broker.up, broker.slow = True, asyncio.Event()
    slow = broker.slow
    while broker.slow is not None:
        await broker.clock.advance(0.1)
    assert broker.publisher.connected
    await broker.publisher.publish(numbered(ALERTS, 5, 10))
    assert broker.numbers(ALERTS) == []
    slow.set()
    await emptied(broker)
    assert broker.numbers(ALERTS) == list(range(10))


async def test_a_publish_that_waits_for_the_broker_is_not_overtaken_by_the_next(broker):
    broker.slow = slow = asyncio.Event()
    first = asyncio.create_task(broker.publisher.publish(numbered(ALERTS, 0, 5)))
    second = asyncio.create_task(broker.publisher.publish(numbered(ALERTS, 5, 10)))
    await broker.clock.advance(0.1)
    broker.up = False
    slow.set()
    await asyncio.gather(first, second)
    broker.up = True
    await emptied(broker)
    assert broker.numbers(ALERTS) == list(range(10))


async def test_many_tasks_that_publish_through_an_outage_keep_their_own_order(broker):
    async def publish(key: str) -> None:
        for number in range(50):
            await broker.publisher.publish([Message(ALERTS, key, b"%d" % number)])
            if number == 20:
                broker.up = False
            if number == 40:
                broker.up = True
            await asyncio.sleep(0)

    keys = [f"k{number}" for number in range(8)]
    await asyncio.gather(*[publish(key) for key in keys])
    await emptied(broker)
    for key in keys:
        came = [int(message.value) for message in broker.took if message.key == key]
        assert list(dict.fromkeys(came)) == list(range(50))


async def test_an_answer_that_was_lost_makes_a_duplicate_never_a_gap(broker):
    broker.takes_before_failing = True
    await broker.publisher.publish(numbered(ALERTS, 0, 5))
    await emptied(broker)
    assert broker.numbers(ALERTS) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]


async def test_after_an_outage_tables_come_first_then_current_frames_then_older_ones(broker):
    broker.up = False
    for number in range(600):
        await broker.publisher.publish(numbered(FRAMES, number, number + 1))
    await broker.publisher.publish([Message(FRAMES, "k", b"\x94table")])

    async def publish_when_it_is_back() -> None:
        await broker.publisher._up.wait()
        await broker.publisher.publish(numbered(FRAMES, 600, 601))

    current = asyncio.create_task(publish_when_it_is_back())
    broker.up = True
    await emptied(broker)
    await current
    assert broker.took[0].value == b"\x94table"
    came = broker.numbers(FRAMES)
    assert sorted(came) == list(range(601))
    assert came.index(600) < 599, "the current frame did not wait for all the older ones"
    older = [number for number in came if number != 600]
    assert older == sorted(older)


async def test_the_line_drains_before_the_ring(broker):
    broker.up = False
    await broker.publisher.publish(numbered(FRAMES, 0, 300) + numbered(ALERTS, 0, 300))
    broker.up = True
    await emptied(broker)
    assert [message.topic for message in broker.took] == [ALERTS] * 300 + [FRAMES] * 300


async def test_a_refused_message_leaves_line_and_ring_untouched(broker):
    broker.up = False
    with pytest.raises(ValueError, match="partition 7 is not there"):
        await broker.publisher.publish([*numbered(ALERTS, 0, 1), Message(FRAMES, "k", b"", partition=7)])
    assert broker.publisher.pending() == 0


async def test_a_disk_that_fails_during_an_outage_is_an_error_to_the_publisher(broker):
    broker.up = False
    await broker.publisher.publish(numbered(ALERTS, 0, 1))
    broker.spool._writer._connection.execute("PRAGMA max_page_count=1")
    with pytest.raises(BusError, match="disk is full"):
        await broker.publisher.publish([Message(ALERTS, "k", bytes(100_000))])


async def test_a_broker_that_is_not_there_at_start_is_said_and_publishing_works_all_the_same(tmp_path):
    url, clock = "kafka://127.0.0.1:1", SystemClock()
    with pytest.raises(BusError, match=r"kafka 127\.0\.0\.1:1: .*try whether it runs"):
        await open_bus(url, data=tmp_path, clock=clock, partitions=1, require=True)
    bus = await open_bus(url, data=tmp_path, clock=clock, partitions=1, spool="rules")
    publisher = await bus.publisher()
    await publisher.publish(numbered(ALERTS, 0, 10))
    assert publisher.pending() == 10
    await until(lambda: asyncio.sleep(0, "127.0.0.1:1" in publisher.last_fault), "the fault is said")
    for ask in (
        lambda: bus.consumer(group="g", topics=[ALERTS]),
        lambda: bus.reader(topics=[ALERTS]),
        lambda: bus.latest(ALERTS),
    ):
        with pytest.raises(BusError, match=r"127\.0\.0\.1:1"):
            await ask()
    await bus.close()
    assert (tmp_path / "rules.sqlite").exists()


async def test_a_bus_url_of_neither_form_is_refused_with_what_to_try(tmp_path):
    with pytest.raises(ValueError, match="try embedded or kafka://host:port"):
        await open_bus("rabbit://x", data=tmp_path, clock=SystemClock(), partitions=1)
    with pytest.raises(ValueError, match="one at least"):
        await SpooledBus.open("x:1", data=tmp_path, clock=SystemClock(), partitions=0)
