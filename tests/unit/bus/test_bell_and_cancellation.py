"""Who is cancelled in the moment in which the bell rings stops: a service that is told to drain never waits on."""

import asyncio

import pytest

from bus.bell import Bell
from fleet.clock import SystemClock


async def test_a_cancellation_that_comes_with_the_ring_is_not_lost(tmp_path):
    bell = Bell(tmp_path / "bells", clock=SystemClock())
    try:
        waiting = asyncio.create_task(bell.wait(bell.rung, 30.0))
        await asyncio.sleep(0)
        bell.wake()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    finally:
        bell.close()


async def test_without_a_ring_the_wait_ends_in_time(tmp_path):
    bell = Bell(tmp_path / "bells", clock=SystemClock())
    try:
        async with asyncio.timeout(5):
            await bell.wait(bell.rung, 0.01)
    finally:
        bell.close()
