"""Children forked from one warm process: the rooms' modules are imported once, not once a service.

Nine processes that import for themselves cost about 20 CPU-seconds before the site is watched; forked from Python's own fork server they
share what was imported. The fork server is a process without event loop, threads or sockets of ours; each child gets a session of its own.
"""

import asyncio
import os
import runpy
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import connection, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread

WARM = (
    "uvloop",
    "hallkeeper.services",
    "collectors.service",
    "collectors.snmp",
    "collectors.exporter",
    "collectors.ipmi",
    "collectors.modbus",
    "collectors.agent",
    "collectors.kubernetes",
    "rules.service",
    "remediator.service",
    "remediator.protective",
    "remediator.actuator.process",
    "oncall.service",
    "oncall.webhook",
    "console.service",
)
"""What children need; imported once in the fork server."""


class ForkedChild:
    """One forked process, as asyncio's subprocess would show it."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        self._ended: asyncio.Event | None = None

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    async def wait(self) -> int:
        """Return its exit status when it has ended; any number may wait, and give up waiting."""
        if self._ended is None:
            self._ended = asyncio.Event()
            asyncio.get_running_loop().add_reader(self._process.sentinel, self._over, self._ended)
        await self._ended.wait()
        self._process.join()
        return self._process.exitcode or 0

    def _over(self, ended: asyncio.Event) -> None:
        """A sentinel has one reader in a loop, so nobody who waits may take it away from the others."""
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        ended.set()

    def send_signal(self, number: int) -> None:
        """Raises `ProcessLookupError` when it is gone."""
        os.kill(self.pid, number)


class WarmSpawner:
    """Forks `python -m MODULE ARGUMENTS` from a fork server that has the modules already."""

    def __init__(self, warm: Sequence[str] = WARM) -> None:
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(list(warm))
        self._turn = asyncio.Lock()

    async def __call__(self, argv: Sequence[str], environ: Mapping[str, str]) -> ForkedChild:
        """`argv` is `[python, "-m", MODULE, …]`; the child has these variables beside its parent's."""
        process = self._context.Process(target=run_module, args=(list(argv[2:]), dict(environ)))
        async with self._turn:
            await asyncio.to_thread(process.start)
        return ForkedChild(process)


def end_with_supervisor() -> None:
    """Drain when the supervisor is gone, however it ended: one that is killed leaves no orphans behind."""
    supervisor = parent_process()
    assert supervisor is not None
    connection.wait([supervisor.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def run_module(argv: list[str], environ: dict[str, str]) -> None:
    """In the child: a session of its own, a name of its own, then the module as if started by hand."""
    os.setsid()
    Thread(target=end_with_supervisor, name="supervisor", daemon=True).start()
    os.environ.update(environ)
    Path("/proc/self/comm").write_text(f"hk-{argv[2] if argv[0] == 'hallkeeper' else f'act-{argv[-1]}'}"[:15])
    sys.argv = [argv[0], *argv[1:]]
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
