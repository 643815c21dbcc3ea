"""The spool in front of Kafka: what is accepted while the broker is away lies here, on this machine's disk.

Events, alerts, incidents, the ledger and commands lie in one line, synced before they count as accepted, and leave strictly in
order; they are never dropped. Frames lie in a ring of named size: the oldest go first, counted. Series tables are kept beside
the ring, one of each, for no frame can be read without its table. In memory there is never more than one chunk.
"""

import fcntl
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import msgspec
import xxhash

from bus.errors import BusError
from bus.port import Message
from bus.sqlite import Writer, connect, refusal
from fleet.clock import Clock, VirtualClock

APPLICATION: Final = 0x686B7370
"""SQLite's application id of the file: "hksp"."""
VERSION: Final = 1
SCHEMA: Final = """
CREATE TABLE line (seq INTEGER PRIMARY KEY AUTOINCREMENT, message BLOB NOT NULL);
CREATE TABLE ring (seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, size INTEGER NOT NULL, message BLOB NOT NULL);
CREATE TABLE ringed (count INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO ringed VALUES (0, 0);
CREATE TABLE tables (seq INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE, message BLOB NOT NULL)
"""
CHUNK: Final = 256
"""Messages that leave together."""
CHUNK_BYTES: Final = 2 << 20
"""And how many bytes, or a single message beyond it."""
TABLE_LIMIT: Final = 8_192
"""Series tables kept for one outage."""
ROOM_STEP: Final = 4_096
"""Frames of the ring that one write looks at to make room."""
NAMES: Final = 64
"""Processes that may share a data folder without naming their spools."""

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Message)
_TABLE_BYTE: Final = b"\x94"


@dataclass(frozen=True, slots=True, kw_only=True)
class RingSize:
    """How much telemetry outlives an outage."""

    seconds: float = 600.0
    """Ten minutes (design, section 3)."""
    bytes: int = 512 << 20
    """At 256 frames of 3 kB a second ten minutes are 450 MB."""


