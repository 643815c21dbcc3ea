"""The bell: how a process hears at once that another one has written, at no cost while nobody writes.

Each opened bus binds one Unix datagram socket in a folder beside the log and rings all others after a commit. The socket is
also the proof of life of its process: a killed one refuses at once. Where no such socket can be made, waiting falls back to
looking every 10 ms.
"""

import asyncio
import contextlib
import errno
import os
import secrets
import socket
from pathlib import Path
from typing import Final

from fleet.clock import Clock, VirtualClock, within

LOOK_SECONDS: Final = 0.01
"""How often a bus without a socket looks."""
_ALIVE: Final = frozenset({errno.EAGAIN, errno.ENOBUFS})
"""Its queue is full: it has not read yet, but it is there."""


class Bell:
    """One process's end: rings the others, and wakes who waits here."""

    def __init__(self, folder: Path, *, clock: Clock, name: str | None = None) -> None:
        self.name = name or secrets.token_hex(8)
        self.rung = 0
        """Counts what was heard: who saw the number before looking knows whether to look again."""
        self._clock = clock
        self._waiting: set[asyncio.Future[None]] = set()
        self._socket: socket.socket | None = None
        self._folder = -1
        self._seen = -1
        self._others: list[str] = []
        if not isinstance(clock, VirtualClock):
            self._bind(folder)

    @property
    def hears(self) -> bool:
        """Whether other processes can wake this one."""
        return self._socket is not None

    def _bind(self, folder: Path) -> None:
        try:
            folder.mkdir(exist_ok=True)
            self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            bound.bind(self._path(self.name))
        except OSError:
            return
        self._socket = bound
        asyncio.get_running_loop().add_reader(bound.fileno(), self._hear)

    def _path(self, name: str) -> str:
        """Through the open folder, for a socket's own path may have 107 bytes only."""
        return f"/proc/self/fd/{self._folder}/{name}"

    def ring(self) -> None:
        """Wake everybody: here, and in every other process that has the log open."""
        self.wake()
        if self._socket is None:
            return
        changed = os.fstat(self._folder).st_mtime_ns
        if changed != self._seen:
            self._others = [name for name in os.listdir(self._folder) if name != self.name]  # noqa: PTH208 - a descriptor, not a path
            self._seen = changed
        for name in self._others:
            if not self.alive(name):
                self._seen = -1

    def alive(self, name: str) -> bool:
        """Whether the process behind a bell lives; it is woken by the question, and swept away when it does not."""
        if name == self.name or self._socket is None:
            return True
        try:
            self._socket.sendto(b"", self._path(name))
        except OSError as error:
            if error.errno in _ALIVE:
                return True
            if error.errno == errno.ECONNREFUSED:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=self._folder)
            return False
        return True

    async def wait(self, rung: int, seconds: float) -> None:
        """Return when the bell rings, or has rung since `rung` was read, or the time is up."""
        if self.rung != rung or seconds <= 0:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            if isinstance(self._clock, VirtualClock):
                await within(self._clock, seconds, waiter)
            else:
                async with asyncio.timeout(seconds if self.hears else min(seconds, LOOK_SECONDS)):
                    await waiter
        except TimeoutError:
            return
        finally:
            self._waiting.discard(waiter)

    def close(self) -> None:
        """Take the socket away: to the others this process is gone."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
            with contextlib.suppress(OSError):
                os.unlink(self.name, dir_fd=self._folder)
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1
        self.wake()

    def _hear(self) -> None:
        bound = self._socket
        with contextlib.suppress(BlockingIOError):
            while bound is not None:
                bound.recv(1)
        self.wake()

    def wake(self) -> None:
        """Wake those who wait in this process."""
        self.rung += 1
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
