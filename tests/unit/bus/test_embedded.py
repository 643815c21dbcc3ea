"""The embedded log's own ways: virtual time, the bell, what is synced, what its sweeps cost."""

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bus import embedded_log as log
from bus.bell import Bell
from bus.embedded import EmbeddedBus
from bus.embedded_groups import STALL_SECONDS
from bus.port import Message, open_bus
from bus.topics import ALERTS, DAY_MS, EVENTS, FRAMES, TOPICS
from fleet.clock import SystemClock, VirtualClock
from tests.contract.bus.harness import numbered, numbers


@pytest.fixture
async def virtual(tmp_path):
    """A bus in virtual time."""
    bus = await EmbeddedBus.open(tmp_path / "bus.sqlite", clock=VirtualClock(), partitions=2)
    yield bus
    await bus.close()


async def test_in_virtual_time_a_fetch_ends_at_its_timeout_and_a_publish_wakes_it(virtual):
    reader = await virtual.reader(topics=[EVENTS])
    waiting = asyncio.create_task(reader.fetch(timeout_seconds=5))
    await virtual.clock.advance(4.9)
    assert not waiting.done()
    await virtual.clock.advance(0.1)
    assert waiting.done()
    assert await waiting == []
    waiting = asyncio.create_task(reader.fetch(timeout_seconds=5))
    await virtual.clock.advance(1)
    await virtual.publish(numbered(EVENTS, 3))
    assert numbers(await waiting) == [0, 1, 2]


async def test_in_virtual_time_an_hour_of_silence_costs_next_to_nothing(virtual):
    reader = await virtual.reader(topics=[EVENTS])
    waiting = asyncio.create_task(reader.fetch(timeout_seconds=3600))
    began = time.process_time()
    await virtual.clock.advance(3600)
    assert await waiting == []
    assert time.process_time() - began < 5


async def test_retention_follows_the_injected_clock(virtual):
    await virtual.publish(numbered(FRAMES, 5, partition=0))
    await virtual.clock.advance(DAY_MS / 1000 - 1)
    await virtual.publish(numbered(FRAMES, 5, start=5, partition=0))
    assert len(await (await virtual.reader(topics=[FRAMES])).fetch()) == 10
    await virtual.clock.advance(2)
    await virtual.publish(numbered(FRAMES, 1, start=10, partition=1))
    left = await (await virtual.reader(topics=[FRAMES])).fetch()
    assert sorted(numbers(left)) == [5, 6, 7, 8, 9, 10]


async def test_compaction_keeps_ninety_days_of_alerts_whole(virtual):
    for number in range(4):
        await virtual.publish(numbered(ALERTS, 1, start=number))
        await virtual.clock.advance(40 * 86_400)
    await virtual.publish([Message(ALERTS, "other", b"9")])
    left = await (await virtual.reader(topics=[ALERTS])).fetch()
    assert numbers(left) == [2, 3, 9], "the first two are superseded and older than 90 days"


async def test_the_last_record_of_a_key_outlives_every_lag(virtual):
    await virtual.publish(numbered(ALERTS, 1))
    await virtual.clock.advance(1000 * 86_400)
    await virtual.publish([Message(ALERTS, "other", b"9")])
    await virtual.clock.advance(10)
    await virtual.publish([Message(ALERTS, "other", b"9")])
    assert numbers(await (await virtual.reader(topics=[ALERTS])).fetch())[0] == 0


async def test_offsets_go_on_where_they_were_when_everything_has_expired(virtual):
    await virtual.publish(numbered(EVENTS, 5))
    await virtual.clock.advance(8 * 86_400)
    await virtual.publish(numbered(ALERTS, 1))
    assert await (await virtual.reader(topics=[EVENTS])).fetch(timeout_seconds=0) == []
    await virtual.publish(numbered(EVENTS, 1, start=5))
    (record,) = await (await virtual.reader(topics=[EVENTS])).fetch()
    assert record.offset == 5


async def test_a_consumer_that_retention_has_overtaken_counts_what_it_missed(virtual):
    consumer = await virtual.consumer(group="g", topics=[EVENTS])
    await virtual.publish(numbered(EVENTS, 5))
    await consumer.fetch(limit=2)
    await virtual.clock.advance(8 * 86_400)
    await virtual.publish(numbered(EVENTS, 1, start=5))
    await virtual.clock.advance(2)
    await virtual.publish(numbered(EVENTS, 1, start=6))
    assert numbers(await consumer.fetch()) == [5, 6]
    assert consumer.missed == 3


