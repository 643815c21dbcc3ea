"""The broker goes and comes back: nothing accepted is lost, order holds, memory and disk stay bounded, telemetry is counted."""

import asyncio
import resource
import time
from pathlib import Path

import numpy as np
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from bus.frame_reader import FrameReader
from bus.frames import FrameWriter, SeriesLayout
from bus.port import Message
from bus.spool import RingSize
from tests.contract.bus.harness import Harness, drained, numbered, numbers, until
from tests.real.kafka import KafkaBroker

pytestmark = pytest.mark.peer("kafka")


@pytest.fixture
async def harness(broker: KafkaBroker, tmp_path: Path):
    made = Harness(broker.url, tmp_path)
    yield made
    if broker.process is None:
        await asyncio.to_thread(broker.start)
    await made.close()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def test_a_broker_killed_under_load_loses_nothing_accepted(harness: Harness, broker: KafkaBroker):
    bus = await harness.open()
    publisher = await bus.publisher()
    consumer = await bus.consumer(
        group=harness.group("g"), topics=[harness.alerts, harness.frames], session_seconds=3.0
    )
    accepted = {harness.alerts: 0, harness.frames: 0}
    got: dict[str, list[int]] = {harness.alerts: [], harness.frames: []}
    stop, all_accepted = asyncio.Event(), asyncio.Event()

    async def publish(topic: str, batch: int) -> None:
        while not stop.is_set():
            await publisher.publish(numbered(topic, batch, start=accepted[topic], partition=0))
            accepted[topic] += batch
            await asyncio.sleep(0.01)

    async def consume() -> None:
        while not all_accepted.is_set() or any(len(set(got[topic])) < count for topic, count in accepted.items()):
            for record in await consumer.fetch(timeout_seconds=0.5):
                got[record.topic].append(int(record.value or b""))
            await consumer.commit()

    async with asyncio.TaskGroup() as tasks:
        publishing = [tasks.create_task(publish(topic, 5)) for topic in (harness.alerts, harness.frames)]
        consuming = tasks.create_task(consume())
        await until(lambda: asyncio.sleep(0, len(got[harness.alerts]) > 50), "records before the kill")
        broker.kill()
        away = dict(accepted)
        await until(
            lambda: asyncio.sleep(0, accepted[harness.alerts] > away[harness.alerts] + 50), "accepted while it is away"
        )
        assert publisher.pending() > 0
        await asyncio.to_thread(broker.start)
        back = time.monotonic()
        await until(lambda: asyncio.sleep(0, publisher.connected and not publisher.pending()), "the spool is empty")
        after = accepted[harness.alerts]
        await until(lambda: asyncio.sleep(0, accepted[harness.alerts] > after + 20), "publishing goes on")
        stop.set()
        await asyncio.gather(*publishing)
        all_accepted.set()
        await asyncio.wait_for(consuming, 40)
        assert time.monotonic() - back < 40
    for topic, count in accepted.items():
        assert set(got[topic]) == set(range(count)), f"{topic}: {count} accepted, {len(set(got[topic]))} arrived"
    first_seen = list(dict.fromkeys(got[harness.alerts]))
    assert first_seen == sorted(first_seen), "what leaves the line leaves it in order"
    assert publisher.dropped_frames == 0


