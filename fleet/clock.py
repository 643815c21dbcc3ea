"""The time seam: the real clock, and one that stands still until a test moves it."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Awaitable
from typing import Protocol, TypeVar

T = TypeVar("T")

_SETTLE_TURNS = 10_000
"""Turns of the event loop after which `VirtualClock` gives up waiting for it to fall idle (a busy loop, a bug)."""
_BLIND_TURNS = 64
"""Turns given to tasks on an event loop that does not show whether it is idle (uvloop)."""


class Clock(Protocol):
    """What services need of time."""

    def now_ms(self) -> int:
        """Unix time in milliseconds; may jump."""
        ...

    def boottime_ns(self) -> int:
        """Nanoseconds of CLOCK_BOOTTIME: never jumps, counts through suspend; for leases and deadlines."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds of this clock."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def boottime_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class VirtualClock:
    """Time that moves only by `advance`: sleepers wake in order of their deadlines, each at exactly its own time.

    For tests in which every peer lives in the process; across processes use the real clock.
    """

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self._elapsed_ns = 0
        self._wall_offset_ns = start_ms * 1_000_000
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now_ms(self) -> int:
        return (self._wall_offset_ns + self._elapsed_ns) // 1_000_000

    def boottime_ns(self) -> int:
        return self._elapsed_ns

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed_ns + round(seconds * 1e9), next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move time forward, waking each sleeper at its own time and letting it run before time moves on."""
        until_ns = self._elapsed_ns + round(seconds * 1e9)
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= until_ns:
            at_ns, _, woken = heapq.heappop(self._sleepers)
            self._elapsed_ns = max(self._elapsed_ns, at_ns)
            if not woken.done():  # a cancelled sleeper has gone
                woken.set_result(None)
                await _settle()
        self._elapsed_ns = until_ns
        await _settle()

    def step_wall(self, seconds: float) -> None:
        """Let Unix time jump, forward or back, as a wrong NTP server does; boot time and sleepers do not move."""
        self._wall_offset_ns += round(seconds * 1e9)

    @property
    def sleeping(self) -> int:
        """How many sleepers wait for time to move."""
        return sum(not woken.done() for _, _, woken in self._sleepers)


async def within(clock: Clock, seconds: float, work: Awaitable[T]) -> T:
    """The work's result, or TimeoutError after that many seconds of this clock, the work cancelled.

    `asyncio.timeout` measures the event loop's time, so under a virtual clock it would never expire.
    """
    task = asyncio.ensure_future(work)
    alarm = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({task, alarm}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise TimeoutError(f"no result within {seconds:g} s")
    finally:
        for pending in (task, alarm):
            if not pending.done():
                pending.cancel()
        await asyncio.gather(task, alarm, return_exceptions=True)


async def _settle() -> None:
    """Let every task run until it waits for something: an idle loop has no callback ready but ours."""
    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    if ready is None:
        for _ in range(_BLIND_TURNS):
            await asyncio.sleep(0)
        return
    for _ in range(_SETTLE_TURNS):
        await asyncio.sleep(0)
        if not ready:
            return