async def test_a_clock_that_jumped_ahead_and_back_neither_stops_retention_nor_hides_records(virtual):
    await virtual.publish(numbered(EVENTS, 1))
    virtual.clock.step_wall(3650 * 86_400)
    await virtual.publish(numbered(EVENTS, 1, start=1))
    virtual.clock.step_wall(-3650 * 86_400)
    since = virtual.clock.now_ms()
    await virtual.publish(numbered(EVENTS, 1, start=2))
    assert 2 in numbers(await (await virtual.reader(topics=[EVENTS], since_ms=since)).fetch())
    await virtual.clock.advance(8 * 86_400)
    await virtual.publish(numbered(EVENTS, 1, start=3))
    await virtual.clock.advance(2)
    await virtual.publish(numbered(EVENTS, 1, start=4))
    assert numbers(await (await virtual.reader(topics=[EVENTS])).fetch()) == [3, 4]


async def test_a_reader_since_a_time_begins_at_the_first_record_of_it(virtual):
    for number in range(100):
        await virtual.publish(numbered(EVENTS, 1, start=number))
        await virtual.clock.advance(0.001)
    since = virtual.clock.now_ms() - 40
    assert numbers(await (await virtual.reader(topics=[EVENTS], since_ms=since)).fetch()) == list(range(60, 100))


async def test_a_reader_since_a_time_that_the_clock_has_passed_twice_gets_both(virtual):
    start = virtual.clock.now_ms()
    for number in range(120):
        if number == 60:
            virtual.clock.step_wall(-3600)
        await virtual.publish(numbered(EVENTS, 1, start=number))
        await virtual.clock.advance(60)
    got = numbers(await (await virtual.reader(topics=[EVENTS], since_ms=start + 50 * 60_000)).fetch())
    assert {*range(50, 60), *range(110, 120)} <= set(got)


async def test_a_member_that_does_not_fetch_for_five_minutes_loses_its_partitions(virtual):
    first = await virtual.consumer(group="g", topics=[EVENTS])
    second = await virtual.consumer(group="g", topics=[EVENTS])
    await virtual.publish(numbered(EVENTS, 5))
    assert numbers(await first.fetch()) == [0, 1, 2, 3, 4]
    for _ in range(STALL_SECONDS):
        await virtual.clock.advance(1)
        assert await second.fetch(timeout_seconds=0) == []
    await virtual.clock.advance(1)
    assert numbers(await second.fetch()) == [0, 1, 2, 3, 4]
    await first.commit()
    assert first.lost == 1, "its commit came too late and moved nothing"
    assert (first.assignment(), second.assignment()) == (frozenset(), frozenset({(EVENTS, 0)}))


async def test_a_member_over_its_share_hands_back_only_what_it_has_committed(virtual):
    first = await virtual.consumer(group="g", topics=[FRAMES])
    for partition in (0, 1):
        await virtual.publish(numbered(FRAMES, 1, partition=partition))
    await first.fetch()
    await virtual.consumer(group="g", topics=[FRAMES])
    await virtual.clock.advance(2)
    await first.fetch(timeout_seconds=0)
    assert len(first.assignment()) == 2
    await first.commit()
    await virtual.clock.advance(2)
    await first.fetch(timeout_seconds=0)
    assert len(first.assignment()) == 1


@pytest.mark.parametrize(("topic", "synced"), [(ALERTS, "FULL"), (FRAMES, "NORMAL"), (EVENTS, "NORMAL")])
async def test_what_must_outlive_a_power_loss_is_synced(tmp_path, topic, synced):
    bus = await EmbeddedBus.open(tmp_path / "bus.sqlite", clock=SystemClock(), partitions=1)
    statements: list[str] = []
    await bus._writer.run(lambda connection: connection.set_trace_callback(statements.append))
    await bus.publish(numbered(topic, 1))
    await bus.close()
    inserted = next(index for index, statement in enumerate(statements) if statement.startswith("INSERT INTO log_"))
    assert [one for one in statements[:inserted] if "synchronous" in one][-1].endswith(synced)


