"""Pollers and buses for tests of the collectors: scripted answers, a bus that remembers what it was told."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import numpy as np
from prometheus_client import CollectorRegistry

from bus.frames import Frame, SeriesTable, decode, quality_of, stale_of, values_of
from bus.port import Message
from bus.topics import EVENTS, FRAMES
from collectors.poller import Poll
from collectors.service import CollectorService
from devices.reading import Reading, Series
from fleet.clock import VirtualClock
from fleet.model import Site
from fleet.settings import Settings

Answer = Callable[[frozenset[str]], Poll]


def reading(clock: VirtualClock, values: Mapping[str, float], signal: str = "gpu", **labels: str) -> Reading:
    """One answer with these metrics."""
    own = tuple(sorted(labels.items()))
    series: tuple[Series, ...] = tuple((name, own) for name in values)
    return Reading(
        series=series, values=np.array(list(values.values()), dtype=np.float64), at_ms=clock.now_ms(), signal=signal
    )


class ScriptedPoller:
    """Answers as it is told to; counts when it was asked."""

    def __init__(self, clock: VirtualClock, answer: Answer, signals: Mapping[str, float]) -> None:
        self.signals = signals
        self.answer = answer
        self.asked: list[tuple[float, frozenset[str]]] = []
        self.closed = False
        self._clock = clock
        self.takes_seconds = 0.0

    async def poll(self, due: frozenset[str]) -> Poll:
        self.asked.append((self._clock.boottime_ns() / 1e9, due))
        if self.takes_seconds:
            await self._clock.sleep(self.takes_seconds)
        return self.answer(due)

    async def close(self) -> None:
        self.closed = True

    def times(self, since: float = 0.0) -> list[float]:
        return [at for at, _ in self.asked if at >= since]


class MemoryBus:
    """Keeps what is published, in order; may be away."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.publications = 0
        self.error: Exception | None = None
        self.incidents: list = []
        self.latest_incidents: dict = {}
        self._more = asyncio.Event()

    async def publisher(self) -> "MemoryBus":
        return self

    async def publish(self, messages: Sequence[Message]) -> None:
        if self.error is not None:
            raise self.error
        self.publications += 1
        self.messages += messages

    async def latest(self, topic: str) -> dict:
        return self.latest_incidents

    async def reader(
        self, *, topics: Sequence[str], since_ms: int | None = None, positions: object = None
    ) -> "MemoryBus":
        return self

    def tell(self, record) -> None:
        self.incidents.append(record)
        self._more.set()

    async def fetch(self, *, limit: int = 1000, timeout_seconds: float = 1.0) -> list:
        await self._more.wait()
        self._more.clear()
        found, self.incidents = self.incidents, []
        return found

    async def close(self) -> None:
        pass

    def events(self) -> list[Message]:
        return [message for message in self.messages if message.topic == EVENTS]

    def frames(self, source: str | None = None) -> list[tuple[Frame, SeriesTable]]:
        """Every frame with its table, which must have come before it."""
        tables: dict[int, SeriesTable] = {}
        found = []
        for message in self.messages:
            if message.topic != FRAMES:
                continue
            one = decode(message.value)
            if isinstance(one, SeriesTable):
                tables[one.layout] = one
            elif source is None or one.source == source:
                found.append((one, tables[one.layout]))
        return found

    def history(self, source: str, metric: str) -> list[float | str | None]:
        """Every value that a metric of a source had, "stale" where it ended."""
        values: list[float | str | None] = []
        for frame, table in self.frames(source):
            for at, (name, _) in enumerate(table.series):
                if name == metric:
                    values.append("stale" if stale_of(frame)[at] else float(values_of(frame)[at]))
        return values

    def marks(self, source: str, metric: str) -> list[int]:
        """The quality byte of each of its values."""
        found = []
        for frame, table in self.frames(source):
            marks = quality_of(frame)
            found += [
                0 if marks is None else int(marks[at]) for at, (name, _) in enumerate(table.series) if name == metric
            ]
        return found


@asynccontextmanager
async def collecting(
    site: Site,
    clock: VirtualClock,
    pollers: Mapping[str, ScriptedPoller | Exception],
    zones: list[int] | None = None,
    **intervals: float,
):
    """The service over scripted pollers, by asset; yields it with its bus and its registry."""
    bus, registry = MemoryBus(), CollectorRegistry()

    def factory(_wire):
        def open_poller(endpoint, secret, settings, clock):
            found = pollers[str(endpoint.asset)]
            if isinstance(found, Exception):
                raise found
            return found

        return open_poller

    settings = Settings.model_validate({"intervals": intervals, "zones": zones})
    service = CollectorService(site, bus, clock, settings, registry, factory=factory, boot=1)
    running = asyncio.create_task(service.run())
    try:
        yield service, bus, registry
    finally:
        running.cancel()
        outcome = await asyncio.gather(running, return_exceptions=True)
        if outcome and not isinstance(outcome[0], asyncio.CancelledError) and outcome[0] is not None:
            raise outcome[0]
