"""Notifications that must leave: durable, in order per receiver and incident, retried until taken or visibly given up."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import HallkeeperError

RETRY_SECONDS = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0)
"""Pauses after the first, second, … failed try; the last one repeats (default of ours)."""
GIVE_UP_SECONDS = 24 * 3600.0
"""After so long a notification is marked undeliverable: it stays in the outbox and in the metrics."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    id TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL,
    receiver TEXT NOT NULL,
    subject TEXT NOT NULL,
    body BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_ms INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'taken', 'undeliverable')),
    why TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE IF NOT EXISTS told (
    incident TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    paged INTEGER NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (state, receiver, sequence);
"""


class OutboxError(HallkeeperError):
    """The outbox's file cannot be used; nothing was accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One notification to one receiver."""

    id: str
    """Derived from receiver, incident and transition: the same transition is never queued twice."""
    receiver: str
    subject: str
    """The incident: notices of one subject reach a receiver in order."""
    body: bytes
    created_ms: int
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was last said about an incident, and up to which of its updates it was looked at."""

    state: str
    paged: bool
    at_ms: int


class Outbox:
    """SQLite with `synchronous=FULL`: accepted means on disk."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise OutboxError(
                f"{path}: the outbox cannot be opened ({error}); try: a writable `data:` folder with free space"
            ) from error

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def queue(self, incident: str, told: Told, notices: Sequence[Notice]) -> None:
        """Accept what must be told of one incident, and remember that it was: in one transaction."""
        with self._transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO told VALUES (?, ?, ?, ?)", (incident, told.state, told.paged, told.at_ms)
            )
            for notice in notices:
                db.execute(
                    "INSERT OR IGNORE INTO outbox (id, sequence, receiver, subject, body, created_ms, next_ms)"
                    " VALUES (?, (SELECT coalesce(max(sequence), 0) + 1 FROM outbox), ?, ?, ?, ?, ?)",
                    (notice.id, notice.receiver, notice.subject, notice.body, notice.created_ms, notice.created_ms),
                )

    def told(self, incident: str) -> Told | None:
        """What was last told of an incident, over restarts."""
        row = self._db.execute("SELECT state, paged, at_ms FROM told WHERE incident = ?", (incident,)).fetchone()
        return Told(state=row[0], paged=bool(row[1]), at_ms=row[2]) if row else None

    def due(self, receiver: str, now_ms: int, *, limit: int = 32) -> list[Notice]:
        """The notices to try now: only the oldest waiting one of each incident, so that order holds."""
        rows = self._db.execute(
            "SELECT id, receiver, subject, body, created_ms, attempts, next_ms, min(sequence) FROM outbox"
            " WHERE state = 'waiting' AND receiver = ? GROUP BY subject ORDER BY min(sequence) LIMIT ?",
            (receiver, limit),
        ).fetchall()
        return [
            Notice(id=row[0], receiver=row[1], subject=row[2], body=row[3], created_ms=row[4], attempts=row[5])
            for row in rows
            if row[6] <= now_ms
        ]

    def taken(self, notice: Notice) -> None:
        """The receiver said yes."""
        self._db.execute("UPDATE outbox SET state = 'taken', body = x'' WHERE id = ?", (notice.id,))

    def failed(self, notice: Notice, now_ms: int, why: str, *, for_ever: bool = False) -> bool:
        """The try failed; True when the notice is now undeliverable (refused for good, or too old)."""
        given_up = for_ever or now_ms - notice.created_ms > GIVE_UP_SECONDS * 1000
        pause = RETRY_SECONDS[min(notice.attempts, len(RETRY_SECONDS) - 1)]
        self._db.execute(
            "UPDATE outbox SET attempts = attempts + 1, next_ms = ?, why = ?, state = ? WHERE id = ?",
            (now_ms + int(pause * 1000), why, "undeliverable" if given_up else "waiting", notice.id),
        )
        return given_up

    def prune(self, before_ms: int) -> None:
        """Forget taken notices older than `before_ms`; their ids are needed only while a replay may repeat them."""
        self._db.execute("DELETE FROM outbox WHERE state = 'taken' AND created_ms < ?", (before_ms,))
        self._db.execute("DELETE FROM told WHERE state = 'resolved' AND at_ms < ?", (before_ms,))

    def counts(self) -> dict[str, int]:
        """State → number of notices."""
        return dict(self._db.execute("SELECT state, count(*) FROM outbox GROUP BY state").fetchall())
