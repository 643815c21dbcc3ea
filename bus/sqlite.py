"""SQLite as a log needs it: how a file is opened, what its errors mean, and one thread that writes.

Reads run on the event loop: a slice of 64 frames of 3 kB takes 0.3 ms (5 µs a row, measured), and a reading thread would give
the interpreter's lock away at every row and wait up to 5 ms to get it back from a busy loop. Writes run in one thread: they
wait for other processes' locks, for checkpoints (12 ms) and for the disk.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from bus.errors import BusError

BUSY_SECONDS: Final = 10.0
"""How long a write waits for other processes' writes before it fails."""
PAGE_BYTES: Final = 16_384
"""Five frames of 3 kB a page: 3.2 kB on disk each, against 4.0 kB in pages of 4,096 (measured)."""
WAL_LIMIT_BYTES: Final = 64 << 20
QUEUE_LIMIT: Final = 256
"""Writes that wait for the thread; who comes next waits outside."""
GROUP_LIMIT: Final = 64
"""Writes that share one transaction."""
CHORE_NS: Final = 1_000_000_000

Job: TypeAlias = Callable[[sqlite3.Connection], Any]


def connect(path: Path, *, application: int, schema: str, version: int) -> sqlite3.Connection:
    """Open the file in WAL mode, and make its tables where they are not there. Raises `BusError`, naming it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS, cached_statements=1024
        )
    except (OSError, sqlite3.Error) as error:
        raise refusal(path, error) from error
    try:
        _prepare(connection, path, application, schema, version)
    except sqlite3.Error as error:
        connection.close()
        raise refusal(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, application: int, schema: str, version: int) -> None:
    """Pragmas first, then the tables, once, whichever process comes first."""
    connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(f"PRAGMA journal_size_limit={WAL_LIMIT_BYTES}")
    if _stamp(connection, path, application, version) == version:
        return
    connection.execute("BEGIN IMMEDIATE")
    if _stamp(connection, path, application, version) == 0:
        for statement in schema.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={application}")
        connection.execute(f"PRAGMA user_version={version}")
    connection.execute("COMMIT")


def _stamp(connection: sqlite3.Connection, path: Path, application: int, version: int) -> int:
    """The schema version in the file: 0 for a new one."""
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
    if (tables or found) and owner != application:
        raise BusError(f"{path} is another program's database, try another data folder")
    if found > version:
        raise BusError(
            f"{path} was written by a newer release (format {found}, this one reads {version}), try upgrading"
        )
    return found


_ADVICE: Final = {
    "SQLITE_FULL": "the disk is full, try freeing space",
    "SQLITE_READONLY": "it cannot be written, try giving the folder and its files to this user",
    "SQLITE_CANTOPEN": "it cannot be opened, try giving the folder to this user",
    "SQLITE_PERM": "it cannot be opened, try giving the folder to this user",
    "SQLITE_CORRUPT": "it is damaged, try moving it and its -wal file aside (a new one is made) and keep them for salvage",
    "SQLITE_NOTADB": "it is not a log of Hallkeeper or is damaged, try moving it aside (a new one is made)",
    "SQLITE_BUSY": f"another process kept it locked for {BUSY_SECONDS:g} s, try finding out which (fuser)",
    "SQLITE_IOERR": "the disk failed or is full, try its system log (dmesg) and free space",
}


def refusal(path: Path, error: Exception) -> BusError:
    """The `BusError` with the file's name, what is wrong with it and what to try."""
    name = getattr(error, "sqlite_errorname", "") or ""
    advice = next((text for known, text in _ADVICE.items() if name.startswith(known)), "")
    if isinstance(error, OSError):
        advice = "its folder cannot be used, try giving it to this user, or another data folder"
    return BusError(f"{path}: {advice or 'it cannot be used'} ({name or type(error).__name__}: {error})")


class _Work:
    """One write and who waits for it."""

    __slots__ = ("answer", "error", "full", "job", "result")

    def __init__(self, job: Job, answer: asyncio.Future[Any] | None = None, *, full: bool = False) -> None:
        self.job = job
        self.answer = answer
        self.full = full
        self.result: Any = None
        self.error: BaseException | None = None


