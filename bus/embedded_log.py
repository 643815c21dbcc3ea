# ruff: noqa: S608 - the only names put into a statement are our own tables, log_<number>
"""The embedded log as SQL: one table a partition, appended at its end and cut at its start.

Everything here runs inside a transaction that its caller opened, and knows neither clock nor loop.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import msgspec

from bus.port import Message, Record
from bus.topics import Topic

APPLICATION: Final = 0x686B6275
"""SQLite's application id of the file: "hkbu"."""
VERSION: Final = 1
SCHEMA: Final = """
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,
    tail INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, high_ms INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, partition)
);
CREATE TABLE newest (id INTEGER NOT NULL, key TEXT NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (id, key)) WITHOUT ROWID;
CREATE TABLE superseded (id INTEGER NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (id, offset)) WITHOUT ROWID;
CREATE TABLE committed (grp TEXT NOT NULL, id INTEGER NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (grp, id)) WITHOUT ROWID;
CREATE TABLE members (
    member TEXT PRIMARY KEY, bell TEXT NOT NULL, grp TEXT NOT NULL, topics TEXT NOT NULL, seen_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE owners (grp TEXT NOT NULL, id INTEGER NOT NULL, member TEXT NOT NULL, PRIMARY KEY (grp, id)) WITHOUT ROWID
"""
SWEEP_ROWS: Final = 2_048
"""Records that one sweep deletes of one partition: 2 ms, and eight times what a second brings (256 frames)."""
ROW_BYTES: Final = 64
"""What a record costs on disk beside key and value, about."""
FUTURE_MS: Final = 86_400_000
"""A record dated further ahead was written under a wrong clock: retention takes it as old."""
_CHUNKS: Final = (64, 16, 4, 1)
"""Rows of one INSERT: one step of SQLite for many rows, for at each step the interpreter's lock is given away."""

_HEADERS_OUT: Final = msgspec.msgpack.Encoder()
_HEADERS_IN: Final = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...])


class Part(NamedTuple):
    """One partition and the table that holds it."""

    topic: str
    partition: int
    id: int


Row: TypeAlias = tuple[int, int, int, str, bytes, bytes | None]
"""offset, at_ms, the highest at_ms so far, key, value, headers."""


def make_partitions(connection: sqlite3.Connection, topics: Iterable[Topic], zones: int) -> None:
    """The partitions that are not there yet; more than asked for stay."""
    for topic in topics:
        for partition in range(topic.partitions(zones)):
            made = connection.execute(
                "INSERT OR IGNORE INTO partitions (topic, partition) VALUES (?, ?)", (topic.name, partition)
            )
            if made.rowcount:
                _make_table(connection, int(made.lastrowid or 0), compacted=topic.compacted)


def _make_table(connection: sqlite3.Connection, table: int, *, compacted: bool) -> None:
    connection.execute(
        f"CREATE TABLE log_{table} (offset INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, high_ms INTEGER NOT NULL,"
        " key TEXT NOT NULL, value BLOB NOT NULL, headers BLOB)"
    )
    if compacted:
        connection.execute(
            f"CREATE TRIGGER supersede_{table} AFTER INSERT ON log_{table} BEGIN"
            f" INSERT INTO superseded SELECT id, offset FROM newest WHERE id = {table} AND key = new.key;"
            f" INSERT OR REPLACE INTO newest VALUES ({table}, new.key, new.offset); END"
        )


def parts_of(connection: sqlite3.Connection, topics: Sequence[str]) -> list[Part]:
    """The partitions of these topics, in order."""
    marks = ",".join("?" * len(topics))
    rows = connection.execute(
        f"SELECT topic, partition, id FROM partitions WHERE topic IN ({marks}) ORDER BY topic, partition",
        list(topics),
    )
    return [Part(*row) for row in rows]


