"""What the remediator reads from the bus: frames into its own window, events, and the topics of the leader."""

from collections.abc import Awaitable, Callable, Sequence

import structlog

from bus.errors import BusError, UnknownMajor
from bus.events import AlertEvent, DeviceEvent, decode_event
from bus.frames import Frame, SeriesTable, decode
from bus.port import Bus, Consumer, Record
from bus.topics import ALERTS, COMMANDS, EVENTS, FRAMES, REMEDIATIONS
from fleet.clock import Clock
from fleet.errors import Malformed
from remediator.around import Around
from remediator.gauges import Gauges
from rules.query import LiveWindow

FETCH = 1_000
WARM_MS = 600_000
"""A window starts ten minutes back: series tables come every five."""
RETRY_SECONDS = 1.0

log = structlog.get_logger("hallkeeper.remediator")

Heard = Callable[[Record], None]


class Intake:
    """The loops that read."""

    def __init__(self, bus: Bus, clock: Clock, window: LiveWindow, around: Around, gauges: Gauges) -> None:
        self._bus = bus
        self._clock = clock
        self._window = window
        self._around = around
        self._gauges = gauges
        self.warm = False
        """The window has caught up once."""
        self.work = 0

    async def frames(self) -> None:
        """Frames of every zone, as they come."""
        since_ms = self._clock.now_ms() - WARM_MS
        await self._loop(lambda: self._bus.reader(topics=[FRAMES], since_ms=since_ms), self._frames_read)

    async def device_events(self) -> None:
        """What devices told by themselves in the last ten minutes and from now on."""
        since_ms = self._clock.now_ms() - WARM_MS
        await self._loop(lambda: self._bus.reader(topics=[EVENTS], since_ms=since_ms), self._events_read)

    async def follow(self, take: Heard) -> None:
        """Signed records of the ledger's topic, from the beginning, for a standby and for the other lane's acts."""
        await self._loop(lambda: self._bus.reader(topics=[REMEDIATIONS]), each(take))

    async def _loop(
        self,
        opened: Callable[[], Awaitable[Consumer]],
        handle: Callable[[Sequence[Record]], None],
        *,
        commit: bool = False,
    ) -> None:
        """Fetch, handle, commit, for ever; while the bus is away, try again every second."""
        consumer: Consumer | None = None
        try:
            while True:
                try:
                    consumer = consumer or await opened()
                    records = await consumer.fetch(limit=FETCH, timeout_seconds=0.5)
                    handle(records)
                    if commit and records:
                        await consumer.commit()
                except BusError as error:
                    log.warning("the bus does not answer", why=str(error))
                    await self._clock.sleep(RETRY_SECONDS)
                self.work += 1
        finally:
            if consumer is not None:
                await consumer.close()

    def _frames_read(self, records: Sequence[Record]) -> None:
        now_ms = self._clock.now_ms()
        for record in records:
            self._frame(record, now_ms)
        more = len(records) >= FETCH
        self._around.position.read(now_ms, records[-1].at_ms if records else None, more=more)
        self.warm = self.warm or not more

    def _frame(self, record: Record, now_ms: int) -> None:
        try:
            found: Frame | SeriesTable = decode(record.value or b"")
            self._window.append(found)
        except Malformed:
            self._gauges.malformed.labels(FRAMES).inc()
            return
        if isinstance(found, Frame):
            self._around.position.stamped(found.at, now_ms)

    def _events_read(self, records: Sequence[Record]) -> None:
        for record in records:
            event = self._event(record)
            if isinstance(event, DeviceEvent):
                self._around.heed(event)

    def _event(self, record: Record) -> object:
        try:
            return decode_event(record.value or b"")
        except (Malformed, UnknownMajor):
            self._gauges.malformed.labels(record.topic).inc()
            return None

    async def alerts(self, hear: Callable[[AlertEvent], None], judged: Callable[[bool], None]) -> None:
        """Alert transitions; `judged` is told whether all were read, and makes durable what came of them."""

        def handle(records: Sequence[Record]) -> None:
            for record in records:
                event = self._event(record)
                if isinstance(event, AlertEvent):
                    hear(event)
            judged(len(records) < FETCH)

        await self._loop(lambda: self._bus.consumer(group="remediator", topics=[ALERTS]), handle, commit=True)

    async def commands(self, take: Heard, *, group: str = "remediator-commands") -> None:
        """What operators decide; each lane is a group of its own and hears all of it."""
        await self._loop(lambda: self._bus.consumer(group=group, topics=[COMMANDS]), each(take), commit=True)


def each(take: Heard) -> Callable[[Sequence[Record]], None]:
    """One record at a time."""

    def handle(records: Sequence[Record]) -> None:
        for record in records:
            take(record)

    return handle
