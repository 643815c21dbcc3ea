"""What the bus promises, whichever adapter keeps it."""

import asyncio
import time

import pytest

from bus.port import Consumer, Message
from bus.topics import ALERTS, EVENTS, FRAMES, MESSAGE_BYTES, TOPICS, Topic
from tests.contract.bus.harness import Harness, drained, numbered, numbers, until


async def test_records_of_a_key_come_in_the_order_they_were_accepted(harness: Harness):
    bus = await harness.open()
    publisher = await bus.publisher()
    consumer = await bus.consumer(group=harness.group("g"), topics=[harness.frames])
    for start in range(0, 100, 10):
        await publisher.publish(
            [message for key in "abcdef" for message in numbered(harness.frames, 10, start=start, key=key)]
        )
    records = await drained(consumer, 600)
    assert len({record.partition for record in records}) > 1
    for key in "abcdef":
        of_key = [record for record in records if record.key == key]
        assert numbers(of_key) == list(range(100))
        assert len({record.partition for record in of_key}) == 1


async def test_a_record_is_what_was_sent_with_its_place_and_the_time_the_bus_took_it(harness: Harness):
    bus = await harness.open()
    before_ms = time.time_ns() // 1_000_000
    headers = (("hk-key", b"\x00\xff"), ("hk-signature", b"s" * 64), ("hk-key", b"twice"))
    publisher = await bus.publisher()
    await publisher.publish(
        [Message(harness.frames, "schlüssel", b"\x00\xffvalue", headers, 2), Message(harness.frames, "", b"", (), 2)]
    )
    assert publisher.pending() == 0
    first, second = await drained(await bus.reader(topics=[harness.frames]), 2)
    assert (first.topic, first.partition, first.offset, first.key, first.value) == (
        harness.frames,
        2,
        0,
        "schlüssel",
        b"\x00\xffvalue",
    )
    assert (first.headers, first.header("hk-key")) == (headers, b"\x00\xff")
    assert (second.offset, second.key, second.value, second.headers) == (1, "", b"", ())
    assert before_ms - 1000 <= first.at_ms <= time.time_ns() // 1_000_000 + 1000


async def test_one_publish_may_carry_several_topics(harness: Harness):
    bus = await harness.open()
    await (await bus.publisher()).publish(
        [*numbered(harness.alerts, 2), *numbered(harness.frames, 2, partition=1), *numbered(harness.events, 2)]
    )
    records = await drained(await bus.reader(topics=[harness.alerts, harness.frames, harness.events]), 6)
    assert sorted({record.topic for record in records}) == sorted([harness.alerts, harness.frames, harness.events])


@pytest.mark.parametrize("wrong", ["topic", "partition", "negative", "size"])
async def test_a_message_no_bus_would_take_is_refused_with_its_whole_batch(harness: Harness, wrong: str):
    bus = await harness.open()
    publisher = await bus.publisher()
    bad = {
        "topic": Message("weather", "k", b""),
        "partition": Message(harness.frames, "k", b"", partition=3),
        "negative": Message(harness.frames, "k", b"", partition=-1),
        "size": Message(harness.frames, "k", bytes(MESSAGE_BYTES + 1)),
    }[wrong]
    with pytest.raises(ValueError, match="try"):
        await publisher.publish([*numbered(harness.frames, 1), bad])
    assert await (await bus.reader(topics=[harness.frames])).fetch(timeout_seconds=0.2) == []


async def test_the_largest_message_passes(harness: Harness):
    bus = await harness.open()
    await (await bus.publisher()).publish([Message(harness.frames, "k", bytes(MESSAGE_BYTES))])
    (record,) = await drained(await bus.reader(topics=[harness.frames]), 1)
    assert len(record.value or b"") == MESSAGE_BYTES