def append(connection: sqlite3.Connection, batch: Mapping[int, Sequence[Message]], now_ms: int) -> None:
    """Each table's messages at its end, in their order."""
    for table, messages in batch.items():
        tail, high_ms = connection.execute("SELECT tail, high_ms FROM partitions WHERE id = ?", (table,)).fetchone()
        high_ms = max(high_ms, now_ms)
        rows = [
            (tail + index, now_ms, high_ms, message.key, message.value, _packed(message.headers))
            for index, message in enumerate(messages)
        ]
        _insert(connection, table, rows)
        size = sum([len(message.value) + len(message.key) + ROW_BYTES for message in messages])
        connection.execute(
            "UPDATE partitions SET tail = ?, bytes = bytes + ?, high_ms = ? WHERE id = ?",
            (tail + len(rows), size, high_ms, table),
        )


def _insert(connection: sqlite3.Connection, table: int, rows: Sequence[Row]) -> None:
    start = 0
    for chunk in _CHUNKS:
        statement = f"INSERT INTO log_{table} VALUES {','.join(['(?,?,?,?,?,?)'] * chunk)}"
        while len(rows) - start >= chunk:
            connection.execute(statement, [field for row in rows[start : start + chunk] for field in row])
            start += chunk


def _packed(headers: tuple[tuple[str, bytes], ...]) -> bytes | None:
    return _HEADERS_OUT.encode(headers) if headers else None


def read(connection: sqlite3.Connection, part: Part, offset: int, limit: int) -> list[Record]:
    """Up to so many records from an offset on."""
    rows = connection.execute(
        f"SELECT offset, key, value, headers, at_ms FROM log_{part.id} WHERE offset >= ? ORDER BY offset LIMIT ?",
        (offset, limit),
    ).fetchall()
    return [_record(part, row) for row in rows]


def _record(part: Part, row: tuple[int, str, bytes, bytes | None, int]) -> Record:
    offset, key, value, headers, at_ms = row
    return Record(
        part.topic, part.partition, offset, key, value, () if headers is None else _HEADERS_IN.decode(headers), at_ms
    )


def tails(connection: sqlite3.Connection) -> dict[int, int]:
    """The next offset of every table."""
    return dict(connection.execute("SELECT id, tail FROM partitions").fetchall())


def newest(connection: sqlite3.Connection, part: Part, after: str, limit: int) -> list[Record]:
    """The last record of each key behind `after`, in order of keys."""
    rows = connection.execute(
        f"SELECT log.offset, log.key, log.value, log.headers, log.at_ms FROM newest"
        f" JOIN log_{part.id} AS log ON log.offset = newest.offset WHERE newest.id = ? AND newest.key > ?"
        " ORDER BY newest.key LIMIT ?",
        (part.id, after, limit),
    ).fetchall()
    return [_record(part, row) for row in rows]


def offset_since(connection: sqlite3.Connection, part: Part, since_ms: int) -> int:
    """Where a reader begins to miss nothing written since: found by halving on the highest time so far, which never falls."""
    first = connection.execute(f"SELECT min(offset) FROM log_{part.id}").fetchone()[0]
    tail = connection.execute("SELECT tail FROM partitions WHERE id = ?", (part.id,)).fetchone()[0]
    low, high = tail if first is None else first, tail
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(
            f"SELECT offset, high_ms FROM log_{part.id} WHERE offset >= ? ORDER BY offset LIMIT 1",
            (middle,),
        ).fetchone()
        if row is None or row[1] >= since_ms:
            high = middle
        else:
            low = row[0] + 1
    return int(low)


def sweep(connection: sqlite3.Connection, topics: Mapping[str, Topic], now_ms: int) -> int:
    """Delete what retention and compaction no longer keep, a bounded piece of it; how many records went."""
    gone = 0
    for name, topic in topics.items():
        parts = parts_of(connection, [name])
        if topic.retention_ms is not None:
            gone += sum([_expire(connection, part, now_ms - topic.retention_ms, now_ms) for part in parts])
        if topic.retention_bytes is not None:
            gone += _shrink(connection, parts, topic.retention_bytes)
        if topic.compacted:
            gone += sum([_compact(connection, part, now_ms - topic.compaction_lag_ms) for part in parts])
    return gone


