"""One act an asset, over both lanes and over restarts: a file lock, and in the file until when a copy may still run."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fleet.clock import Clock
from fleet.errors import HallkeeperError

CONTENT_BYTES = 512
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Busy(HallkeeperError):
    """The asset is being acted on, or what was sent to it may still run."""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in a lock file while a command may still run."""

    intent: str
    boot: str
    until_boottime_ns: int
    until_ms: int
    """Unix time, for a host that was started anew in between."""


@dataclass(slots=True)
class AssetLock:
    """A lock that is held: its file can be marked with the time until which a command may still run."""

    _fd: int
    _clock: Clock
    _boot: str

    def hold(self, intent: str, seconds: float) -> None:
        """Keep the asset locked for so long, for every lane and over a restart; durable when this returns."""
        until_ns = self._clock.boottime_ns() + round(seconds * 1e9)
        until_ms = self._clock.now_ms() + round(seconds * 1e3)
        self._write(
            msgspec.json.encode(Hold(intent=intent, boot=self._boot, until_boottime_ns=until_ns, until_ms=until_ms))
        )

    def clear(self) -> None:
        """Nothing can run any more."""
        self._write(b"")

    def holder(self) -> tuple[str, float] | None:
        """The intent that may still run and for how many seconds, or None."""
        content = os.pread(self._fd, CONTENT_BYTES, 0).strip()
        if not content:
            return None
        try:
            hold = msgspec.json.decode(content, type=Hold)
        except msgspec.MsgspecError as error:
            raise Busy(f"its lock file cannot be read ({error}), look at the device, then remove the file") from error
        if hold.boot == self._boot:
            left = (hold.until_boottime_ns - self._clock.boottime_ns()) / 1e9
        else:
            left = (hold.until_ms - self._clock.now_ms()) / 1e3
        return (hold.intent, left) if left > 0 else None

    def _write(self, content: bytes) -> None:
        """In place and of one length: a crash in the middle leaves one sector torn, never an empty file."""
        os.pwrite(self._fd, content.ljust(CONTENT_BYTES), 0)
        os.fsync(self._fd)


class AssetLocks:
    """The folder of locks that both lanes share."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else "unknown"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextlib.contextmanager
    def locked(self, name: str, intent: str) -> Iterator[AssetLock]:
        """The asset's lock, at once or not at all. Raises `Busy`: an act never waits."""
        try:
            fd = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Busy(f"{self._folder / name}: {error.strerror}, try giving the folder to this user") from error
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy("another act on the asset is under way, try again as a new intent") from None
            lock = AssetLock(fd, self._clock, self._boot)
            held = lock.holder()
            if held is not None and held[0] != intent:
                raise Busy(f"what intent {held[0]} sent may still run for {held[1]:.0f} s, try again after that")
            yield lock
        finally:
            os.close(fd)
