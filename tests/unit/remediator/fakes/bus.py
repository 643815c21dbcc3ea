"""The bus in memory, on virtual time: one partition a topic, committed offsets, all that the port promises."""

from collections import defaultdict
from collections.abc import Sequence

from bus.errors import BusError
from bus.port import Consumer, Message, Record
from fleet.clock import VirtualClock

POLL_SECONDS = 0.2


class FakeBus:
    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.log: dict[str, list[Record]] = defaultdict(list)
        self.offsets: dict[tuple[str, str], int] = {}
        self.down = False

    async def publisher(self) -> "FakeBus":
        return self

    async def publish(self, messages: Sequence[Message]) -> None:
        if self.down:
            raise BusError("the bus is down")
        for message in messages:
            self.put(message)

    def put(self, message: Message) -> None:
        row = self.log[message.topic]
        row.append(
            Record(
                topic=message.topic,
                partition=message.partition or 0,
                offset=len(row),
                key=message.key,
                value=message.value,
                headers=tuple(message.headers),
                at_ms=self.clock.now_ms(),
            )
        )

    async def consumer(self, *, group: str, topics: Sequence[str]) -> Consumer:
        return FakeConsumer(self, topics, group)

    async def reader(self, *, topics: Sequence[str], since_ms: int | None = None, positions: object = None) -> Consumer:
        return FakeConsumer(self, topics, None)

    async def latest(self, topic: str) -> dict[str, Record]:
        return {record.key: record for record in self.log[topic] if record.value is not None}

    async def close(self) -> None:
        pass


class FakeConsumer:
    def __init__(self, bus: FakeBus, topics: Sequence[str], group: str | None) -> None:
        self._bus, self._topics, self._group = bus, topics, group
        self._at = {topic: bus.offsets.get((group, topic), 0) if group else 0 for topic in topics}

    async def fetch(self, *, limit: int = 1000, timeout_seconds: float = 1.0) -> list[Record]:
        until = self._bus.clock.boottime_ns() + round(timeout_seconds * 1e9)
        while True:
            if self._bus.down:
                raise BusError("the bus is down")
            found = []
            for topic in self._topics:
                new = self._bus.log[topic][self._at[topic] : self._at[topic] + limit]
                self._at[topic] += len(new)
                found += new
            if found or self._bus.clock.boottime_ns() >= until:
                return found
            await self._bus.clock.sleep(min(POLL_SECONDS, timeout_seconds))

    async def commit(self) -> None:
        for topic in self._topics:
            if self._group:
                self._bus.offsets[self._group, topic] = self._at[topic]

    async def lag(self) -> int:
        return sum(len(self._bus.log[topic]) - self._at[topic] for topic in self._topics)

    async def close(self) -> None:
        pass
