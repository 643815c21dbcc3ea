"""An embedded bus that notes when its process has read a frame, and how long the bus took to accept an alert's event."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bus.embedded import EmbeddedBus
from bus.frames import decode_frame
from bus.port import NOWHERE, Consumer, Message, Record
from bus.topics import ALERTS, FRAMES, TOPICS, Topic
from fleet.clock import Clock


class Noted:
    """What was noted, Unix ms."""

    def __init__(self) -> None:
        self.frames: dict[str, list[tuple[int, int]]] = {}
        """By node: when the bus was given a frame of it, and when that was read here."""
        self.alerts: list[tuple[bytes, int, int]] = []
        """An event, when the bus was given it, and when it had accepted it."""


class _Reading:
    """A reader of frames that notes them."""

    def __init__(self, inner: Consumer, bus: "NotingBus") -> None:
        self._inner, self._bus = inner, bus

    async def fetch(self, *, limit: int = 1000, timeout_seconds: float = 1.0) -> list[Record]:
        records = await self._inner.fetch(limit=limit, timeout_seconds=timeout_seconds)
        read_ms, frames = self._bus.clock.now_ms(), self._bus.noted.frames
        for record in records:
            if record.value and record.value[:1] != b"\x94":
                node = decode_frame(record.value).source.partition("/")[0]
                frames.setdefault(node, []).append((record.at_ms, read_ms))
        return records

    async def commit(self) -> None:
        await self._inner.commit()

    async def lag(self) -> int:
        return await self._inner.lag()

    def assignment(self) -> frozenset[tuple[str, int]]:
        return self._inner.assignment()

    async def close(self) -> None:
        await self._inner.close()


class NotingBus(EmbeddedBus):
    """Noting costs 3 µs a frame."""

    def __init__(self, path: Path, *, clock: Clock, zones: int, topics: Mapping[str, Topic]) -> None:
        """Use `open`."""
        super().__init__(path, clock=clock, zones=zones, topics=topics)
        self.noted = Noted()

    @classmethod
    async def at(cls, folder: Path, *, clock: Clock) -> "NotingBus":
        """The bus of a folder, as the load process opens it."""
        return cls(folder / "bus.sqlite", clock=clock, zones=2, topics=TOPICS)

    async def publish(self, messages: Sequence[Message]) -> None:
        """Accept, and note what alerts took."""
        given_ms = self.clock.now_ms()
        await super().publish(messages)
        accepted_ms = self.clock.now_ms()
        self.noted.alerts += [(message.value, given_ms, accepted_ms) for message in messages if message.topic == ALERTS]

    async def reader(
        self, *, topics: Sequence[str], since_ms: int | None = None, positions: Mapping[tuple[str, int], int] = NOWHERE
    ) -> Consumer:
        """A reader; one of frames notes them."""
        found = await super().reader(topics=topics, since_ms=since_ms, positions=positions)
        return _Reading(found, self) if list(topics) == [FRAMES] else found
