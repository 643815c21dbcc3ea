"""The outbox: bounded for frames, never dropping events, patient with a bus that is away."""

import asyncio
from contextlib import asynccontextmanager

from bus.errors import BusError
from bus.port import Message
from bus.topics import EVENTS, FRAMES
from collectors.outbox import Outbox
from fleet.clock import VirtualClock
from tests.peers.collecting import MemoryBus


def frame(number: int) -> Message:
    return Message(FRAMES, f"source-{number}", b"%d" % number, (), 1)


def event(number: int) -> Message:
    return Message(EVENTS, "dgx-001", b"event %d" % number)


@asynccontextmanager
async def outbox(clock: VirtualClock, bus: MemoryBus, bound: int = 100):
    dropped: list[int] = []
    box = Outbox(clock, dropped=dropped.append, frames_bound=bound)
    running = asyncio.create_task(box.run(bus))
    try:
        yield box, dropped
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_what_comes_up_within_a_moment_is_one_publication_and_in_order() -> None:
    clock, bus = VirtualClock(), MemoryBus()
    async with outbox(clock, bus) as (box, _):
        for number in range(10):
            box.put([frame(number)])
            await clock.advance(0.001)
        await clock.advance(1)
    assert bus.publications == 1
    assert bus.messages == [frame(number) for number in range(10)]


async def test_while_the_bus_is_away_the_oldest_frames_go_and_are_counted_and_no_event_does() -> None:
    clock, bus = VirtualClock(), MemoryBus()
    bus.error = BusError("away")
    async with outbox(clock, bus, bound=50) as (box, dropped):
        for number in range(200):
            box.put([frame(number)])
            await box.put_events([event(number)])
            await clock.advance(0.1)
        bus.error = None
        await clock.advance(5)
    frames = [message for message in bus.messages if message.topic == FRAMES]
    assert frames == [frame(number) for number in range(150, 200)]
    assert sum(dropped) == 150
    assert [message for message in bus.messages if message.topic == EVENTS] == [event(number) for number in range(200)]


async def test_a_message_that_no_bus_takes_does_not_hold_up_the_others() -> None:
    clock, bus = VirtualClock(), MemoryBus()
    publish = bus.publish

    async def picky(messages):
        if any(message.value == b"3" for message in messages):
            raise ValueError("too large")
        await publish(messages)

    bus.publish = picky
    async with outbox(clock, bus) as (box, dropped):
        box.put([frame(number) for number in range(5)])
        await clock.advance(1)
    assert bus.messages == [frame(number) for number in (0, 1, 2, 4)]
    assert dropped == [1]


async def test_frames_that_were_on_their_way_when_the_service_ended_are_sent_again() -> None:
    clock, bus = VirtualClock(), MemoryBus()
    publish, calls = bus.publish, []

    async def slow(messages):
        calls.append(len(messages))
        if len(calls) == 1:
            await clock.sleep(3600)
        await publish(messages)

    bus.publish = slow
    async with outbox(clock, bus) as (box, _):
        box.put([frame(1)])
        await clock.advance(1)
    assert bus.messages == [frame(1)]