async def test_while_the_broker_is_away_memory_is_bounded_and_the_ring_counts_what_it_drops(
    harness: Harness, broker: KafkaBroker
):
    ring = RingSize(seconds=600, bytes=4 << 20)
    bus = await harness.open(ring=ring)
    publisher = await bus.publisher()
    broker.kill()
    writer, layout = FrameWriter(boot=1), SeriesLayout.of([(f"m{number}", []) for number in range(320)])
    values = np.arange(320.0)
    sources = [f"dgx-{number:03}/dcgm" for number in range(64)]

    def frames(at: int) -> list[Message]:
        messages = [one for source in sources for one in writer.messages(source, 0, layout, at, values)]
        return [Message(harness.frames, one.key, one.value, (), one.partition) for one in messages]

    await publisher.publish(frames(0))
    await publisher.publish(numbered(harness.events, 100))
    before = resident_bytes()
    for at in range(1, 130):
        await publisher.publish(frames(at * 1000))
        await publisher.publish(numbered(harness.events, 10, start=90 + 10 * at))
    assert resident_bytes() - before < 16 << 20, "8,320 frames of 2.6 kB (22 MB) do not stay in memory"
    spool = bus.spool
    assert publisher.dropped_frames > 5_000
    assert spool.ringed + publisher.dropped_frames == 64 * 130
    assert spool.ring_bytes <= ring.bytes
    assert spool.tables == 64
    assert sum(path.stat().st_size for path in harness.data.glob("spool.sqlite*")) < 48 << 20
    await asyncio.to_thread(broker.start)
    kept = spool.ringed
    await until(lambda: asyncio.sleep(0, publisher.connected), "the broker is reached")
    await publisher.publish(frames(130_000))
    await until(lambda: asyncio.sleep(0, not publisher.pending()), "the spool is empty")
    assert numbers(await drained(await bus.reader(topics=[harness.events]), 1390)) == list(range(1390))
    records = await drained(await bus.reader(topics=[harness.frames]), kept + 64 + 64)
    reader = FrameReader()
    read = reader.read(record.value for record in records)
    assert (reader.malformed, reader.parked) == (0, 0), "tables come first, so that current frames are read at once"
    assert len(read) == kept + 64
    newest = max(index for index, frame in enumerate(read) if frame.at == 130_000)
    assert newest < len(read) - 1, "current frames do not wait for the ring"


async def test_topics_that_vanish_are_made_again_and_what_was_accepted_meanwhile_arrives(
    harness: Harness, broker: KafkaBroker
):
    bus = await harness.open()
    publisher = await bus.publisher()
    await publisher.publish(numbered(harness.alerts, 5))
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    await admin.delete_topics([harness.alerts])
    await admin.close()
    await publisher.publish(numbered(harness.alerts, 5, start=5))
    await until(lambda: asyncio.sleep(0, publisher.connected and not publisher.pending()), "the spool is empty")
    assert numbers(await drained(await bus.reader(topics=[harness.alerts]), 5)) == [5, 6, 7, 8, 9]


async def test_a_frozen_broker_costs_a_publisher_seconds_and_loses_nothing(harness: Harness, broker: KafkaBroker):
    bus = await harness.open()
    publisher = await bus.publisher()
    await publisher.publish(numbered(harness.alerts, 10))
    broker.freeze()
    try:
        for start in range(10, 60, 10):
            began = time.monotonic()
            await publisher.publish(numbered(harness.alerts, 10, start=start))
            assert time.monotonic() - began < (8 if start == 10 else 1), "only the first one waits for an answer"
    finally:
        broker.thaw()
    await until(lambda: asyncio.sleep(0, not publisher.pending()), "the spool is empty")
    came = numbers(await drained(await bus.reader(topics=[harness.alerts]), 60))
    assert list(dict.fromkeys(came)) == list(range(60))


async def test_a_spool_outlives_kill_9_of_its_process_and_drains_in_order(harness: Harness, broker: KafkaBroker):
    broker.kill()
    worker = harness.worker("publish", topic=harness.alerts, batch=5)
    accepted = int((await worker.said(30))[-1])
    accepted = max([accepted, *map(int, worker.kill())])
    await asyncio.to_thread(broker.start)
    bus = await harness.open()
    publisher = await bus.publisher()
    await publisher.publish([Message(harness.alerts, "k", b"1000000")])
    came = numbers(await drained(await bus.reader(topics=[harness.alerts]), accepted + 2))
    in_order = list(dict.fromkeys(came))
    assert in_order == sorted(in_order)
    assert in_order[: accepted + 1] == list(range(accepted + 1))
    assert in_order[-1] == 1_000_000
