"""Write a file in a forked child: what the parent holds is frozen for the child at the moment of the fork, and the parent goes on.

The kernel copies a page only when one of both writes to it, so the parent is held for the fork alone (page tables: 2 to 10 ms a
gigabyte), and memory grows by what it appends meanwhile. The child touches no lock, no loop and no descriptor of the parent's:
a lock on a file is shared with it, and would outlive the parent if it were not let go of first.
"""

import asyncio
import errno
import gc
import os
import signal
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Final, TypeAlias

Pieces: TypeAlias = Callable[[], Iterator[bytes | memoryview]]
Files: TypeAlias = Sequence[tuple[Path, Pieces]]
Writer: TypeAlias = Callable[[Files], Awaitable[float]]
"""Replaces each file with its pieces as they are now; for how many seconds the caller's loop stood. Raises `OSError`."""
LONGEST_SECONDS: Final = 300.0
"""A child that takes longer is ended: its disk hangs (a default of ours)."""
KINDNESS: Final = 10
"""How much the child stands back for the engine, as `nice` counts."""
WITHOUT_ERRNO: Final = 255


async def forked(files: Files) -> float:
    """Replace the files by a child; seconds for which the loop stood. Raises `OSError`."""
    began = perf_counter()
    with warnings.catch_warnings():  # from 3.12 on Python warns of other threads' locks: the child takes none
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _write_and_end(files)
    held = perf_counter() - began
    status = await _ended(child)
    if status:
        what = os.strerror(status) if status != WITHOUT_ERRNO else "its writer failed"
        raise OSError(status if status != WITHOUT_ERRNO else errno.EIO, what)
    return held


def through(disk: Callable[[Path, bytes], Awaitable[None]]) -> Writer:
    """A writer without a child, on a disk of the caller's: for services that share a process with others, as in tests."""

    async def write(files: Files) -> float:
        began = perf_counter()
        contents = [(path, b"".join(pieces())) for path, pieces in files]
        held = perf_counter() - began
        for path, content in contents:
            await disk(path, content)
        return held

    return write


async def _ended(child: int) -> int:
    """The child's exit status; it is ended when it takes too long, and when nobody waits any more."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    handle = os.pidfd_open(child)
    loop.add_reader(handle, over.set)
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            await over.wait()
    except TimeoutError as error:
        raise OSError(errno.ETIMEDOUT, f"not written within {LONGEST_SECONDS:g} s") from error
    finally:
        loop.remove_reader(handle)
        os.close(handle)
        if not over.is_set():
            os.kill(child, signal.SIGKILL)
        status = _reaped(child, os.WNOHANG if not over.is_set() else 0)  # one that hangs in its disk dies when it may
    return status


def _reaped(child: int, options: int) -> int:
    _, status = os.waitpid(child, options)
    return os.waitstatus_to_exitcode(status) % 256


def _write_and_end(files: Files) -> None:
    """In the child; never returns."""
    status = WITHOUT_ERRNO
    try:
        gc.disable()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.nice(KINDNESS)
        for path, pieces in files:
            _write(path, pieces())
        status = 0
    except OSError as error:
        status = error.errno or WITHOUT_ERRNO
    finally:
        os._exit(status)


def _write(path: Path, pieces: Iterator[bytes | memoryview]) -> None:
    """Beside the file, synced, then in its place."""
    beside = path.with_suffix(f"{path.suffix}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for piece in pieces:
            left = memoryview(piece)
            while left:
                left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