async def test_a_sweep_takes_only_a_bounded_piece_at_a_time(virtual):
    count = log.SWEEP_ROWS + 100
    await virtual.publish(numbered(EVENTS, count))
    await virtual.clock.advance(8 * 86_400)
    await virtual.publish(numbered(ALERTS, 1))
    left = await (await virtual.reader(topics=[EVENTS])).fetch(limit=count)
    assert len(left) == 100
    await virtual.clock.advance(2)
    await virtual.publish(numbered(ALERTS, 1))
    assert await (await virtual.reader(topics=[EVENTS])).fetch(timeout_seconds=0) == []


async def test_a_waiting_fetch_returns_when_its_consumer_is_closed(tmp_path):
    bus = await EmbeddedBus.open(tmp_path / "bus.sqlite", clock=SystemClock(), partitions=1)
    reader = await bus.reader(topics=[EVENTS])
    waiting = asyncio.create_task(reader.fetch(timeout_seconds=60))
    await asyncio.sleep(0)
    await reader.close()
    assert await asyncio.wait_for(waiting, 2) == []
    await bus.close()


async def test_the_bell_works_however_long_the_path_is(tmp_path):
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    one, two = (Bell(deep / "bells", clock=SystemClock()) for _ in range(2))
    rung = two.rung
    one.ring()
    await asyncio.wait_for(two.wait(rung, 5), 1)
    assert two.rung == rung + 1
    assert one.alive(two.name)
    two.close()
    assert not one.alive(two.name)
    one.close()
    assert list((deep / "bells").iterdir()) == []


async def test_without_sockets_a_log_is_looked_at_every_ten_milliseconds(tmp_path, monkeypatch):
    monkeypatch.setattr(Bell, "_bind", lambda *_: None)
    buses = [await EmbeddedBus.open(tmp_path / "bus.sqlite", clock=SystemClock(), partitions=1) for _ in range(2)]
    reader = await buses[0].reader(topics=[EVENTS])
    waiting = asyncio.create_task(reader.fetch(timeout_seconds=5))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await buses[1].publish(numbered(EVENTS, 1))
    assert numbers(await waiting) == [0]
    assert time.monotonic() - began < 0.5
    for bus in buses:
        await bus.close()


async def test_a_restart_leaves_no_sockets_and_no_descriptors_behind(tmp_path):
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = opened()
    for _ in range(3):
        bus = await open_bus("embedded", data=tmp_path, clock=SystemClock(), partitions=1)
        await bus.consumer(group="g", topics=[EVENTS])
        await bus.close()
    assert opened() == before
    assert list((tmp_path / "bus.sqlite.bells").iterdir()) == []


async def test_a_group_of_a_process_that_died_leaves_no_members_behind(tmp_path):
    bus = await EmbeddedBus.open(tmp_path / "bus.sqlite", clock=SystemClock(), partitions=1)
    child = os.fork()
    if child == 0:

        async def live() -> None:
            mine = await EmbeddedBus.open(tmp_path / "bus.sqlite", clock=SystemClock(), partitions=1)
            await mine.consumer(group="g", topics=[EVENTS])
            os._exit(0)

        loop = asyncio.new_event_loop()
        asyncio._set_running_loop(None)
        loop.run_until_complete(live())
    await asyncio.to_thread(os.waitpid, child, 0)
    assert bus.reading.execute("SELECT count(*) FROM members").fetchone() == (1,)
    consumer = await bus.consumer(group="g", topics=[EVENTS])
    assert consumer.assignment() == frozenset({(EVENTS, 0)})
    assert bus.reading.execute("SELECT count(*) FROM members").fetchone() == (1,)
    await bus.close()


async def test_topics_and_partitions_of_a_file_are_added_never_taken_away(tmp_path):
    path = tmp_path / "bus.sqlite"
    wide = await EmbeddedBus.open(path, clock=SystemClock(), partitions=5)
    await wide.publish(numbered(FRAMES, 1, partition=4))
    await wide.close()
    more = dict(TOPICS) | {"new": replace(TOPICS[EVENTS], name="new")}
    narrow = await EmbeddedBus.open(path, clock=SystemClock(), partitions=1, topics=more)
    await narrow.publish(numbered("new", 1))
    assert numbers(await (await narrow.reader(topics=[FRAMES])).fetch()) == [0]
    await narrow.close()