async def test_a_reader_goes_on_where_another_has_stopped_and_not_in_a_log_that_ends_before(harness: Harness):
    bus = await harness.open()
    await (await bus.publisher()).publish(
        [*numbered(harness.frames, 5, partition=1), *numbered(harness.frames, 3, partition=2)]
    )
    positions = {(harness.frames, 1): 3, (harness.frames, 2): 4}
    reader = await bus.reader(topics=[harness.frames], positions=positions)
    records = await drained(reader, 5)
    assert sorted((record.partition, record.offset) for record in records) == [(1, 3), (1, 4), (2, 0), (2, 1), (2, 2)]
    at_end = await bus.reader(topics=[harness.frames], since_ms=0, positions={(harness.frames, 1): 5})
    assert [record.partition for record in await drained(at_end, 3)] == [2, 2, 2]


async def test_what_was_not_committed_is_delivered_again(harness: Harness):
    bus = await harness.open()
    await (await bus.publisher()).publish(numbered(harness.events, 20))
    first = await bus.consumer(group=harness.group("g"), topics=[harness.events])
    assert numbers(await drained(first, 20)) == list(range(20))
    await first.close()
    second = await bus.consumer(group=harness.group("g"), topics=[harness.events])
    assert numbers(await drained(second, 20)) == list(range(20))


async def test_a_group_goes_on_behind_what_it_committed(harness: Harness):
    bus = await harness.open()
    publisher = await bus.publisher()
    await publisher.publish(numbered(harness.events, 20))
    first = await bus.consumer(group=harness.group("g"), topics=[harness.events])
    fetched = await first.fetch(limit=7, timeout_seconds=10)
    while not fetched:
        fetched = await first.fetch(limit=7)
    await first.commit()
    await drained(first, 20 - len(fetched))
    await first.close()
    await publisher.publish(numbered(harness.events, 5, start=20))
    second = await bus.consumer(group=harness.group("g"), topics=[harness.events])
    assert numbers(await drained(second, 25 - len(fetched))) == list(range(len(fetched), 25))


async def test_a_new_group_starts_at_the_earliest_record_and_knows_nothing_of_others(harness: Harness):
    bus = await harness.open()
    await (await bus.publisher()).publish(numbered(harness.events, 10))
    for group in ("one", "two"):
        consumer = await bus.consumer(group=harness.group(group), topics=[harness.events])
        assert numbers(await drained(consumer, 10, commit=True)) == list(range(10))


async def test_committed_offsets_survive_kill_9_of_the_consumer(harness: Harness):
    bus = await harness.open()
    await (await bus.publisher()).publish(numbered(harness.events, 3000))
    worker = harness.worker(
        "consume", topics=[harness.events], group=harness.group("g"), commit=True, limit=10, pause=0.05
    )
    said: list[str] = []
    while said.count("committed") < 2 or len(said) < 25:
        said += await worker.said(1)
    said += worker.kill()
    fetched = [int(word) for word in said if word.isdigit()]
    committed = [int(word) for word in said[: len(said) - said[::-1].index("committed")] if word.isdigit()]
    successor = await bus.consumer(group=harness.group("g"), topics=[harness.events])
    rest: list[int] = []
    while 2999 not in rest:
        rest += numbers(await drained(successor, 1))
    assert rest == list(range(rest[0], 3000))
    assert max(committed) < rest[0] <= max(fetched) + 1, "nothing committed comes again, nothing uncommitted is lost"


async def test_nothing_accepted_is_lost_when_the_publisher_is_killed(harness: Harness):
    worker = harness.worker("publish", topic=harness.alerts, batch=5)
    accepted = int((await worker.said(20))[-1])
    accepted = max([accepted, *map(int, worker.kill())])
    bus = await harness.open()
    records = await drained(await bus.reader(topics=[harness.alerts]), accepted + 1)
    assert numbers(records)[: accepted + 1] == list(range(accepted + 1))


