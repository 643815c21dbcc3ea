"""Who reads which partition of the embedded log: members of a group, what they own, what they have committed.

Everything here runs inside a transaction that its caller opened. A partition has one owner; an owner goes by closing, by
handing back what is over its share, by its process's death, or by not having asked for `STALL_SECONDS`.
"""

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from bus.embedded_log import Part

STALL_SECONDS: Final = 300
"""A member that has not fetched for so long loses its partitions (Kafka's max.poll.interval.ms)."""
SEEN_SECONDS: Final = 10
"""How often a member says that it still fetches."""


def join(
    connection: sqlite3.Connection, member: str, bell: str, group: str, topics: Sequence[str], now_ns: int
) -> None:
    """Become a member."""
    connection.execute(
        "INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?)", (member, bell, group, "\n".join(topics), now_ns)
    )


def leave(connection: sqlite3.Connection, member: str) -> None:
    """Hand everything back."""
    connection.execute("DELETE FROM owners WHERE member = ?", (member,))
    connection.execute("DELETE FROM members WHERE member = ?", (member,))


def gone(connection: sqlite3.Connection, group: str, alive: Callable[[str], bool], now_ns: int) -> list[str]:
    """Members of the group whose process has died or who have stalled."""
    rows = connection.execute("SELECT member, bell, seen_ns FROM members WHERE grp = ?", (group,)).fetchall()
    return [member for member, bell, seen_ns in rows if now_ns - seen_ns > STALL_SECONDS * 10**9 or not alive(bell)]


def owned(connection: sqlite3.Connection, group: str, member: str) -> dict[int, int]:
    """Each table that the member owns, and the offset that its group goes on from."""
    return dict(
        connection.execute(
            "SELECT owners.id, coalesce(committed.offset, 0) FROM owners"
            " LEFT JOIN committed ON committed.grp = owners.grp AND committed.id = owners.id"
            " WHERE owners.grp = ? AND owners.member = ?",
            (group, member),
        ).fetchall()
    )


def surplus(connection: sqlite3.Connection, group: str, member: str, parts: Sequence[Part]) -> list[int]:
    """Tables the member owns beyond its share of each topic."""
    mine = owned(connection, group, member)
    over: list[int] = []
    for topic, tables in _by_topic(parts).items():
        held = [table for table in tables if table in mine]
        over += held[_share(connection, group, topic, len(tables)) :]
    return over


def unowned(connection: sqlite3.Connection, group: str, member: str, parts: Sequence[Part]) -> list[int]:
    """Tables without an owner that the member may take within its share."""
    taken = dict(connection.execute("SELECT id, member FROM owners WHERE grp = ?", (group,)).fetchall())
    free: list[int] = []
    for topic, tables in _by_topic(parts).items():
        held = sum(taken.get(table) == member for table in tables)
        room = _share(connection, group, topic, len(tables)) - held
        free += [table for table in tables if table not in taken][: max(0, room)]
    return free


def _by_topic(parts: Sequence[Part]) -> Mapping[str, list[int]]:
    tables: dict[str, list[int]] = {}
    for part in parts:
        tables.setdefault(part.topic, []).append(part.id)
    return tables


def _share(connection: sqlite3.Connection, group: str, topic: str, count: int) -> int:
    rows = connection.execute("SELECT topics FROM members WHERE grp = ?", (group,)).fetchall()
    members = sum(topic in topics.split("\n") for (topics,) in rows)
    return -(-count // max(1, members))


def rebalance(
    connection: sqlite3.Connection,
    group: str,
    member: str,
    parts: Sequence[Part],
    dead: Collection[str],
    release: Collection[int],
) -> None:
    """Bury the dead, hand back, take what is free: what one member's look has found, judged again under the lock."""
    for other in dead:
        if other != member:
            leave(connection, other)
    over = set(surplus(connection, group, member, parts)) & set(release)
    connection.executemany(
        "DELETE FROM owners WHERE grp = ? AND id = ? AND member = ?", [(group, table, member) for table in over]
    )
    connection.executemany(
        "INSERT OR IGNORE INTO owners VALUES (?, ?, ?)",
        [(group, table, member) for table in unowned(connection, group, member, parts) if table not in over],
    )


def seen(connection: sqlite3.Connection, member: str, now_ns: int) -> bool:
    """The member still fetches; False: others have buried it meanwhile."""
    return connection.execute("UPDATE members SET seen_ns = ? WHERE member = ?", (now_ns, member)).rowcount > 0


def commit(connection: sqlite3.Connection, group: str, member: str, offsets: Mapping[int, int]) -> list[int]:
    """Where the group goes on; returns the tables that the member has lost, whose offsets are not written."""
    mine = owned(connection, group, member)
    connection.executemany(
        "INSERT OR REPLACE INTO committed VALUES (?, ?, ?)",
        [(group, table, offset) for table, offset in offsets.items() if table in mine],
    )
    return [table for table in offsets if table not in mine]
