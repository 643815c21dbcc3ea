"""Leadership over a real Apache Kafka: one leads, its death is followed by a higher epoch, its standstill by nobody's act."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.claims import BusClaims, ClaimsLeadership
from bus.port import open_bus
from fleet.clock import SystemClock
from tests.real.kafka import KafkaBroker

pytestmark = [pytest.mark.peer("kafka"), pytest.mark.timeout(180)]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    running = KafkaBroker(tmp_path / "kafka").start()
    yield running
    running.stop()


async def until(condition, seconds: float) -> float:
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)
    return loop.time() - started


async def test_one_of_two_leads_and_a_silent_death_is_followed_by_a_higher_epoch(
    broker: KafkaBroker, tmp_path: Path
) -> None:
    clock = SystemClock()
    buses = [await open_bus(broker.url, data=tmp_path / name, clock=clock, partitions=2) for name in "ab"]
    both = [
        ClaimsLeadership(await BusClaims.open(bus, clock, "leader"), clock, name)
        for bus, name in zip(buses, "ab", strict=True)
    ]
    tasks = [asyncio.create_task(who.run()) for who in both]

    def leaders() -> list[int]:
        return [place for place, who in enumerate(both) if who.epoch() is not None]

    await until(leaders, 40)
    (first,) = leaders()
    before = both[first].epoch()
    both[first]._log.append = both[first]._log.read = _never  # it says and hears nothing any more, and lives on
    other = 1 - first
    took = await until(lambda: both[other].epoch() is not None, 30)
    assert both[first].epoch() is None
    assert both[other].epoch() > before
    assert took <= 8
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for bus in buses:
        await bus.close()


async def test_without_the_broker_the_lease_lapses(broker: KafkaBroker, tmp_path: Path) -> None:
    clock = SystemClock()
    bus = await open_bus(broker.url, data=tmp_path / "a", clock=clock, partitions=2)
    who = ClaimsLeadership(await BusClaims.open(bus, clock, "leader"), clock, "a")
    task = asyncio.create_task(who.run())
    await until(lambda: who.epoch() is not None, 40)
    broker.freeze()
    assert await until(lambda: who.epoch() is None, 12) <= 7
    broker.thaw()
    await until(lambda: who.epoch() is not None, 60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await bus.close()


async def _never(*_args: object, **_fields: object) -> list:
    await asyncio.sleep(3600)
    return []
