"""The console's own window: every metric that travels, as deep as memory allows, asked by one query at a time."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from bus.errors import BusError
from bus.event_types import AlertEvent
from bus.port import Bus, Consumer, Record
from bus.topics import FRAMES
from console.prometheus.alert_series import AlertSeries
from console.prometheus.errors import ApiError, Kind
from fleet.clock import Clock
from fleet.errors import Malformed
from rules.query import LiveWindow
from rules.window.window import Window

T = TypeVar("T")
DEPTH_SECONDS: Final = 900.0
"""How far back questions may look: the raw window's depth of design section 4."""
LIMIT_BYTES: Final = 1 << 30
"""Memory of the rings (a default of ours): beyond it metrics are kept less deep, and new ones not at all."""
GUESSED_INTERVAL_MS: Final = 30_000
"""Rings begin for samples so far apart and grow where they come faster: slow metrics of a large site take little."""
TABLES_MS: Final = 300_000
"""Series tables travel at least so often: a reader starts so much earlier."""
FETCH_LIMIT: Final = 1_000
FETCH_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 1.0
ALERTS_MS: Final = 15_000
"""How often the series of alerts get a sample while nothing changes (Prometheus's at the group's interval)."""
COLLECT_MS: Final = 60_000
FUTURE_MS: Final = 60_000
"""A frame further ahead than this would hide every sample that follows."""
WAITING_LIMIT: Final = 64
"""Questions that wait their turn; more are sent away, so that a stuck dashboard cannot fill memory."""

log = structlog.get_logger("console.window")


class QueryWindow:
    """Follows `telemetry.frames` and lets one question read at a time; frames wait meanwhile, on the bus."""

    def __init__(
        self,
        *,
        bus: Bus,
        clock: Clock,
        registry: CollectorRegistry,
        alerts: Callable[[], Iterable[AlertEvent]],
        depth_seconds: float = DEPTH_SECONDS,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        """`alerts` gives the last event of every alert: they are series here, as in Prometheus."""
        self._bus, self._clock, self._alerts = bus, clock, alerts
        self._depth_ms = round(depth_seconds * 1000)
        self._live = LiveWindow(depth_seconds=depth_seconds, limit_bytes=limit_bytes)
        self._live.window.guessed_interval_ms = GUESSED_INTERVAL_MS
        self._series = AlertSeries()
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._filled = False
        self.progress = 0
        self._refused = Counter(
            "hallkeeper_console_refused_frames_total", "Frames that cannot be decoded.", registry=registry
        )
        self._show(registry)

    def _show(self, registry: CollectorRegistry) -> None:
        """The window's state as metrics."""
        window = self._live.window
        shown: dict[str, tuple[str, Callable[[], float]]] = {
            "bytes": ("Memory of the window that queries read.", lambda: window.nbytes),
            "series": ("Series in the window that queries read.", lambda: window.series),
            "short_metrics": ("Metrics kept less deep than asked for: memory.", lambda: len(window.counts.shortened)),
            "refused_series": ("Series left out since the start: memory.", lambda: window.counts.refused_series),
        }
        for name, (meaning, value) in shown.items():
            Gauge(f"hallkeeper_console_window_{name}", meaning, registry=registry).set_function(value)

    async def ask(self, question: Callable[[Window], T]) -> T:
        """What a question says, asked in a thread so that the API stays quick. Raises `ApiError` and what it raises."""
        if not self._filled:
            raise ApiError(Kind.UNAVAILABLE, "the window is being read from the bus, try again in some seconds")
        if self._waiting >= WAITING_LIMIT:
            raise ApiError(
                Kind.UNAVAILABLE, f"{WAITING_LIMIT} queries wait already, try fewer panels or longer refresh"
            )
        self._waiting += 1
        asking = asyncio.create_task(self._asked(question))
        asking.add_done_callback(self._answered)
        return await asyncio.shield(asking)  # who goes away must not free the window under a running thread

    def _answered(self, asking: "asyncio.Task[T]") -> None:
        self._waiting -= 1
        if not asking.cancelled():
            asking.exception()  # seen, also where nobody waits for the answer any more

    async def _asked(self, question: Callable[[Window], T]) -> T:
        async with self._turn:
            return await asyncio.to_thread(question, self._live.window)

    async def run(self) -> None:
        """Follow the bus until cancelled."""
        since = self._clock.now_ms() - self._depth_ms - TABLES_MS
        reader = await self._bus.reader(topics=[FRAMES], since_ms=since)
        said = collected = 0
        try:
            while True:
                await self._fetch(reader)
                now = self._clock.now_ms()
                async with self._turn:
                    if self._series.changed(self._alerts()) or now - said >= ALERTS_MS:
                        said = now
                        for value in self._series.frames(now):
                            self._live.window.append(value)
                    if now - collected >= COLLECT_MS:
                        collected = now
                        self._live.collect(now)
                self.progress += 1
        finally:
            await reader.close()

    async def _fetch(self, reader: Consumer) -> None:
        try:
            records = await reader.fetch(limit=FETCH_LIMIT, timeout_seconds=FETCH_SECONDS)
        except BusError as error:
            log.error("the bus cannot be read", why=str(error))
            await self._clock.sleep(RETRY_SECONDS)
            return
        async with self._turn:
            self._take(records)
        if len(records) < FETCH_LIMIT:
            self._filled = True

    def _take(self, records: Iterable[Record]) -> None:
        limit = self._clock.now_ms() + FUTURE_MS
        for record in records:
            if record.value:
                try:
                    self._live.window.append(record.value, not_after_ms=limit)
                except Malformed as error:
                    self._refused.inc()
                    log.warning("a frame was refused", source=record.key, why=str(error))
