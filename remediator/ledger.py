"""The ledger: what is meant is durable before it is done, and what came of it before anything else is meant.

SQLite with `synchronous=FULL` in one file that one process writes. Admission is one transaction: the lease on the target,
the reservations in every failure domain (the budget is a constraint in SQL), the intent and the remediation's new state.
Every new state leaves a signed event for the bus in the same transaction.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from fleet.errors import HallkeeperError
from remediator.facts import Budget, Refusal
from remediator.ledger_rows import (
    CLOSE_INTENT,
    INSERT_INTENT,
    TERMINAL_SQL,
    Outgoing,
    closing_values,
    hold_again,
    intent_of,
    intent_values,
    put_events,
    put_intent,
    put_memory,
    put_state,
    refusal_of,
    take_lease,
)
from remediator.ledger_schema import SCHEMA, VERSION
from remediator.records import Intent, Remediation

__all__ = ["Connect", "Ledger", "LedgerUnusableError", "Outgoing", "connect"]

DAY_MS = 86_400_000
KEPT_DAYS = 400
"""As long as the topic `remediations`."""

Connect = Callable[[Path], sqlite3.Connection]


class LedgerUnusableError(HallkeeperError):
    """The ledger cannot be used: damaged, unwritable, or written by a newer version."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection as the ledger needs it."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


