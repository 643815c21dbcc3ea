"""The disk under ledger and journal: real SQLite files in memory, and every instant at which a crash matters.

What a host loses that loses its power is what was written without being synced: a database that does not ask for
`synchronous=FULL` is set back to what it was when it was opened.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hallkeeper.world.process import Process

FULL = 2
WRITES = ("INSERT", "UPDATE", "DELETE")

Connect = Callable[[Path], sqlite3.Connection]


@dataclass(slots=True)
class Disk:
    """One host's disk: what is on it outlives its processes."""

    full: bool = False
    """Every write fails."""
    durable: dict[Path, bytes] = field(default_factory=dict)
    """What a database was when it was opened, for those that do not sync."""

    def connector(self, process: Process) -> Connect:
        """How a process opens a database on this disk."""

        def connect(path: Path) -> sqlite3.Connection:
            before = path.read_bytes() if path.exists() else b""
            connection = sqlite3.connect(path, isolation_level=None, timeout=0.0, factory=Watched)
            connection.disk, connection.process = self, process
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.path, connection.before = path, before
            process.at_death(connection.abandon)
            return connection

        return connect

    def lose_power(self) -> None:
        """What was not synced is gone. Every process of the host is dead."""
        for path, content in self.durable.items():
            path.write_bytes(content)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        self.durable.clear()


class Watched(sqlite3.Connection):
    """A connection whose process may die before or after each commit."""

    disk: Disk
    process: Process
    path: Path
    before: bytes
    _within = False

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        """As SQLite does; commits are instants at which a crash matters."""
        self.process.check()
        if sql.startswith("BEGIN"):
            self._within = True
        writes = sql == "COMMIT" or (not self._within and sql.startswith(WRITES))
        if not writes:
            if sql == "ROLLBACK":
                self._within = False
            return super().execute(sql, *parameters)
        return self._durably(sql, parameters)

    def _durably(self, sql: str, parameters: tuple[Any, ...]) -> sqlite3.Cursor:
        self.process.point("commit")
        if self.disk.full:
            if sql == "COMMIT":
                super().execute("ROLLBACK")
                self._within = False
            raise sqlite3.OperationalError("database or disk is full")
        cursor = super().execute(sql, *parameters)
        self._within = False
        if super().execute("PRAGMA synchronous").fetchone()[0] < FULL:
            self.disk.durable.setdefault(self.path, self.before)
        self.process.point("committed")
        return cursor

    def abandon(self) -> None:
        """The process is gone: what it had begun is rolled back."""
        self.close()
