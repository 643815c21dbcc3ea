"""Who leads: one remediator a site, one rule engine. The port, and a file lock for one machine (`claims.py` for more).

The epoch grows with every change of leader; every intent carries it, and the actuator refuses a lower one than it has seen.
"""

import fcntl
import os
from pathlib import Path
from typing import Protocol

from fleet.clock import Clock

TRY_SECONDS = 1.0
"""Between two tries for the lock."""


class Leadership(Protocol):
    """Whether this process is the active one of its kind."""

    def epoch(self) -> int | None:
        """The epoch under which it may command at this moment; None while it may not."""
        ...

    def holds(self, epoch: int) -> bool:
        """Whether an intent of this epoch may still be sent."""
        ...

    async def run(self) -> None:
        """Take part until cancelled."""
        ...


class FileLockLeadership:
    """One machine: who holds the lock on a file leads; the epoch is a counter in it."""

    def __init__(self, path: Path, clock: Clock, *, try_seconds: float = TRY_SECONDS) -> None:
        self._path = path
        self._clock = clock
        self._try_seconds = try_seconds
        self._epoch: int | None = None

    def epoch(self) -> int | None:
        """The epoch under which it may command at this moment; None while it may not."""
        return self._epoch

    def holds(self, epoch: int) -> bool:
        """Whether an intent of this epoch may still be sent."""
        return self._epoch == epoch

    async def run(self) -> None:
        """Try for the lock again and again; once taken, hold it until cancelled. The kernel frees a dead holder's."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not _locked(descriptor):
                await self._clock.sleep(self._try_seconds)
            self._epoch = _counted(descriptor)
            while True:
                await self._clock.sleep(3600)
        finally:
            self._epoch = None
            os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _counted(descriptor: int) -> int:
    """The next epoch, on disk before it is used; an unreadable counter starts at the time, above any count so far."""
    text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    epoch = int(text) + 1 if text.isdigit() else 1
    os.pwrite(descriptor, f"{epoch}\n".ljust(31).encode(), 0)
    os.fsync(descriptor)
    return epoch
