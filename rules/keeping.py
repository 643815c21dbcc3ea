"""A small file that is always whole: written beside, synced, and moved into place."""

import asyncio
import os
from pathlib import Path


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


def read_whole(path: Path) -> bytes | None:
    """The file's content, or None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