def _expire(connection: sqlite3.Connection, part: Part, cutoff_ms: int, now_ms: int) -> int:
    """The oldest records, while they are older than the cutoff."""
    head = connection.execute(f"SELECT at_ms FROM log_{part.id} ORDER BY offset LIMIT 1").fetchone()
    if head is None or cutoff_ms <= head[0] <= now_ms + FUTURE_MS:
        return 0
    young = connection.execute(
        f"SELECT min(offset) FROM (SELECT offset, at_ms FROM log_{part.id} ORDER BY offset LIMIT ?)"
        " WHERE at_ms BETWEEN ? AND ?",
        (SWEEP_ROWS, cutoff_ms, now_ms + FUTURE_MS),
    ).fetchone()[0]
    return _cut(connection, part, young)


def _shrink(connection: sqlite3.Connection, parts: Sequence[Part], limit_bytes: int) -> int:
    """The oldest records of each partition, by its share of what is too much."""
    marks = ",".join("?" * len(parts))
    sizes: dict[int, int] = dict(
        connection.execute(f"SELECT id, bytes FROM partitions WHERE id IN ({marks})", [part.id for part in parts])
    )
    total = sum(sizes.values())
    if total <= limit_bytes:
        return 0
    share = (total - limit_bytes) / total
    return sum([_cut(connection, part, _past(connection, part, sizes[part.id] * share)) for part in parts])


def _past(connection: sqlite3.Connection, part: Part, excess_bytes: float) -> int | None:
    """The first offset that stays when so many bytes go from the start; None: all of one sweep's piece goes."""
    rows = connection.execute(
        f"SELECT offset, length(value) + length(key) FROM log_{part.id} ORDER BY offset LIMIT ?",
        (SWEEP_ROWS,),
    )
    for offset, size in rows:
        if excess_bytes <= 0:
            return int(offset)
        excess_bytes -= size + ROW_BYTES
    return None


def _cut(connection: sqlite3.Connection, part: Part, stays: int | None) -> int:
    """Delete the first records up to `stays`, one sweep's piece at most."""
    where = f"offset IN (SELECT offset FROM log_{part.id} ORDER BY offset LIMIT {SWEEP_ROWS})"
    return _delete(connection, part, where if stays is None else f"offset < {stays}")


def _compact(connection: sqlite3.Connection, part: Part, cutoff_ms: int) -> int:
    """Records that a later one of their key has superseded, once they are older than the cutoff."""
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS old (offset INTEGER PRIMARY KEY)")
    connection.execute("DELETE FROM temp.old")
    found = connection.execute(
        "INSERT INTO temp.old SELECT log.offset FROM"
        " (SELECT offset FROM superseded WHERE id = ? ORDER BY offset LIMIT ?) AS past"
        f" JOIN log_{part.id} AS log ON log.offset = past.offset WHERE log.at_ms < ?",
        (part.id, SWEEP_ROWS, cutoff_ms),
    ).rowcount
    if found <= 0:
        return 0
    connection.execute("DELETE FROM superseded WHERE id = ? AND offset IN temp.old", (part.id,))
    return _delete(connection, part, "offset IN temp.old")


def _delete(connection: sqlite3.Connection, part: Part, where: str) -> int:
    size = connection.execute(
        f"SELECT count(*), coalesce(sum(length(value) + length(key) + {ROW_BYTES}), 0) FROM log_{part.id} WHERE {where}"
    ).fetchone()
    connection.execute(f"DELETE FROM log_{part.id} WHERE {where}")
    connection.execute("UPDATE partitions SET bytes = bytes - ? WHERE id = ?", (size[1], part.id))
    return int(size[0])
