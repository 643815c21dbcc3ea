"""The two clocks behind one seam."""

import asyncio
import time

import pytest

from fleet.clock import Clock, SystemClock, VirtualClock, within


async def test_virtual_time_stands_still_until_it_is_moved() -> None:
    clock = VirtualClock(1_000)
    sleeper = asyncio.create_task(clock.sleep(5))
    await asyncio.sleep(0)
    assert (clock.now_ms(), clock.boottime_ns(), sleeper.done()) == (1_000, 0, False)
    await clock.advance(4.999)
    assert not sleeper.done()
    await clock.advance(0.001)
    assert sleeper.done()
    assert (clock.now_ms(), clock.boottime_ns()) == (6_000, 5_000_000_000)


async def test_sleepers_wake_in_order_each_at_its_own_time() -> None:
    clock = VirtualClock(0)
    seen: list[tuple[str, int]] = []

    async def every(name: str, seconds: float, times: int) -> None:
        for _ in range(times):
            await clock.sleep(seconds)
            seen.append((name, clock.now_ms()))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(every("slow", 2, 2))
        tasks.create_task(every("fast", 1, 4))
        await clock.advance(10)
    assert seen == [("fast", 1000), ("slow", 2000), ("fast", 2000), ("fast", 3000), ("slow", 4000), ("fast", 4000)]


async def test_work_between_two_sleeps_is_done_before_time_moves_on() -> None:
    """Through a chain of tasks and queues, as services have them."""
    clock = VirtualClock(0)
    queue: asyncio.Queue[int] = asyncio.Queue(maxsize=1)
    stamps: list[int] = []

    async def produce() -> None:
        for _ in range(3):
            await clock.sleep(1)
            await queue.put(clock.now_ms())

    async def consume() -> None:
        for _ in range(3):
            sent = await queue.get()
            for _ in range(20):
                await asyncio.sleep(0)
            stamps.append(clock.now_ms() - sent)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(produce())
        tasks.create_task(consume())
        await clock.advance(60)
    assert stamps == [0, 0, 0]


async def test_a_cancelled_sleeper_leaves_no_trace() -> None:
    clock = VirtualClock(0)
    sleeper = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    assert clock.sleeping == 1
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper
    assert clock.sleeping == 0
    await clock.advance(2)
    assert clock.boottime_ns() == 2_000_000_000


async def test_no_sleep_at_all_lets_others_run() -> None:
    clock = VirtualClock(0)
    await clock.sleep(0)
    await clock.sleep(-1)
    assert clock.boottime_ns() == 0


async def test_unix_time_may_jump_and_boot_time_does_not() -> None:
    clock = VirtualClock(1_000_000)
    sleeper = asyncio.create_task(clock.sleep(10))
    clock.step_wall(-300)
    await clock.advance(9)
    assert (clock.now_ms(), clock.boottime_ns()) == (1_000_000 - 300_000 + 9_000, 9_000_000_000)
    assert not sleeper.done()
    await clock.advance(1)
    await sleeper


async def test_a_deadline_of_virtual_time_cancels_the_work() -> None:
    clock = VirtualClock(0)
    cancelled = asyncio.Event()

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    waiting = asyncio.create_task(within(clock, 3, never()))
    await clock.advance(2.9)
    assert not waiting.done()
    await clock.advance(0.2)
    with pytest.raises(TimeoutError, match="no result within 3 s"):
        await waiting
    assert cancelled.is_set()


async def test_work_within_its_deadline_gives_its_result_or_its_error() -> None:
    clock = VirtualClock(0)

    async def answer() -> int:
        await clock.sleep(1)
        return 42

    async def fail() -> None:
        raise ValueError("no")

    waiting = asyncio.create_task(within(clock, 3, answer()))
    await clock.advance(1)
    assert await waiting == 42
    with pytest.raises(ValueError, match="no"):
        await within(clock, 3, fail())
    assert clock.sleeping == 0


async def test_cancelling_the_waiter_cancels_the_work() -> None:
    clock = VirtualClock(0)
    work = asyncio.ensure_future(clock.sleep(5))
    waiting = asyncio.create_task(within(clock, 9, work))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.cancelled()


async def test_the_system_clock_is_the_machines() -> None:
    clock: Clock = SystemClock()
    assert abs(clock.now_ms() - time.time() * 1000) < 1000
    before = clock.boottime_ns()
    await clock.sleep(0.01)
    assert clock.boottime_ns() - before >= 9_000_000