class Ledger:
    """One lane's ledger. Every method that writes returns when it is on disk."""

    def __init__(self, connection: sqlite3.Connection, path: Path, connect: Connect) -> None:
        self._db = connection
        self._connect = connect
        self.path = path

    @classmethod
    def open(cls, path: Path, *, connect: Connect = connect) -> "Ledger":
        """Open or make it. Raises `LedgerUnusableError` with what to try."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = connect(path)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise LedgerUnusableError(
                    f"{path}: written by a newer version (schema {version}, this is {VERSION}), try the newer release"
                )
            path.chmod(0o600)
            for statement in SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={VERSION}")
        except (sqlite3.Error, OSError) as error:
            raise LedgerUnusableError(f"{path}: {error}, try its backup or another data folder") from error
        return cls(connection, path, connect)

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it, on disk, or nothing. Raises `LedgerUnusableError` where the disk does not take it."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._open_again()
            raise LedgerUnusableError(f"{self.path}: {error}, nothing of it counts; try freeing the disk") from error

    def _open_again(self) -> None:
        """After a write that failed nothing in memory is believed: what is on disk is read anew."""
        self._db.close()
        self._db = self._connect(self.path)

    # what is written

    def record(self, state: Remediation, *events: Outgoing) -> None:
        """A new state of a remediation, and what the bus shall hear of it; a state that ended gives everything back."""
        with self._transaction() as db:
            put_state(db, state)
            put_events(db, events)
            if state.ended:
                db.execute("DELETE FROM leases WHERE remediation=?", (state.remediation_id,))
                db.execute("DELETE FROM reservations WHERE remediation=?", (state.remediation_id,))

    def admit(
        self, state: Remediation, intents: Sequence[Intent], budgets: Sequence[Budget], *events: Outgoing
    ) -> Refusal | None:
        """Lease, reservations, intents and state in one transaction; a refusal leaves nothing behind."""
        try:
            with self._transaction() as db:
                take_lease(db, state)
                for budget in budgets:
                    db.execute(
                        "INSERT INTO reservations(domain, remediation, allowed) VALUES(?,?,?)"
                        " ON CONFLICT(domain, remediation) DO NOTHING",
                        (str(budget.domain), state.remediation_id, budget.allowed),
                    )
                for intent in intents:
                    db.execute(INSERT_INTENT, (*intent_values(intent), msgspec.json.encode(intent)))
                put_state(db, state)
                put_events(db, events)
        except sqlite3.IntegrityError as error:
            return refusal_of(error, state)
        return None

    def sent(self, intent_id: str, sent_at_ms: int, wire_state: str) -> None:
        """The actuator said that it was sent, and how it stands on the wire."""
        with self._transaction() as db:
            db.execute(
                "UPDATE intents SET sent_at_ms=?, wire_state=? WHERE id=? AND outcome IS NULL",
                (sent_at_ms, wire_state, intent_id),
            )

    def conclude(
        self, state: Remediation, intents: Sequence[Intent], *events: Outgoing, memory: Mapping[str, Any] | None = None
    ) -> None:
        """The intents' outcomes, once and never again others, with the state after them and what must be remembered."""
        with self._transaction() as db:
            for intent in intents:
                db.execute(f"{CLOSE_INTENT} AND outcome IS NULL", closing_values(intent))
            put_state(db, state)
            put_events(db, events)
            for name, value in (memory or {}).items():
                put_memory(db, name, value)

    def remember(self, name: str, value: Any) -> None:
        """A named fact that outlives the process: a freeze, a command that was seen."""
        with self._transaction() as db:
            put_memory(db, name, value)

    def forget(self, name: str) -> None:
        """The fact no longer holds."""
        with self._transaction() as db:
            db.execute("DELETE FROM memory WHERE name=?", (name,))

    def emit(self, *events: Outgoing, name: str = "", value: Any = None) -> None:
        """Events that belong to no remediation (an incident's), durable with the fact that they tell."""
        with self._transaction() as db:
            put_events(db, events)
            if name:
                put_memory(db, name, value)

    def published(self, sequence: int) -> None:
        """The bus accepted everything up to here."""
        with self._transaction() as db:
            db.execute("DELETE FROM outbox WHERE sequence<=?", (sequence,))

    def adopt(self, state: Remediation, domains: Sequence[str]) -> None:
        """A state that another worker published, with its intents and what it holds; an older one changes nothing."""
        known = self.remediation(state.remediation_id)
        if known is not None and known.sequence >= state.sequence:
            return
        with self._transaction() as db:
            put_state(db, state)
            for intent in state.intents:
                put_intent(db, intent)
            db.execute("DELETE FROM leases WHERE remediation=?", (state.remediation_id,))
            db.execute("DELETE FROM reservations WHERE remediation=?", (state.remediation_id,))
            if state.acted and not state.ended:
                hold_again(db, state, domains)

    def prune(self, now_ms: int) -> None:
        """Drop what ended longer ago than the topic keeps it."""
        before = now_ms - KEPT_DAYS * DAY_MS
        with self._transaction() as db:
            db.execute("DELETE FROM intents WHERE closed_at_ms<?", (before,))
            db.execute(
                "DELETE FROM memory WHERE name LIKE 'command/%' AND CAST(CAST(value AS TEXT) AS INTEGER)<?", (before,)
            )
            db.execute(f"DELETE FROM remediations WHERE updated_at_ms<? AND phase IN {TERMINAL_SQL}", (before,))  # noqa: S608

    # what is read

    def remediations(self, *, ended: bool | None = None, since_ms: int = 0) -> list[Remediation]:
        """Remediations, oldest first: all, or only those that ended or not."""
        where = {None: "1", True: f"phase IN {TERMINAL_SQL}", False: f"phase NOT IN {TERMINAL_SQL}"}[ended]
        rows = self._db.execute(
            f"SELECT state FROM remediations WHERE {where} AND updated_at_ms>=? ORDER BY created_at_ms, id",  # noqa: S608
            (since_ms,),
        )
        return [msgspec.json.decode(row[0], type=Remediation) for row in rows]

    def remediation(self, remediation_id: str) -> Remediation | None:
        """The last state of one."""
        row = self._db.execute("SELECT state FROM remediations WHERE id=?", (remediation_id,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Remediation)

    def open_intents(self) -> list[Intent]:
        """Intents without an outcome: after a start each of them is in doubt."""
        rows = self._db.execute(
            "SELECT body, sent_at_ms, wire_state FROM intents WHERE outcome IS NULL ORDER BY created_at_ms, id"
        )
        return [intent_of(row) for row in rows]

    def intents_since(self, since_ms: int) -> list[Intent]:
        """Intents written since then, oldest first, with how they ended."""
        rows = self._db.execute(
            "SELECT body, sent_at_ms, wire_state, outcome, text, closed_at_ms FROM intents"
            " WHERE created_at_ms>=? ORDER BY created_at_ms, id",
            (since_ms,),
        )
        return [intent_of(row) for row in rows]

    def reservations(self) -> dict[str, frozenset[str]]:
        """Domain to the remediations that hold a place in it."""
        held: dict[str, set[str]] = {}
        for domain, remediation in self._db.execute("SELECT domain, remediation FROM reservations"):
            held.setdefault(domain, set()).add(remediation)
        return {domain: frozenset(holders) for domain, holders in held.items()}

    def memory(self, prefix: str) -> dict[str, Any]:
        """Every remembered fact whose name begins so."""
        rows = self._db.execute("SELECT name, value FROM memory WHERE substr(name, 1, ?)=?", (len(prefix), prefix))
        return {name: msgspec.json.decode(value) for name, value in rows}

    def outbox(self, limit: int = 500) -> list[Outgoing]:
        """What the bus has not accepted yet, in order."""
        rows = self._db.execute("SELECT sequence, topic, key, value FROM outbox ORDER BY sequence LIMIT ?", (limit,))
        return [Outgoing(*row) for row in rows]

    def is_new(self) -> bool:
        """Nothing was ever written into it."""
        return self._db.execute("SELECT 1 FROM remediations LIMIT 1").fetchone() is None