async def test_members_of_a_group_share_the_partitions_and_each_record_goes_to_one(harness: Harness):
    bus, other = await harness.open(partitions=4), await harness.open(partitions=4)
    publisher = await bus.publisher()
    members = [
        await one.consumer(group=harness.group("g"), topics=[harness.frames], session_seconds=3.0)
        for one in (bus, other)
    ]

    async def shared() -> bool:
        for member in members:
            await member.fetch(timeout_seconds=0.2)
            await member.commit()
        return all(len(member.assignment()) == 2 for member in members)

    await until(shared, "two partitions each")
    assert not members[0].assignment() & members[1].assignment()
    for partition in range(4):
        await publisher.publish(numbered(harness.frames, 25, start=25 * partition, partition=partition))
    parts = await asyncio.gather(*[drained(member, 50) for member in members])
    assert sorted(numbers(parts[0] + parts[1])) == list(range(100))


async def test_a_killed_members_partitions_go_to_the_living(harness: Harness):
    bus = await harness.open()
    await (await bus.publisher()).publish(numbered(harness.events, 10))
    worker = harness.worker("consume", topics=[harness.events], group=harness.group("g"), commit=False, limit=10)
    assert len(await worker.said(11)) == 11
    standby = await bus.consumer(group=harness.group("g"), topics=[harness.events], session_seconds=3.0)
    worker.kill()
    began = time.monotonic()
    assert numbers(await drained(standby, 10)) == list(range(10))
    assert time.monotonic() - began < (3 if harness.embedded else 15)


async def test_a_member_that_closes_hands_its_partitions_over_at_once(harness: Harness):
    bus, other = await harness.open(), await harness.open()
    publisher = await bus.publisher()
    first = await bus.consumer(group=harness.group("g"), topics=[harness.events])
    await publisher.publish(numbered(harness.events, 5))
    await drained(first, 5, commit=True)
    second = await other.consumer(group=harness.group("g"), topics=[harness.events])
    closing = asyncio.create_task(first.close())
    await publisher.publish(numbered(harness.events, 5, start=5))
    assert numbers(await drained(second, 5, patience=15)) == list(range(5, 10))
    await closing


async def test_a_named_member_that_restarts_has_its_partitions_back_at_once(harness: Harness):
    bus, other = await harness.open(partitions=4), await harness.open(partitions=4)
    second = await other.consumer(group=harness.group("g"), topics=[harness.frames], member="two", session_seconds=30.0)
    for _ in range(2):
        first = await bus.consumer(
            group=harness.group("g"), topics=[harness.frames], member="one", session_seconds=30.0
        )

        async def shared(first: Consumer = first) -> bool:
            await asyncio.gather(*[member.fetch(timeout_seconds=0.2) for member in (first, second)])
            return len(first.assignment()) == len(second.assignment()) == 2

        await until(shared, "two partitions each", patience=10)
        await first.close()


async def test_a_reader_needs_no_group_and_commits_nothing(harness: Harness):
    bus = await harness.open()
    await (await bus.publisher()).publish(numbered(harness.events, 5))
    for _ in range(2):
        reader = await bus.reader(topics=[harness.events])
        assert numbers(await drained(reader, 5)) == list(range(5))
        await reader.commit()
        await reader.close()


async def test_a_reader_since_a_time_misses_nothing_written_from_then_on(harness: Harness):
    bus = await harness.open()
    publisher = await bus.publisher()
    await publisher.publish(numbered(harness.frames, 50, partition=0))
    (*_, last) = await drained(await bus.reader(topics=[harness.frames]), 50)
    await asyncio.sleep(0.05)
    await publisher.publish(
        [message for part in (0, 1) for message in numbered(harness.frames, 50, start=50, partition=part)]
    )
    reader = await bus.reader(topics=[harness.frames], since_ms=last.at_ms + 1)
    assert sorted(numbers(await drained(reader, 100))) == sorted([*range(50, 100), *range(50, 100)])
    future = await bus.reader(topics=[harness.frames], since_ms=last.at_ms + 3_600_000)
    assert await future.fetch(timeout_seconds=0.2) == []
    await publisher.publish(numbered(harness.frames, 1, start=100))
    assert numbers(await drained(future, 1)) == [100]