class Spool:
    """One process's spool: one file, held by one process at a time."""

    def __init__(self, path: Path, lock: int, *, clock: Clock, ring: RingSize) -> None:
        """Use `open`."""
        self.path = path
        self._lock = lock
        self._clock = clock
        self._size = ring
        self._reading = _connect(path)
        self._reading.execute("PRAGMA query_only=1")
        self._writer = Writer(path, lambda: _connect(path), inline=isinstance(clock, VirtualClock))
        self.lined = 0
        """Messages in the line now."""
        self.ringed = 0
        """Frames in the ring now."""
        self.ring_bytes = 0
        self.tables = 0
        """Series tables beside the ring now."""
        self._look()
        self.spooled = 0
        """Messages accepted here, ever since the start."""
        self.dropped_frames = 0
        """Frames that the ring gave up; of every other class nothing is ever dropped."""

    @classmethod
    def open(cls, folder: Path, name: str, *, clock: Clock, ring: RingSize | None = None) -> "Spool":
        """The spool of that name, or the first free `name-2`, … . Raises `BusError`, naming the file and what to try."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path, lock = _claim(folder, name)
        except OSError as error:
            raise BusError(
                f"{folder}: the spool cannot be opened ({error.strerror}), try giving the folder to this user"
            ) from error
        try:
            return cls(path, lock, clock=clock, ring=ring or RingSize())
        except BaseException:
            os.close(lock)
            raise

    async def append(self, messages: Sequence[Message]) -> None:
        """Into the line, synced. Raises `BusError`: nothing of it is in."""
        rows = [(_ENCODER.encode(message),) for message in messages]
        await self._writer.run(
            lambda connection: connection.executemany("INSERT INTO line (message) VALUES (?)", rows).rowcount, full=True
        )
        self._look()
        self.spooled += len(rows)

    async def keep(self, messages: Sequence[Message]) -> None:
        """Frames into the ring, tables beside it; the ring's oldest make room. Raises `BusError`: nothing of it is in."""
        tables = [message for message in messages if message.value[:1] == _TABLE_BYTE]
        frames = [message for message in messages if message.value[:1] != _TABLE_BYTE]
        now_ms = self._clock.now_ms()
        dropped = await self._writer.run(lambda connection: self._keep(connection, tables, frames, now_ms))
        self._look()
        self.dropped_frames += cast("int", dropped)
        self.spooled += len(messages)

    def _keep(
        self, connection: sqlite3.Connection, tables: Sequence[Message], frames: Sequence[Message], now_ms: int
    ) -> int:
        told = [(xxhash.xxh3_64_digest(table.value), _ENCODER.encode(table)) for table in tables]
        connection.executemany("INSERT OR REPLACE INTO tables (digest, message) VALUES (?, ?)", told)
        connection.execute(
            "DELETE FROM tables WHERE seq <= (SELECT seq FROM tables ORDER BY seq DESC LIMIT 1 OFFSET ?)",
            (TABLE_LIMIT,),
        )
        packed = [(now_ms, len(frame.value), _ENCODER.encode(frame)) for frame in frames]
        connection.executemany("INSERT INTO ring (at_ms, size, message) VALUES (?, ?, ?)", packed)
        _count(connection, len(packed), sum([size for _, size, _ in packed]))
        return self._make_room(connection, now_ms)

    def _make_room(self, connection: sqlite3.Connection, now_ms: int) -> int:
        """The ring's oldest go while they are too old or too much; how many went."""
        total = connection.execute("SELECT bytes FROM ringed").fetchone()[0]
        oldest_ms = now_ms - int(self._size.seconds * 1000)
        gone, last = 0, -1
        for seq, at_ms, size in connection.execute(
            "SELECT seq, at_ms, size FROM ring ORDER BY seq LIMIT ?", (ROOM_STEP,)
        ):
            if at_ms >= oldest_ms and total <= self._size.bytes:
                break
            gone, last, total = gone + 1, seq, total - size
        return gone if last < 0 else _cut_ring(connection, last)

    def line(self) -> list[tuple[int, Message]]:
        """The first chunk of the line, with its place in it."""
        return self._chunk("SELECT seq, message FROM line ORDER BY seq LIMIT ?")

    def ring(self) -> list[tuple[int, Message]]:
        """The oldest chunk of the ring."""
        return self._chunk("SELECT seq, message FROM ring ORDER BY seq LIMIT ?")

    def told(self) -> list[tuple[int, Message]]:
        """The first chunk of the tables."""
        return self._chunk("SELECT seq, message FROM tables ORDER BY seq LIMIT ?")

    def _chunk(self, statement: str) -> list[tuple[int, Message]]:
        chunk: list[tuple[int, Message]] = []
        size = 0
        try:
            for seq, message in self._reading.execute(statement, (CHUNK,)):
                size += len(message)
                if chunk and size > CHUNK_BYTES:
                    break
                chunk.append((seq, _DECODER.decode(message)))
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise refusal(self.path, error) from error
        return chunk

    async def left_line(self, upto: int) -> None:
        """The broker has the line up to there."""
        await self._writer.run(
            lambda connection: connection.execute("DELETE FROM line WHERE seq <= ?", (upto,)).rowcount
        )
        self._look()

    async def left_ring(self, upto: int) -> None:
        """The broker has the ring up to there."""
        await self._writer.run(lambda connection: _cut_ring(connection, upto))
        self._look()

    async def left_told(self, upto: int) -> None:
        """The broker has the tables up to there."""
        await self._writer.run(
            lambda connection: connection.execute("DELETE FROM tables WHERE seq <= ?", (upto,)).rowcount
        )
        self._look()

    async def close(self) -> None:
        """Write what waits, and let another process have the file."""
        await self._writer.close()
        self._reading.close()
        os.close(self._lock)

    def _look(self) -> None:
        """Rows leave the line at its start only, so its ends say how many there are."""
        self.lined = self._number("SELECT coalesce((SELECT max(seq) FROM line) - (SELECT min(seq) FROM line) + 1, 0)")
        self.ringed = self._number("SELECT count FROM ringed")
        self.ring_bytes = self._number("SELECT bytes FROM ringed")
        self.tables = self._number("SELECT count(*) FROM tables")

    def _number(self, statement: str) -> int:
        try:
            return int(self._reading.execute(statement).fetchone()[0])
        except sqlite3.Error as error:
            raise refusal(self.path, error) from error


def _count(connection: sqlite3.Connection, count: int, size: int) -> None:
    connection.execute("UPDATE ringed SET count = count + ?, bytes = bytes + ?", (count, size))


def _cut_ring(connection: sqlite3.Connection, upto: int) -> int:
    count, size = connection.execute(
        "SELECT count(*), coalesce(sum(size), 0) FROM ring WHERE seq <= ?", (upto,)
    ).fetchone()
    connection.execute("DELETE FROM ring WHERE seq <= ?", (upto,))
    _count(connection, -count, -size)
    return int(count)


def _connect(path: Path) -> sqlite3.Connection:
    return connect(path, application=APPLICATION, schema=SCHEMA, version=VERSION)


def _claim(folder: Path, name: str) -> tuple[Path, int]:
    """The first spool of that name that no process holds, and the lock on it."""
    for number in range(1, NAMES + 1):
        path = folder / (f"{name}.sqlite" if number == 1 else f"{name}-{number}.sqlite")
        lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        return path, lock
    raise BusError(f"{folder / name}.sqlite: {NAMES} processes hold spools of this name, try another name for each")
