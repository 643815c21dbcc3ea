"""What the daemon must not forget: events until they were read, intents, checkpoints, and how far it read the kernel log.

One SQLite file, mode 0600. Methods block for a disk write: callers in the event loop go through `asyncio.to_thread`.
"""

import os
import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.protocol import Checkpoint, Event, JobReading
from fleet.errors import HallkeeperError

EVENTS_LIMIT = 10_000
"""Events kept; a storm overwrites the oldest, visibly (default to tune)."""
EVENTS_AGE_MS = 7 * 86_400_000
"""Kept as long as the bus keeps device events."""
INTENTS_LIMIT = 10_000
JOBS_LIMIT = 1_000
READ_LIMIT = 1_000
"""Events in one answer."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS events(
    id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, kind TEXT NOT NULL, code TEXT NOT NULL, gpu INTEGER,
    text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS marks(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS intents(
    number INTEGER PRIMARY KEY AUTOINCREMENT, intent TEXT NOT NULL UNIQUE, request TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS checkpoints(
    job TEXT PRIMARY KEY, state TEXT NOT NULL, intent TEXT NOT NULL, at INTEGER NOT NULL, step INTEGER,
    text TEXT NOT NULL, done_at INTEGER);
"""


class Unusable(HallkeeperError):
    """The data folder or the file in it cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """An event before it has a number."""

    at: int
    kind: str
    code: str
    gpu: int | None
    text: str


class Store:
    """The daemon's memory."""

    def __init__(self, folder: Path) -> None:
        """Raises `Unusable` when the folder cannot be written or the file is not ours."""
        path = folder / "agent.sqlite"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(SCHEMA)
        except OSError as error:
            raise Unusable(f"{path}: {error.strerror}, try a folder that this user can write (data: …)") from error
        except sqlite3.Error as error:
            raise Unusable(f"{path}: {error}, try moving the file away") from error
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def add_events(self, happenings: Iterable[Happening], *, mark: tuple[str, str], now_ms: int) -> int:
        """Keep events and how far the log was read, both or neither; gives the newest event's number."""
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(
                "INSERT INTO events(at, kind, code, gpu, text) VALUES(?, ?, ?, ?, ?)",
                [(event.at, event.kind, event.code, event.gpu, event.text) for event in happenings],
            )
            self._database.execute("INSERT OR REPLACE INTO marks VALUES(?, ?)", mark)
            newest = self._newest()
            self._database.execute(
                "DELETE FROM events WHERE id <= ? OR at < ?", (newest - EVENTS_LIMIT, now_ms - EVENTS_AGE_MS)
            )
        return newest

    def events_after(self, cursor: int) -> tuple[list[Event], int, int]:
        """Events after the cursor (at most `READ_LIMIT`), the oldest number still held, the newest ever given."""
        with self._lock:
            rows = self._database.execute(
                "SELECT id, at, kind, code, gpu, text FROM events WHERE id > ? ORDER BY id LIMIT ?",
                (cursor, READ_LIMIT),
            ).fetchall()
            newest = self._newest()
            (oldest,) = self._database.execute("SELECT coalesce(min(id), ?) FROM events", (newest + 1,)).fetchone()
        events = [Event(id=i, at=at, kind=kind, code=code, gpu=gpu, text=text) for i, at, kind, code, gpu, text in rows]
        return events, int(oldest), newest

    def _newest(self) -> int:
        row = self._database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        return int(row[0]) if row else 0

    def mark(self, name: str) -> str | None:
        """A remembered value, such as how far the kernel log was read."""
        with self._lock:
            row = self._database.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def set_mark(self, name: str, value: str) -> None:
        with self._lock:
            self._database.execute("INSERT OR REPLACE INTO marks VALUES(?, ?)", (name, value))

    def take_intent(self, intent: str, request: str, *, at: int) -> str | None:
        """Remember that this intent is acted upon now; gives the earlier request of the same name, or None."""
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            row = self._database.execute("SELECT request FROM intents WHERE intent = ?", (intent,)).fetchone()
            if row is not None:
                return str(row[0])
            self._database.execute("INSERT INTO intents(intent, request, at) VALUES(?, ?, ?)", (intent, request, at))
            self._database.execute(
                "DELETE FROM intents WHERE number <= (SELECT max(number) FROM intents) - ?", (INTENTS_LIMIT,)
            )
        return None

    def checkpoint(self, job: str) -> Checkpoint:
        """How far the job's checkpoint is; `none` for a job never asked for one."""
        with self._lock:
            row = self._database.execute(
                "SELECT state, intent, at, step, text FROM checkpoints WHERE job = ?", (job,)
            ).fetchone()
        if row is None:
            return Checkpoint(state="none")
        return Checkpoint(state=row[0], intent=row[1], at=row[2], step=row[3], text=row[4])

    def put_checkpoint(self, job: str, checkpoint: Checkpoint) -> None:
        """Keep the state; the time of the last good checkpoint outlives a failed one."""
        done_at = checkpoint.at if checkpoint.state == "done" else None
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(
                "INSERT INTO checkpoints VALUES(?, ?, ?, ?, ?, ?, ?) ON CONFLICT(job) DO UPDATE SET state = excluded.state,"
                " intent = excluded.intent, at = excluded.at, step = excluded.step, text = excluded.text,"
                " done_at = coalesce(excluded.done_at, done_at)",
                (job, checkpoint.state, checkpoint.intent, checkpoint.at, checkpoint.step, checkpoint.text, done_at),
            )
            self._database.execute(
                "DELETE FROM checkpoints WHERE job IN (SELECT job FROM checkpoints ORDER BY at DESC LIMIT -1 OFFSET ?)",
                (JOBS_LIMIT,),
            )

    def fail_unfinished(self, text: str, *, at: int) -> None:
        """Checkpoints that an earlier life of the daemon left without an outcome have none."""
        with self._lock:
            self._database.execute(
                "UPDATE checkpoints SET state = 'failed', text = ?, at = ? WHERE state = 'requested'", (text, at)
            )

    def job_ages(self, *, now_ms: int) -> list[JobReading]:
        """How long ago each job's last good checkpoint was made."""
        with self._lock:
            rows = self._database.execute("SELECT job, done_at FROM checkpoints WHERE done_at IS NOT NULL").fetchall()
        return [JobReading(job=job, checkpoint_age_seconds=max(0, now_ms - at) / 1000) for job, at in rows]
