"""Follows the kernel's log and keeps what GPUs and switches report: read once, also across restarts of the daemon."""

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import structlog

from agent.kernel_lines import KernelLine, gpu_error, journal_line, kmsg_line, line_time_ms
from agent.store import Happening, Store, Unusable
from fleet.clock import Clock

RECORD_LIMIT = 8_192
"""Bytes of one /dev/kmsg record; the kernel's CONSOLE_EXT_LOG_MAX."""
BATCH_LIMIT = 256
"""Lines taken at once, so that a storm is one disk write, not one each."""
JOURNAL_LINE_LIMIT = 1 << 20
RESTART_SECONDS = 5.0
"""Pause before journalctl is started again after it ended (a default to tune)."""

log = structlog.get_logger("agent.kernel_log")


class KernelLog(Protocol):
    """A source of kernel lines, in order."""

    name: str
    """Under which the place to go on at is remembered."""

    def lines(self, after: str | None) -> AsyncGenerator[Sequence[KernelLine], None]:
        """Batches of lines for ever, starting after the mark, or with all that the source still holds."""
        ...


class NoKernelLog:
    """For a node whose kernel log is nobody's business."""

    name = "none"

    async def lines(self, after: str | None) -> AsyncGenerator[Sequence[KernelLine], None]:
        del after
        await asyncio.Event().wait()
        yield ()


class Kmsg:
    """/dev/kmsg: the kernel's ring; a record read too late is gone, which the kernel says with EPIPE."""

    def __init__(self, path: Path = Path("/dev/kmsg")) -> None:
        """Raises `Unusable` when it cannot be read."""
        self.name = "kmsg"
        self._path = path
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        except OSError as error:
            raise Unusable(f"{path}: {error.strerror}, try `kernel_log: journal`, or running as root") from error

    async def lines(self, after: str | None) -> AsyncGenerator[Sequence[KernelLine], None]:
        last = int(after) if after is not None and after.isdigit() else -1
        descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            while True:
                await _readable(descriptor)
                found = [line for record in _records(descriptor) if (line := kmsg_line(record)) is not None]
                fresh = [line for line in found if int(line.mark) > last]
                if fresh:
                    last = int(fresh[-1].mark)
                    yield fresh
        finally:
            os.close(descriptor)


def _records(descriptor: int) -> list[bytes]:
    """The records that can be read now: one a `read`, as the kernel hands them out."""
    records: list[bytes] = []
    while len(records) < BATCH_LIMIT:
        try:
            record = os.read(descriptor, RECORD_LIMIT)
        except BlockingIOError:
            break
        except OSError as error:
            if error.errno == errno.EPIPE:
                continue  # the ring overtook us: the next read gives the oldest record still there
            if error.errno == errno.EINVAL:
                continue  # a record longer than any the kernel documents: it is skipped
            raise
        if not record:
            break
        records.extend(line + b"\n" for line in record.split(b"\n") if line[:1].isdigit())
    return records


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


class Journal:
    """journald through journalctl, which knows its files better than anybody; started again when it ends."""

    def __init__(self, clock: Clock, program: str = "journalctl") -> None:
        self.name = "journal"
        self._clock = clock
        self._program = program

    async def lines(self, after: str | None) -> AsyncGenerator[Sequence[KernelLine], None]:
        while True:
            async with contextlib.aclosing(self._once(after)) as batches:
                async for batch in batches:
                    after = batch[-1].mark
                    yield batch
            log.warning("journalctl ended, starting it again", seconds=RESTART_SECONDS)
            await self._clock.sleep(RESTART_SECONDS)

    async def _once(self, after: str | None) -> AsyncGenerator[Sequence[KernelLine], None]:
        arguments = ["-k", "-f", "-o", "json", "--no-pager", "--no-tail"]
        if after is not None:
            arguments += ["--after-cursor", after]
        try:
            process = await asyncio.create_subprocess_exec(
                self._program,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=JOURNAL_LINE_LIMIT,
                start_new_session=True,
            )
        except OSError as error:
            raise Unusable(f"{self._program}: {error.strerror}, try `kernel_log: kmsg`") from error
        assert process.stdout is not None
        try:
            while (record := await _line(process.stdout)) is not None:
                line = journal_line(record)
                if line is not None:
                    yield (line,)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _line(stream: asyncio.StreamReader) -> bytes | None:
    """One line, or None at the end; a line over the limit is skipped and comes as empty."""
    try:
        record = await stream.readuntil(b"\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError as overrun:
        await stream.readexactly(overrun.consumed)
        return b""
    return record


class KernelWatch:
    """Keeps the GPU errors that a kernel log tells, and wakes who waits for them."""

    def __init__(
        self, source: KernelLog, store: Store, clock: Clock, *, boot_id: str, gpu_at: Callable[[], Mapping[str, int]]
    ) -> None:
        self._source = source
        self._store = store
        self._clock = clock
        self._boot_id = boot_id
        self._gpu_at = gpu_at
        self.news = asyncio.Event()
        """Set, and replaced by a new one, when something new was kept."""

    async def run(self) -> None:
        """Follow for ever. A mark of another boot counts for a kernel ring that started anew."""
        known = self._store.mark(self._source.name) or ""
        boot, _, place = known.partition(" ")
        after = place if boot == self._boot_id and place else None
        async with contextlib.aclosing(self._source.lines(after)) as batches:
            async for batch in batches:
                await self._keep(batch)

    async def _keep(self, batch: Sequence[KernelLine]) -> None:
        found = [happening for line in batch if (happening := self._happening(line)) is not None]
        if found:
            mark = (self._source.name, f"{self._boot_id} {batch[-1].mark}")
            await asyncio.to_thread(self._store.add_events, found, mark=mark, now_ms=self._clock.now_ms())
            self.news.set()
            self.news = asyncio.Event()

    def _happening(self, line: KernelLine) -> Happening | None:
        error = gpu_error(line.text)
        if error is None:
            return None
        at = line_time_ms(line, now_ms=self._clock.now_ms(), boottime_ns=self._clock.boottime_ns())
        log.warning("the kernel reports a GPU error", kind=error.kind, code=error.code, line=error.text)
        gpu = self._gpu_at().get(error.pci) if error.kind == "xid" else None
        return Happening(at=at, kind=error.kind, code=error.code, gpu=gpu, text=error.text)