async def test_the_latest_record_of_each_key_is_found(harness: Harness):
    bus = await harness.open()
    publisher = await bus.publisher()
    assert await bus.latest(harness.alerts) == {}
    await publisher.publish([message for key in "cab" for message in numbered(harness.alerts, 5, key=key)])
    await publisher.publish([Message(harness.alerts, "a", b"9", (("hk-key", b"id"),))])
    latest = await bus.latest(harness.alerts)
    assert {key: record.value for key, record in latest.items()} == {"a": b"9", "b": b"4", "c": b"4"}
    assert latest["a"].headers == (("hk-key", b"id"),)
    with pytest.raises(ValueError, match="not compacted"):
        await bus.latest(harness.frames)


async def test_records_older_than_their_retention_go(harness: Harness):
    topic = harness.add(TOPICS[EVENTS], retention_ms=1_500, kafka=(("segment.ms", "500"),))
    bus = await harness.open()
    publisher = await bus.publisher()
    await publisher.publish([Message(topic, "k", b"old")] * 20)

    async def gone() -> bool:
        await publisher.publish([Message(topic, "k", b"tick")])
        (first, *_) = await drained(await bus.reader(topics=[topic]), 1)
        return first.value == b"tick"

    assert not await gone()
    await until(gone, "the old records are gone")


async def test_records_over_the_size_go_oldest_first(harness: Harness):
    limit = 1 << 20
    topic = harness.add(
        TOPICS[FRAMES], retention_bytes=limit, kafka=(("retention.bytes", str(limit)), ("segment.bytes", str(limit)))
    )
    bus = await harness.open(partitions=1)
    publisher = await bus.publisher()
    for start in range(0, 60, 10):
        await publisher.publish(
            [Message(topic, "k", b"%7d" % number + bytes(100_000)) for number in range(start, start + 10)]
        )

    async def trimmed() -> bool:
        await publisher.publish([Message(topic, "k", b"     60")])
        (first, *_) = await drained(await bus.reader(topics=[topic]), 1)
        return int((first.value or b"")[:7]) >= 30

    await until(trimmed, "the first half is gone")
    reader = await bus.reader(topics=[topic])
    left: list[int] = []
    while 60 not in left:  # what is left shrinks while it is read
        left += [int((record.value or b"")[:7]) for record in await drained(reader, 1)]
    assert left == sorted(left)
    assert {*range(55, 61)} <= set(left)


COMPACT = (("segment.ms", "100"), ("min.cleanable.dirty.ratio", "0.0"), ("max.compaction.lag.ms", "1000"))


async def test_compaction_leaves_the_last_record_of_each_key_after_the_lag(harness: Harness):
    topic = harness.add(TOPICS[ALERTS], compaction_lag_ms=500, kafka=COMPACT)
    bus = await harness.open()
    publisher = await bus.publisher()
    await publisher.publish([Message(topic, key, b"%d" % number) for number in range(10) for key in "ab"])
    assert len(await drained(await bus.reader(topics=[topic]), 20)) == 20, "the whole history, until the lag is over"

    async def compacted() -> bool:
        await publisher.publish([Message(topic, "tick", b"")])
        records = await drained(await bus.reader(topics=[topic]), 2)
        return [record.value for record in records if record.key in {"a", "b"}] == [b"9", b"9"]

    await until(compacted, "only the last of a and b is left")
    assert {key: record.value for key, record in (await bus.latest(topic)).items()} == {
        "a": b"9",
        "b": b"9",
        "tick": b"",
    }


async def test_compaction_keeps_the_whole_history_inside_its_lag(harness: Harness):
    topic = harness.add(TOPICS[ALERTS], compaction_lag_ms=3_600_000, kafka=COMPACT[:2])
    bus = await harness.open()
    publisher = await bus.publisher()
    for _ in range(4):
        await publisher.publish(numbered(topic, 5))
        await asyncio.sleep(0.6)
    assert len(await drained(await bus.reader(topics=[topic]), 20)) == 20


