"""What the actuator remembers over a restart: every intent from before its send, and how it ended.

One SQLite file a lane with `synchronous=FULL`: a row is on disk when the call returns. An intent is taken once for all
time: whoever repeats it is told what is known.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from devices.orders import State
from fleet.errors import HallkeeperError
from remediator.actuator_client import Answer, IntentMessage

KEPT_MS = 400 * 86_400_000
"""Finished intents are kept as long as the ledger's topic keeps theirs."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS intents (
    intent TEXT PRIMARY KEY, message BLOB NOT NULL, taken_ms INTEGER NOT NULL, note TEXT, sent_at_ms INTEGER, ending BLOB
) STRICT, WITHOUT ROWID
"""


Connect = Callable[[Path], sqlite3.Connection]


def connect(path: Path) -> sqlite3.Connection:
    """A connection that commits every statement by itself."""
    return sqlite3.connect(path, isolation_level=None)


class JournalError(HallkeeperError):
    """The journal cannot be written: nothing is sent while that is so."""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an intent."""

    message: IntentMessage
    note: str | None = None
    """Left right before the send; None means that nothing of a remembering writer left this machine."""
    sent_at_ms: int | None = None
    ending: Answer | None = None
    """The final answer; None while it is under way, or when the process ended in the middle."""


class Journal:
    """The actuator's own durable memory."""

    def __init__(self, path: Path, connect: Connect = connect) -> None:
        self._path = path
        with self._failing_loudly():
            self._db = connect(path)
            path.chmod(0o600)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(_SCHEMA)

    def take(self, message: IntentMessage, now_ms: int) -> Memory | None:
        """Take an intent for all time: None when it is new, and what is known of it when it is not."""
        with self._failing_loudly():
            taken = self._db.execute(
                "INSERT INTO intents (intent, message, taken_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (message.intent, msgspec.json.encode(message), now_ms),
            )
        return None if taken.rowcount else self.recall(message.intent)

    def recall(self, intent: str) -> Memory | None:
        """What is known of an intent, or None."""
        with self._failing_loudly():
            row = self._db.execute(
                "SELECT message, note, sent_at_ms, ending FROM intents WHERE intent = ?", (intent,)
            ).fetchone()
        return None if row is None else _memory(row)

    def remember(self, intent: str, note: str) -> None:
        """Right before the send: from here on the intent may have been sent."""
        self._write("UPDATE intents SET note = ? WHERE intent = ?", (note, intent))

    def sent(self, intent: str, at_ms: int) -> None:
        """It has been sent."""
        self._write("UPDATE intents SET sent_at_ms = ? WHERE intent = ?", (at_ms, intent))

    def end(self, answer: Answer) -> None:
        """How it ended, for everybody who asks again."""
        self._write("UPDATE intents SET ending = ? WHERE intent = ?", (msgspec.json.encode(answer), answer.intent))

    def in_doubt(self) -> list[Memory]:
        """Intents of an earlier process without an ending."""
        with self._failing_loudly():
            rows = self._db.execute(
                "SELECT message, note, sent_at_ms, ending FROM intents WHERE ending IS NULL"
            ).fetchall()
        return [_memory(row) for row in rows]

    def forget_old(self, now_ms: int) -> None:
        """Drop what ended long ago."""
        self._write("DELETE FROM intents WHERE ending IS NOT NULL AND taken_ms < ?", (now_ms - KEPT_MS,))

    def close(self) -> None:
        self._db.close()

    def _write(self, sql: str, values: tuple[object, ...]) -> None:
        with self._failing_loudly():
            self._db.execute(sql, values)

    @contextlib.contextmanager
    def _failing_loudly(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise JournalError(
                f"{self._path}: {error}, try freeing the disk or giving the folder to this user"
            ) from error


def _memory(row: tuple[bytes, str | None, int | None, bytes | None]) -> Memory:
    message, note, sent_at_ms, ending = row
    return Memory(
        message=msgspec.json.decode(message, type=IntentMessage),
        note=note,
        sent_at_ms=sent_at_ms,
        ending=None if ending is None else msgspec.json.decode(ending, type=Answer),
    )


def unsent(message: IntentMessage, text: str) -> Answer:
    """The ending of an intent that never left."""
    return Answer(intent=message.intent, state=State.NOT_SENT, text=text, final=True)
