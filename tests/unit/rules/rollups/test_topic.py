"""`telemetry.rollups`: who speaks tells each minute, and an engine that lost its look-backs has them again from there."""

from pathlib import Path

import numpy as np
import pytest

from bus.embedded import EmbeddedBus
from bus.frames import FrameWriter
from bus.port import Message
from bus.topics import ROLLUPS
from fleet.clock import VirtualClock
from fleet.errors import Malformed
from rules.engine import Engine
from rules.rollups.minutes import GRACE_MS, MetricMinute, Minute, decoded, encoded
from rules.rollups.topic import RollupTopic
from tests.unit.rules.rollups.test_look_backs import RULES, START_MS, Source, engine_of, recorded

STEP_MS = 10_000


class Site:
    """A bus with its clock, and engines on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, VirtualClock(START_MS)
        self.bus: EmbeddedBus

    def topic(self, engine: Engine) -> RollupTopic:
        return RollupTopic(engine, self.bus, self.clock, lambda source: 1 if source == "s/x" else 0)

    async def publish(self, engine: Engine) -> int:
        """What `run` does each second."""
        rollups = engine.window.rollups
        assert rollups is not None
        topic = self.topic(engine)
        messages = [topic._message(minute) for minute in rollups.told(self.clock.now_ms() - GRACE_MS)]
        if messages:
            await self.bus.publish(messages)
        return len(messages)

    async def run(self, engine: Engine, source: Source, steps: int, *, speaks: bool = True) -> int:
        told = 0
        for _ in range(steps):
            await self.clock.advance(STEP_MS / 1000)
            source.feed(engine, self.clock.now_ms())
            told += await self.publish(engine) if speaks else 0
        return told


@pytest.fixture
async def site(tmp_path: Path):
    found = Site(tmp_path)
    found.bus = await EmbeddedBus.open(tmp_path / "bus.sqlite", clock=found.clock, partitions=2)
    yield found
    await found.bus.close()


def read_again(site: Site, engine: Engine, twin: Source, steps: int) -> None:
    """The frames of the last quarter of an hour, as after every restart."""
    nobody = engine_of(site.folder)
    for step in range(steps):
        if step == steps - 100:
            twin.writer = FrameWriter(99)  # tells its table once more
        twin.feed(engine if step >= steps - 100 else nobody, START_MS + STEP_MS * (step + 1))


async def records(site: Site) -> list:
    reader = await site.bus.reader(topics=[ROLLUPS])
    found = []
    while some := await reader.fetch(timeout_seconds=0):
        found += some
    await reader.close()
    return found


async def test_each_minute_is_told_once_by_its_source_and_partition_and_the_first_one_is_not_whole(site: Site) -> None:
    engine, source = engine_of(site.folder), Source(1)
    site.topic(engine).begin()
    assert await site.run(engine, source, 60) == 8
    found = await records(site)
    assert {(record.key, record.partition) for record in found} == {("s/x", 1)}
    minutes = [decoded(record.value) for record in found]
    assert [minute.minute for minute in minutes] == [START_MS + 60_000 * number for number in range(1, 9)]
    for minute in minutes:
        (metric,) = minute.metrics
        for place in range(2):
            values = source.between(place, minute.minute, minute.minute + 59_999)
            told = {field: array[place] for field, array in metric.fields().items()}
            assert (told["count"], told["sum"]) == (len(values), sum(values))
            assert (told["min"], told["max"], told["last"]) == (min(values), max(values), values[-1])


async def test_a_lost_state_is_rebuilt_from_the_topic_and_the_bus(site: Site) -> None:
    one, source = engine_of(site.folder), Source(2)
    site.topic(one).begin()
    await site.run(one, source, 500)
    two, twin = engine_of(site.folder), Source(2)
    topic = site.topic(two)
    topic.begin()
    await topic.rebuild()
    assert 58 <= topic.learned <= 62, "an hour is looked back on"
    read_again(site, two, twin, 500)
    assert recorded(two, site.clock.now_ms()) == recorded(one, site.clock.now_ms())


async def test_what_a_kept_state_has_is_not_learned_twice(site: Site) -> None:
    one, source = engine_of(site.folder), Source(3)
    site.topic(one).begin()
    await site.run(one, source, 300)
    kept = one.look_backs()
    assert kept is not None
    await site.run(one, source, 200)
    two, twin = engine_of(site.folder), Source(3)
    topic = site.topic(two)
    topic.begin()
    two.restore_look_backs(kept)
    await topic.rebuild()
    assert 30 < topic.learned < 40, "only what came after it is read"
    read_again(site, two, twin, 500)
    first, second = recorded(one, site.clock.now_ms()), recorded(two, site.clock.now_ms())
    assert second["count"] == pytest.approx(first["count"], abs=6), "the minute under way was kept in part"
    assert (second["last"], second["min"]) == (first["last"], first["min"])


async def test_a_look_back_that_the_kept_state_lacks_is_learned(site: Site) -> None:
    one, source = engine_of(site.folder), Source(4)
    site.topic(one).begin()
    await site.run(one, source, 400)
    kept = one.look_backs()
    assert kept is not None
    longer = RULES.replace("[1h]", "[30m]", 1)
    two = engine_of(site.folder, longer)
    topic = site.topic(two)
    topic.begin()
    two.restore_look_backs(kept)
    await topic.rebuild()
    source.writer = FrameWriter(99)
    source.feed(two, site.clock.now_ms())
    found = recorded(two, site.clock.now_ms())
    first_ms = (site.clock.now_ms() // 60_000 - 29) * 60_000
    whole = [source.between(place, first_ms, site.clock.now_ms() // 60_000 * 60_000 - 60_001) for place in range(2)]
    assert found["count"] == [pytest.approx(len(values), abs=12) for values in whole]
    assert min(found["count"]) > 100


async def test_who_begins_to_speak_tells_the_last_minutes_once_more_and_they_count_once(site: Site) -> None:
    one, two, source, twin = engine_of(site.folder), engine_of(site.folder), Source(5), Source(5)
    site.topic(one).begin()
    site.topic(two).begin()
    for _ in range(120):
        await site.clock.advance(STEP_MS / 1000)
        source.feed(one, site.clock.now_ms())
        twin.feed(two, site.clock.now_ms())
        await site.publish(one)
    assert await site.publish(two) == 15
    three = engine_of(site.folder)
    await site.topic(three).rebuild()
    source.writer = FrameWriter(99)
    source.feed(three, site.clock.now_ms())
    found = recorded(three, site.clock.now_ms())
    told_until = (site.clock.now_ms() - GRACE_MS) // 60_000 * 60_000
    whole = source.between(0, START_MS + 60_000, told_until - 1)
    assert found["count"][0] == len(whole) + (source.sent[-1][1][0] is not None)


async def test_a_restart_within_a_minute_tells_it_whole(site: Site) -> None:
    one, source = engine_of(site.folder), Source(6)
    site.topic(one).begin()
    await site.run(one, source, 63)
    kept = one.look_backs()
    assert kept is not None
    two = engine_of(site.folder)
    site.topic(two).begin()
    two.restore_look_backs(kept)
    source.writer = FrameWriter(99)
    await site.run(two, source, 12)
    for minute in [decoded(record.value) for record in await records(site)]:
        (metric,) = minute.metrics
        expected = [len(source.between(place, minute.minute, minute.minute + 59_999)) for place in range(2)]
        assert metric.fields()["count"].tolist() == expected


async def test_records_that_cannot_be_read_are_left_out(site: Site) -> None:
    await site.bus.publish([Message(ROLLUPS, "s/x", b"\x93", partition=1), Message(ROLLUPS, "s/x", b"", partition=1)])
    good = np.ones(1).tobytes()
    uneven = MetricMinute(
        name="m", series=good, count=good + good, sum=good, min=good, max=good, last=good, increase=good
    )
    minute = Minute(source="s/x", minute=START_MS, metrics=[uneven])
    await site.bus.publish([Message(ROLLUPS, "s/x", encoded(minute), partition=1)])
    topic = site.topic(engine_of(site.folder))
    await topic.rebuild()
    assert topic.learned == 0
    with pytest.raises(Malformed, match="version 2"):
        decoded(encoded(Minute(version=2, source="s", minute=0, metrics=[])))
