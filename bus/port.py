"""The port: what every service may ask of the bus, whichever adapter is behind it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from fleet.clock import Clock

NOWHERE: Final[Mapping[tuple[str, int], int]] = MappingProxyType({})
"""No offset of any partition."""


class Message(msgspec.Struct, frozen=True):
    """One record on its way to the bus."""

    topic: str
    key: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    """Where it must go (a frame's zone); None leaves it to the key."""


class Record(msgspec.Struct, frozen=True):
    """One record as the bus holds it."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    at_ms: int
    """When the bus took it (Unix ms, the bus's clock, not the producer's)."""

    def header(self, name: str) -> bytes | None:
        """The first header of that name, or None."""
        return next((value for header, value in self.headers if header == name), None)


class Publisher(Protocol):
    """Where a service puts what it has to say."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when all are accepted: durable on the bus, or in the spool in front of it.

        Raises `BusError` when nothing of the batch was accepted, and `ValueError` for a message that no bus would take
        (unknown topic, a partition that is not there, over the size limit): then nothing of the batch was sent either.
        """

    def pending(self) -> int:
        """Accepted messages that are not on the bus yet: 0 after `publish` says that every consumer can read them."""


class Consumer(Protocol):
    """One member of a group, or a reader without one."""

    async def fetch(self, *, limit: int = 1000, timeout_seconds: float = 1.0) -> list[Record]:
        """Records in order per partition, as soon as there is one; empty after the timeout."""

    async def commit(self) -> None:
        """Everything fetched so far is done: after a restart the group goes on behind it."""

    async def lag(self) -> int:
        """Records on the bus that this consumer has not fetched yet."""

    def assignment(self) -> frozenset[tuple[str, int]]:
        """Topics and partitions that this consumer reads now."""

    async def close(self) -> None:
        """Hand the partitions back; what was fetched and not committed is delivered again."""


class Bus(Protocol):
    """One connection to the log."""

    async def publisher(self) -> Publisher: ...

    async def consumer(
        self, *, group: str, topics: Sequence[str], member: str | None = None, session_seconds: float = 10.0
    ) -> Consumer:
        """A member of a group: at least once, committed offsets, starts at the earliest record.

        `member` names a member that comes back after a restart (Kafka's static membership); a member that says nothing for
        `session_seconds` loses its partitions.
        """

    async def reader(
        self, *, topics: Sequence[str], since_ms: int | None = None, positions: Mapping[tuple[str, int], int] = NOWHERE
    ) -> Consumer:
        """Every partition from a time on (None: from the earliest), without a group; `commit` does nothing.

        A topic's partition that `positions` names begins at that offset instead, unless the log ends before it: then it is
        another log than the one of which that was said.
        """

    def meters(self) -> dict[str, int]:
        """The counters of this process (`bus.metrics` shows them to Prometheus)."""

    async def latest(self, topic: str) -> dict[str, Record]:
        """The last record of each key; a key whose last record has no value is left out."""

    async def close(self) -> None: ...


async def open_bus(
    url: str, *, data: Path, clock: Clock, partitions: int, spool: str = "spool", require: bool = False
) -> Bus:
    """The bus that `url` names: `embedded` (`data/bus.sqlite`) or `kafka://host:port[,host:port]`.

    `partitions` is for the topics that have one a zone: one more than the highest zone number in use. Before Kafka stands
    `data/<spool>.sqlite`: a name for each process that shares the folder, the same at every start. A broker that is away is
    no error, publishers accept into the spool; with `require` it is.
    Raises `BusError` when the folder or a required broker cannot be used, and `ValueError` for a url of neither form.
    """
    if url == "embedded":
        from bus.embedded import EmbeddedBus

        return await EmbeddedBus.open(data / "bus.sqlite", clock=clock, partitions=partitions)
    if url.startswith("kafka://"):
        from bus.spooled import SpooledBus

        address = url.removeprefix("kafka://")
        return await SpooledBus.open(
            address, data=data, clock=clock, partitions=partitions, spool=spool, require=require
        )
    raise ValueError(f"bus {url!r} is not known, try embedded or kafka://host:port")
