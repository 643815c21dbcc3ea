"""A process of the virtual hall: it can be killed at any instant, stopped and continued, and started again over the same disk.

Everything that a service does to the world goes through a seam that asks its process first: a killed one gets `Killed` and never
touches anything again, a stopped one waits until it is continued.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from hallkeeper.world.loop import VirtualLoop

T = TypeVar("T")

Point = Callable[[str, str], None]
"""Told the process and the name of each instant at which a crash matters; may raise `Killed` by killing it."""


class Killed(BaseException):
    """SIGKILL: no code of the process runs any more, not even its cleaning up."""


class Process:
    """One process: its tasks, its clock, what dies with it."""

    def __init__(
        self,
        name: str,
        loop: VirtualLoop,
        *,
        start_ms: int,
        point: Point = lambda _process, _name: None,
        fell: Callable[[str, BaseException], None] = lambda _process, _error: None,
    ) -> None:
        self.name = name
        self.loop = loop
        self.alive = True
        self.wall_ms = start_ms
        """Unix time at the loop's zero, as this process's host believes."""
        self._point, self._fell = point, fell
        self._waiting: dict[asyncio.Future[Any], None] = {}
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._going = asyncio.Event()
        self._going.set()
        self._at_death: list[Callable[[], None]] = []
        self.dead: asyncio.Future[None] = loop.create_future()

    # its life

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Its main task."""
        task = self.loop.create_task(work, name=self.name)
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.pop(task, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and self.alive:
            self.kill()
            if not _killed(error):
                self._fell(self.name, error)

    def at_death(self, act: Callable[[], None]) -> None:
        """What the kernel does when the process is gone: closes its files, frees its locks."""
        self._at_death.append(act)

    def kill(self) -> None:
        """SIGKILL, now."""
        if not self.alive:
            return
        self.alive = False
        for act in self._at_death:
            act()
        self._going.set()
        if not self.dead.done():
            self.dead.set_result(None)
        for waiting in tuple(self._waiting):
            if not waiting.done():
                waiting.set_exception(Killed())
        for task in tuple(self._tasks):
            task.cancel()

    def stop(self) -> None:
        """SIGSTOP."""
        self._going.clear()

    def go_on(self) -> None:
        """SIGCONT."""
        self._going.set()

    @property
    def stopped(self) -> bool:
        """Between SIGSTOP and SIGCONT."""
        return not self._going.is_set()

    # the seams

    def point(self, name: str) -> None:
        """An instant at which a crash matters. Raises `Killed` where the process is dead or dies here."""
        self.check()
        self._point(self.name, name)
        self.check()

    def check(self) -> None:
        """Raises `Killed` for the dead."""
        if not self.alive:
            raise Killed

    async def wait(self, what: "asyncio.Future[T]") -> T:
        """Wait for something of the world; the dead wait no longer, the stopped go on when they are continued."""
        self.check()
        gate: asyncio.Future[T] = what if not isinstance(what, asyncio.Task) else _gate_of(what, self.loop)
        self._waiting[gate] = None
        try:
            found = await gate
        finally:
            self._waiting.pop(gate, None)
        if not self._going.is_set():
            await self._going.wait()
        self.check()
        return found

    async def sleep(self, seconds: float) -> None:
        """So long, of this process's time."""
        woken: asyncio.Future[None] = self.loop.create_future()
        handle = self.loop.call_later(max(seconds, 0.0), _wake, woken)
        try:
            await self.wait(woken)
        finally:
            handle.cancel()

    async def guarded(self, work: Awaitable[T]) -> T:
        """Work of another party (a device, another process), as this process waits for it."""
        task = asyncio.ensure_future(work)
        try:
            return await self.wait(task)
        finally:
            if not task.done():
                task.cancel()


def _gate_of(task: "asyncio.Task[T]", loop: VirtualLoop) -> "asyncio.Future[T]":
    """A future with the task's outcome, which may be failed where a task may not."""
    gate: asyncio.Future[T] = loop.create_future()

    def over(task: "asyncio.Task[T]") -> None:
        if gate.done():
            if not task.cancelled():
                task.exception()
        elif task.cancelled():
            gate.cancel()
        elif error := task.exception():
            gate.set_exception(error)
        else:
            gate.set_result(task.result())

    task.add_done_callback(over)
    return gate


def _killed(error: BaseException) -> bool:
    """Whether somewhere in it is SIGKILL."""
    if isinstance(error, BaseExceptionGroup):
        return any(_killed(inner) for inner in error.exceptions)
    return isinstance(error, Killed)


def _wake(woken: "asyncio.Future[None]") -> None:
    if not woken.done():
        woken.set_result(None)


class ProcessClock:
    """`fleet.clock.Clock` of one process: boot time is the loop's, Unix time is what its host believes."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def now_ms(self) -> int:
        """Unix time in milliseconds; may jump."""
        return self._process.wall_ms + int(self._process.loop.time() * 1000)

    def boottime_ns(self) -> int:
        """Never jumps."""
        return round(self._process.loop.time() * 1e9)

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds of virtual time."""
        await self._process.sleep(seconds)