async def test_a_slow_consumer_holds_nobody_up_and_says_how_far_it_is_behind(harness: Harness):
    bus = await harness.open()
    publisher = await bus.publisher()
    slow = await bus.consumer(group=harness.group("slow"), topics=[harness.frames])
    quick = await bus.consumer(group=harness.group("quick"), topics=[harness.frames])
    await publisher.publish(numbered(harness.frames, 10))
    assert len(await drained(slow, 10)) == 10
    for start in range(10, 3010, 500):
        await publisher.publish(numbered(harness.frames, 500, start=start))
        await drained(quick, 500, commit=True)
    assert await quick.lag() <= 10
    assert await slow.lag() == 3000
    assert numbers(await drained(slow, 3000)) == list(range(10, 3010))


async def test_a_fetch_takes_no_more_than_asked_and_forgets_none(harness: Harness):
    bus = await harness.open()
    await (await bus.publisher()).publish(numbered(harness.events, 100))
    consumer = await bus.consumer(group=harness.group("g"), topics=[harness.events])
    seen: list[int] = []
    while len(seen) < 100:
        records = await consumer.fetch(limit=7, timeout_seconds=5)
        assert len(records) <= 7
        seen += numbers(records)
    assert seen == list(range(100))


async def test_an_empty_topic_is_waited_for_no_longer_than_asked(harness: Harness):
    reader = await (await harness.open()).reader(topics=[harness.events])
    began = time.monotonic()
    assert await reader.fetch(timeout_seconds=0.3) == []
    assert 0.25 < time.monotonic() - began < 1.0


async def test_a_waiting_fetch_wakes_when_another_process_publishes(harness: Harness):
    bus, other = await harness.open(), await harness.open()
    publisher = await other.publisher()
    reader = await bus.reader(topics=[harness.events])
    waits = []
    for number in range(10):
        waiting = asyncio.create_task(reader.fetch(timeout_seconds=10))
        await asyncio.sleep(0.02)
        began = time.monotonic()
        await publisher.publish(numbered(harness.events, 1, start=number))
        assert numbers(await waiting) == [number]
        waits.append(time.monotonic() - began)
    assert sorted(waits)[5] < (0.02 if harness.embedded else 0.1)


async def test_many_publishers_at_once_lose_and_mix_up_nothing(harness: Harness):
    bus = await harness.open()
    publisher = await bus.publisher()

    async def publish(key: str) -> None:
        for number in range(20):
            await publisher.publish([Message(harness.alerts, key, b"%d" % number)])

    await asyncio.gather(*[publish(f"k{number}") for number in range(20)])
    records = await drained(await bus.reader(topics=[harness.alerts]), 400)
    for key in {record.key for record in records}:
        assert numbers([record for record in records if record.key == key]) == list(range(20))


async def test_a_bus_opened_for_more_zones_has_their_partitions(harness: Harness):
    narrow = await harness.open(partitions=2)
    await (await narrow.publisher()).publish(numbered(harness.frames, 1, partition=1))
    wide = await harness.open(partitions=5)
    await (await wide.publisher()).publish(numbered(harness.frames, 1, start=1, partition=4))
    assert sorted(numbers(await drained(await wide.reader(topics=[harness.frames]), 2))) == [0, 1]


def test_every_topic_of_the_design_is_there():
    kept = {name: (topic.retention_ms, topic.compacted, topic.compaction_lag_ms) for name, topic in TOPICS.items()}
    day = 86_400_000
    assert kept == {
        "telemetry.frames": (day, False, 0),
        "telemetry.rollups": (400 * day, False, 0),
        "events": (7 * day, False, 0),
        "alerts": (None, True, 90 * day),
        "incidents": (None, True, 400 * day),
        "remediations": (None, True, 400 * day),
        "commands": (None, True, 400 * day),
        "control": (None, True, 0),
    }
    assert isinstance(TOPICS["control"], Topic)
    assert TOPICS["control"].partitions(4) == 5
    assert TOPICS["telemetry.frames"].partitions(4) == 4
    assert TOPICS["alerts"].partitions(4) == 1