class Writer:
    """One thread with one connection; what waits is written in one transaction.

    With `inline` there is no thread: each write runs where it is asked for, so that virtual time stays exact. `chore` runs
    beside the writes, at most once a second, in a transaction of its own.
    """

    def __init__(
        self,
        path: Path,
        opener: Callable[[], sqlite3.Connection],
        *,
        inline: bool = False,
        chore: Job | None = None,
        boottime_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.path = path
        self._chore = chore
        self._boottime_ns = boottime_ns
        self._chore_due_ns = 0
        self.failed_chores = 0
        self._opener = opener
        self._connection: sqlite3.Connection | None = opener()
        self._waiting: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(QUEUE_LIMIT)
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._thread = None if inline else threading.Thread(target=self._serve, name=f"writes {path.name}", daemon=True)
        self.transactions = 0
        if self._thread is not None:
            self._thread.start()

    async def run(self, job: Job, *, full: bool = False) -> Any:
        """The job's result, when its transaction is committed (`full`: and synced). Raises `BusError`: nothing of it is."""
        if self._closing:
            raise BusError(f"{self.path}: closed, try opening the bus again")
        if self._thread is None:
            work = _Work(job, full=full)
            self._write([work])
            self._tidy()
            if work.error is not None:
                raise work.error
            return work.result
        async with self._room:
            if self._closing:
                raise BusError(f"{self.path}: closed, try opening the bus again")
            answer: asyncio.Future[Any] = self._loop.create_future()
            self._waiting.put(_Work(job, answer, full=full))
            return await answer

    async def close(self) -> None:
        """Write what waits, then end."""
        self._closing = True
        self._waiting.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _serve(self) -> None:
        while True:
            first = self._waiting.get()
            if first is None:
                return
            group = [first]
            while len(group) < GROUP_LIMIT and not self._waiting.empty():
                work = self._waiting.get()
                if work is None:
                    self._waiting.put(None)
                    break
                group.append(work)
            self._write(group)
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(_settle, group)
            self._tidy()

    def _write(self, group: Sequence[_Work]) -> None:
        """All in one transaction; where that fails, each in its own, so that one job's fault is its own."""
        error = self._commit(group)
        if error is None or len(group) == 1:
            for work in group:
                work.error = error
            return
        for work in group:
            work.error = self._commit([work])

    def _tidy(self) -> None:
        """The chore, when it is due; what it could not do it does the next time."""
        if self._chore is None or self._boottime_ns() < self._chore_due_ns:
            return
        self._chore_due_ns = self._boottime_ns() + CHORE_NS
        if self._commit([_Work(self._chore)]) is not None:
            self.failed_chores += 1

    def _commit(self, group: Sequence[_Work]) -> BaseException | None:
        try:
            connection = self._opened()
            connection.execute(f"PRAGMA synchronous={'FULL' if any(work.full for work in group) else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            for work in group:
                work.result = work.job(connection)
            connection.execute("COMMIT")
            self.transactions += 1
        except sqlite3.Error as error:
            self._undo(error)
            return refusal(self.path, error)
        except Exception as error:
            self._undo(error)
            return error
        return None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._opener()
        return self._connection

    def _undo(self, error: BaseException) -> None:
        """Roll back; after an error of the disk the file is opened anew, for nothing is known about what a sync left."""
        connection = self._connection
        if connection is None:
            return
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._drop(connection)
        if isinstance(error, sqlite3.OperationalError) and "IOERR" in (getattr(error, "sqlite_errorname", "") or ""):
            self._drop(connection)

    def _drop(self, connection: sqlite3.Connection) -> None:
        self._connection = None
        connection.close()


def _settle(group: Sequence[_Work]) -> None:
    """Tell those who still wait."""
    for work in group:
        if work.answer is None or work.answer.done():
            continue
        if work.error is None:
            work.answer.set_result(work.result)
        else:
            work.answer.set_exception(work.error)
