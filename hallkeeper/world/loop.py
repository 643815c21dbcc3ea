"""An event loop whose time is virtual: when nothing is ready it jumps to the next timer, and never waits for anything real."""

import asyncio
from asyncio import base_events
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(Exception):
    """Nothing is ready and no timer runs: whoever waits would wait for ever."""


class _Jumps:
    """Stands where a selector stands: a wait becomes a jump of time."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[object]:
        """Jump over the wait. Raises `Deadlock` where there is no end to it."""
        if timeout is None:
            raise Deadlock("every task waits for something that nobody will do")
        if timeout > 0:
            self._loop.jump(timeout)
        return []


class VirtualLoop(base_events.BaseEventLoop):
    """asyncio's own loop over a time that moves only by its timers; without sockets, threads and signals."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds = 0.0
        self._selector = _Jumps(self)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._seconds

    def jump(self, seconds: float) -> None:
        """Let time pass while nobody runs: a host that sleeps, a process that blocks everything."""
        self._seconds += seconds

    def _process_events(self, event_list: list[object]) -> None:
        assert not event_list

    def _write_to_self(self) -> None:
        """Nobody waits in a selector."""


def run_virtual(work: Coroutine[Any, Any, T]) -> T:
    """The work's result, in virtual time. What it leaves behind is cancelled."""
    loop = VirtualLoop()
    try:
        asyncio.set_event_loop(loop)
        try:
            return loop.run_until_complete(work)
        finally:
            _cancel_the_rest(loop)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _cancel_the_rest(loop: VirtualLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=600.0))
