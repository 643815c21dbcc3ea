"""Runs the services of one machine as child processes: starts them, restarts what falls over or stands still, drains all.

Children report over systemd's notify protocol, the same that they speak to systemd when each runs as a unit of its own.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from fleet.clock import Clock
from fleet.errors import HallkeeperError

SILENT_SECONDS = 30.0
"""A child that reported ready and then feeds no watchdog for so long is wedged and is replaced."""
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses before the first, second, … restart of the same child (default of ours)."""
DRAIN_SECONDS = 28.0
"""After SIGTERM a child has so long before it is killed; one that holds a device command is waited for instead."""
UNHARMED_SECONDS = 600.0
"""A child that stayed up so long has its restart count forgiven."""

log = structlog.get_logger("hallkeeper.supervisor")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """One process to keep running."""

    name: str
    argv: Sequence[str]
    holds_commands: bool = False
    """An actuator: never killed between the sending of a command and its read-back."""


class Running(Protocol):
    """A started process."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    async def wait(self) -> int: ...

    def send_signal(self, number: int, /) -> None: ...


class Spawner(Protocol):
    """Starts a process with variables of its own beside ours, in a session of its own."""

    async def __call__(self, argv: Sequence[str], environ: Mapping[str, str], /) -> Running: ...


async def spawn(argv: Sequence[str], environ: Mapping[str, str]) -> Running:
    """A fresh process. A session of its own: a Ctrl-C on the terminal reaches the supervisor alone, which drains in order."""
    return await asyncio.create_subprocess_exec(*argv, env={**os.environ, **environ}, start_new_session=True)


@dataclass(slots=True)
class Child:
    """The running side of a `ChildSpec`."""

    spec: ChildSpec
    process: Running | None = None
    ready: bool = False
    restarts: int = 0
    last_sign_ns: int = 0
    status: dict[str, str] = field(default_factory=dict)


class StartFailed(HallkeeperError):
    """A child ended before it was ever ready: its own message says why."""


class Supervisor:
    """Keeps a set of children alive until `stop()`."""

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        *,
        folder: Path,
        clock: Clock,
        on_change: Callable[[str, str], None] | None = None,
        spawn: Spawner = spawn,
    ) -> None:
        self._spawn = spawn
        self._children = {spec.name: Child(spec) for spec in specs}
        self._folder = folder
        self._clock = clock
        self._on_change = on_change or (lambda _name, _what: None)
        self._stopping = asyncio.Event()
        self._all_ready = asyncio.Event()
        self._failure: StartFailed | None = None

    def stop(self) -> None:
        """Begin to drain."""
        self._stopping.set()

    def reload(self) -> None:
        """Pass SIGHUP on to every child."""
        for child in self._children.values():
            self._signal(child, signal.SIGHUP)

    def status(self) -> dict[str, dict[str, object]]:
        """Name → ready, pid, restarts and the address it reported."""
        return {
            name: {
                "ready": child.ready,
                "pid": child.process.pid if child.process else None,
                "restarts": child.restarts,
                **child.status,
            }
            for name, child in self._children.items()
        }

    async def wait_ready(self) -> None:
        """Return when every child has reported ready once."""
        await self._all_ready.wait()

    async def run(self) -> None:
        """Run until stopped. Raises `StartFailed` when a child cannot even start."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        async with asyncio.TaskGroup() as group:
            keepers = [group.create_task(self._keep(child), name=name) for name, child in self._children.items()]
            await self._stopping.wait()
            await self._drain(keepers)
        if self._failure is not None:
            raise self._failure

    async def _drain(self, keepers: Sequence[asyncio.Task[None]]) -> None:
        plain = [child for child in self._children.values() if not child.spec.holds_commands]
        holders = [child for child in self._children.values() if child.spec.holds_commands]
        for child in plain:
            self._signal(child, signal.SIGTERM)
        await asyncio.gather(*(self._ended(child, DRAIN_SECONDS) for child in plain))
        for child in holders:
            self._signal(child, signal.SIGTERM)
        await asyncio.gather(*(self._ended(child, None) for child in holders))
        for keeper in keepers:
            keeper.cancel()

    async def _ended(self, child: Child, limit_seconds: float | None) -> None:
        process = child.process
        if process is None or process.returncode is not None:
            return
        try:
            async with asyncio.timeout(limit_seconds):
                await process.wait()
        except TimeoutError:
            log.error("killed: did not drain in time", child=child.spec.name, seconds=limit_seconds)
            self._signal(child, signal.SIGKILL)
            await process.wait()

    def _signal(self, child: Child, number: signal.Signals) -> None:
        if child.process is not None and child.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(number)

    async def _keep(self, child: Child) -> None:
        while not self._stopping.is_set():
            started = self._clock.boottime_ns()
            code = await self._run_once(child)
            if self._stopping.is_set():
                return
            if not self._all_ready.is_set() and not child.ready:
                self._failure = StartFailed(
                    f"{child.spec.name} ended with status {code} before it was ready; its message stands above"
                )
                self._stopping.set()
                return
            if self._clock.boottime_ns() - started > UNHARMED_SECONDS * 1e9:
                child.restarts = 0
            pause = BACKOFF_SECONDS[min(child.restarts, len(BACKOFF_SECONDS) - 1)]
            child.restarts += 1
            child.ready = False
            log.error("restarting", child=child.spec.name, status=code, restarts=child.restarts, pause_seconds=pause)
            self._on_change(child.spec.name, "restarting")
            await self._clock.sleep(pause)

    async def _run_once(self, child: Child) -> int:
        path = self._folder / f"notify-{child.spec.name}.sock"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as notices:
            notices.bind(str(path))
            child.last_sign_ns = self._clock.boottime_ns()
            loop = asyncio.get_running_loop()
            loop.add_reader(notices, self._hear, child, notices)
            try:
                child.process = await self._spawn(child.spec.argv, {"NOTIFY_SOCKET": str(path)})
                return await self._wait_watching(child)
            finally:
                loop.remove_reader(notices)
                path.unlink(missing_ok=True)

    async def _wait_watching(self, child: Child) -> int:
        assert child.process is not None
        while True:
            try:
                async with asyncio.timeout(5.0):
                    return await child.process.wait()
            except TimeoutError:
                silent = (self._clock.boottime_ns() - child.last_sign_ns) / 1e9
                if child.ready and silent > SILENT_SECONDS and not child.spec.holds_commands:
                    log.error("wedged: no sign of work", child=child.spec.name, seconds=round(silent))
                    self._signal(child, signal.SIGKILL)

    def _hear(self, child: Child, notices: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            for line in notices.recv(4096).decode(errors="replace").splitlines():
                key, _, value = line.partition("=")
                child.last_sign_ns = self._clock.boottime_ns()
                if key == "READY" and not child.ready:
                    child.ready = True
                    self._on_change(child.spec.name, "ready")
                elif key.startswith("X_"):
                    child.status[key[2:].lower()] = value
        if all(each.ready for each in self._children.values()):
            self._all_ready.set()
