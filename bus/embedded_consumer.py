"""Consumers of the embedded log: a member of a group, and a reader without one."""

import asyncio
import contextlib
import itertools
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final, Protocol, cast

from bus import embedded_groups as groups
from bus import embedded_log as log
from bus.bell import Bell
from bus.embedded_log import Part
from bus.port import Record
from bus.sqlite import Job
from fleet.clock import Clock

SLICE: Final = 64
"""Records read before the event loop runs again: 0.3 ms for frames of 3 kB."""
FETCH_BYTES: Final = 8 << 20
"""What one fetch returns at most, or a single record beyond it."""
COORDINATE_NS: Final = 1_000_000_000
"""How often a member looks who else is there; also how long a dead member's partitions stay unread, at most."""

_NUMBERS: Final = itertools.count()


class Log(Protocol):
    """What a consumer needs of the bus it belongs to."""

    clock: Clock
    bell: Bell
    reading: sqlite3.Connection

    async def write(self, job: Job, *, full: bool = False) -> object: ...

    def guarded(self) -> contextlib.AbstractContextManager[None]: ...


class Reader:
    """Reads partitions from given offsets on."""

    def __init__(self, bus: Log, positions: Mapping[Part, int]) -> None:
        self._bus = bus
        self._positions = dict(positions)
        self._turn = 0
        self.closed = False
        self.fetched = 0
        self.missed = 0
        """Records that retention took before they were fetched (on a compacted topic: that compaction took)."""

    async def fetch(self, *, limit: int = 1000, timeout_seconds: float = 1.0) -> list[Record]:
        """Records in order per partition, as soon as there is one; empty after the timeout."""
        until_ns = self._bus.clock.boottime_ns() + int(timeout_seconds * 1e9)
        while not self.closed:
            rung = self._bus.bell.rung
            await self._prepare()
            records = await self._read(limit)
            left_ns = until_ns - self._bus.clock.boottime_ns()
            if records or left_ns <= 0:
                return records
            await self._bus.bell.wait(rung, min(left_ns, COORDINATE_NS) / 1e9)
        return []

    async def commit(self) -> None:
        """A reader has nothing to commit."""

    async def lag(self) -> int:
        """Records that this consumer has not fetched yet."""
        with self._bus.guarded():
            tails = log.tails(self._bus.reading)
        return sum([max(0, tails[part.id] - offset) for part, offset in self._positions.items()])

    def assignment(self) -> frozenset[tuple[str, int]]:
        """Topics and partitions that this consumer reads now."""
        return frozenset([(part.topic, part.partition) for part in self._positions])

    async def close(self) -> None:
        """End; a waiting fetch returns."""
        self.closed = True
        self._bus.bell.wake()

    async def _prepare(self) -> None:
        """What comes before a look at the log."""

    async def _read(self, limit: int) -> list[Record]:
        """Behind each position in turn; another partition comes first each time, so that none starves."""
        with self._bus.guarded():
            tails = log.tails(self._bus.reading)
        behind = [part for part, offset in self._positions.items() if tails[part.id] > offset]
        self._turn += 1
        start = self._turn % len(behind) if behind else 0
        records: list[Record] = []
        size = 0
        for part in behind[start:] + behind[:start]:
            while len(records) < limit and size < FETCH_BYTES:
                piece = self._slice(part, min(SLICE, limit - len(records)), tails[part.id])
                records += piece
                size += sum([len(record.value or b"") for record in piece])
                if len(piece) < SLICE:
                    break
                await asyncio.sleep(0)
        self.fetched += len(records)
        return records

    def _slice(self, part: Part, count: int, tail: int) -> list[Record]:
        position = self._positions[part]
        with self._bus.guarded():
            piece = log.read(self._bus.reading, part, position, count)
        after = piece[-1].offset + 1 if piece else tail
        if position:  # what was gone before this consumer began is not missed
            self.missed += after - position - len(piece)
        self._positions[part] = after
        return piece


class GroupConsumer(Reader):
    """A member of a group: reads what it owns, goes on where the group has committed."""

    def __init__(
        self, bus: Log, *, group: str, topics: Sequence[str], parts: Sequence[Part], member: str | None
    ) -> None:
        super().__init__(bus, {})
        self._group = group
        self._topics = topics
        self._parts = {part.id: part for part in parts}
        self._member = f"{member or 'member'}-{bus.bell.name}-{next(_NUMBERS)}"
        self._committed: dict[int, int] = {}
        self._look_ns = 0
        self._seen_ns = 0
        self.lost = 0
        """Partitions that went to another member while this one still had uncommitted records of them."""

    async def join(self) -> None:
        """Become a member, and own what is free."""
        bell, now_ns = self._bus.bell, self._bus.clock.boottime_ns()
        await self._bus.write(
            lambda connection: groups.join(connection, self._member, bell.name, self._group, self._topics, now_ns)
        )
        self._seen_ns = now_ns
        await self._coordinate()

    async def commit(self) -> None:
        """Everything fetched so far is done: after a restart the group goes on behind it."""
        done = {part.id: offset for part, offset in self._positions.items() if self._committed.get(part.id) != offset}
        if not done:
            return
        lost = cast(
            "list[int]",
            await self._bus.write(lambda connection: groups.commit(connection, self._group, self._member, done)),
        )
        self.lost += len(lost)
        self._committed.update({table: offset for table, offset in done.items() if table not in lost})
        for table in lost:
            self._positions.pop(self._parts[table], None)

    async def close(self) -> None:
        """Hand the partitions back; what was fetched and not committed is delivered again."""
        if self.closed:
            return
        await super().close()
        await self._bus.write(lambda connection: groups.leave(connection, self._member))
        self._bus.bell.ring()

    async def _prepare(self) -> None:
        now_ns = self._bus.clock.boottime_ns()
        if now_ns - self._seen_ns >= groups.SEEN_SECONDS * 10**9:
            self._seen_ns = now_ns
            still = await self._bus.write(lambda connection: groups.seen(connection, self._member, now_ns))
            if not still:
                self._positions.clear()
                await self.join()
        if now_ns - self._look_ns >= COORDINATE_NS:
            await self._coordinate()

    async def _coordinate(self) -> None:
        """See who has died, who has come, and what is free; write only where something is to change."""
        self._look_ns = now_ns = self._bus.clock.boottime_ns()
        parts = list(self._parts.values())
        settled = [part.id for part, offset in self._positions.items() if self._committed.get(part.id) == offset]
        with self._bus.guarded():
            reading = self._bus.reading
            dead = groups.gone(reading, self._group, self._bus.bell.alive, now_ns)
            over = set(groups.surplus(reading, self._group, self._member, parts)) & set(settled)
            free = groups.unowned(reading, self._group, self._member, parts)
        if dead or over or free:
            await self._bus.write(
                lambda connection: groups.rebalance(connection, self._group, self._member, parts, dead, settled)
            )
            self._bus.bell.ring()
        self._take()

    def _take(self) -> None:
        """Go on where the group has committed in what is newly owned; forget what is no longer."""
        with self._bus.guarded():
            mine = groups.owned(self._bus.reading, self._group, self._member)
        for part in [part for part in self._positions if part.id not in mine]:
            del self._positions[part]
        for table, offset in mine.items():
            if table in self._parts and self._parts[table] not in self._positions:
                self._positions[self._parts[table]] = self._committed[table] = offset
