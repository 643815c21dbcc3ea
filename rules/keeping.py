"""Small files that are always whole: sealed, written beside, synced, and moved into place. A torn one is left aside."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import structlog
import xxhash

from fleet.errors import Malformed

T = TypeVar("T")

MAGIC: Final = b"HKS1"
"""The first bytes of a kept state; eight bytes of xxh3_64 over what follows come behind them."""
TORN: Final = ".torn"
"""Added to the name of a file that cannot be used: for people to look at, never read again."""
SNAPSHOT_MS: Final = 60_000
CHANGED_MS: Final = 1_000
"""After alerts have changed, and while one is pending: so much of its `for` a crash may cost."""
COLLECT_MS: Final = 60_000
LEAST_REST: Final = 20
"""A state that takes long to make is made so much more seldom: at most a twentieth of a core goes into it."""

log = structlog.get_logger("rules.keeping")


def sealed(content: bytes) -> bytes:
    """The content with what proves it whole."""
    return MAGIC + xxhash.xxh3_64_digest(content) + content


def unsealed(data: bytes) -> bytes:
    """The content. Raises `Malformed` where a part is missing or changed."""
    head, digest, content = data[:4], data[4:12], data[12:]
    if head != MAGIC or xxhash.xxh3_64_digest(content) != digest:
        raise Malformed("it is torn: its seal does not fit its content")
    return content


def write_whole(path: Path, content: bytes) -> None:
    """Replace the file; after a crash it holds the old or the new content, never a part. Raises `OSError`."""
    beside = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def write_aside(path: Path, content: bytes) -> None:
    """`write_whole` in a thread: a slow disk holds nobody up."""
    await asyncio.to_thread(write_whole, path, content)


@dataclass(slots=True)
class Rhythm:
    """When a state is to be kept again."""

    kept_ms: int
    collected_ms: int
    rest_ms: float = 0.0

    def due(self, now_ms: int, *, changed: bool) -> bool:
        """Whether it is time."""
        return now_ms - self.kept_ms >= (max(CHANGED_MS, self.rest_ms) if changed else SNAPSHOT_MS)

    def took(self, now_ms: int, seconds: float) -> None:
        """It was made, and so long that took."""
        self.kept_ms, self.rest_ms = now_ms, seconds * 1000 * LEAST_REST

    def collects(self, now_ms: int) -> bool:
        """Whether it is time to drop what nobody can see any more."""
        if now_ms - self.collected_ms < COLLECT_MS:
            return False
        self.collected_ms = now_ms
        return True


class Keeping:
    """The states of a service in its folder."""

    def __init__(self, folder: Path, disk: Callable[[Path, bytes], Awaitable[None]] = write_aside) -> None:
        self._folder, self._disk = folder, disk
        self._writing = asyncio.Lock()

    def path(self, name: str) -> Path:
        """Where a state lies."""
        return self._folder / name

    @staticmethod
    def rhythm(now_ms: int) -> Rhythm:
        """A rhythm that begins now; times are of a clock that never jumps."""
        return Rhythm(kept_ms=now_ms, collected_ms=now_ms)

    def read(self, name: str, take: Callable[[bytes], T]) -> T | None:
        """What `take` makes of the state; None where there is none, or none that can be used: that one is left aside."""
        path = self._folder / name
        try:
            return take(unsealed(path.read_bytes()))
        except FileNotFoundError:
            return None
        except Malformed as error:
            aside = path.with_name(path.name + TORN)
            path.replace(aside)
            log.error("a state of before cannot be used and is left aside", file=str(aside), why=str(error))
            return None

    async def write(self, name: str, content: bytes) -> None:
        """Keep a state; a disk that refuses is said, and tried again with the next."""
        try:
            async with self._writing:
                await self._disk(self._folder / name, sealed(content))
        except OSError as error:
            log.error("a state cannot be kept, try space and permissions", file=name, why=str(error))

    def write_now(self, name: str, content: bytes) -> None:
        """The same at the end of a process, when nothing else waits. Raises `OSError`."""
        write_whole(self._folder / name, sealed(content))
