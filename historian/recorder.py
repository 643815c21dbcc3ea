"""Keeps what the bus carries as a recording: frames, device events, alerts and commands, until it is told to stop.

A shell: it reads, writes whole minutes, and commits only what is on disk. It slows nothing down: it is one more consumer.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from bus.errors import BusError
from bus.port import Bus, Consumer, Record
from bus.topics import ALERTS, COMMANDS, EVENTS, FRAMES
from fleet.clock import Clock
from fleet.settings import Settings
from historian.recording.shape import TrustedSigner
from historian.recording.writer import RecordingWriter

TOPICS: Final = (FRAMES, EVENTS, ALERTS, COMMANDS)
FETCH_LIMIT: Final = 2_000
FETCH_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 1.0
HOUR_MS: Final = 3_600_000
RESTART_MS: Final = 360_000
"""A recording that goes on reads so far back: series tables come every five minutes."""

log = structlog.get_logger("hallkeeper.historian")


class Meters:
    """What it counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.frames = Counter("hallkeeper_recorded_frames", "Frames in recordings.", registry=registry)
        self.points = Counter("hallkeeper_recorded_points", "Points in recordings.", registry=registry)
        self.failures = Counter(
            "hallkeeper_recording_failures",
            "Writes that the disk did not take; they are tried again.",
            registry=registry,
        )
        self.last = Gauge(
            "hallkeeper_recording_last_timestamp_seconds",
            "Bus time of the newest frame that is on disk; 0 before the first.",
            registry=registry,
        )


class Recorder:
    """One recording under way, from a time on."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        registry: CollectorRegistry,
        folder: Path,
        *,
        site: Path | None,
        name: str,
        version: str,
        trusted: dict[str, TrustedSigner] | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        keep_hours: float | None = None,
    ) -> None:
        """`until_ms` ends it (None: never), `keep_hours` drops what is older. Raises `RecordingError`, `OSError`."""
        self._bus, self._clock, self._until_ms, self._keep_hours = bus, clock, until_ms, keep_hours
        self._meters = Meters(registry)
        self.writer = RecordingWriter(folder, site=site, name=name, version=version, trusted=trusted)
        self._since_ms = since_ms
        self._behind_ms = max((segment.until_ms for segment in self.writer.segments), default=None)
        self._failing: str | None = None
        self._behind = True
        """The last fetch was full: partitions may be far apart in time."""
        self._counted = len(self.writer.segments)
        self.progress = 0

    def not_ready(self) -> str | None:
        """Why it keeps nothing now; None while it does."""
        return self._failing

    async def run(self) -> None:
        """Record until cancelled or until the end is reached; what was gathered is written before it returns."""
        since = self._since_ms if self._behind_ms is None else self._behind_ms + 1 - RESTART_MS
        reader = await self._bus.reader(topics=list(TOPICS), since_ms=since)
        try:
            while not await self._once(reader):
                self.progress += 1
        finally:
            await reader.close()
            self.writer.close()
            self._count()

    async def _once(self, reader: Consumer) -> bool:
        """Fetch and keep; whether the end was reached."""
        try:
            records = await reader.fetch(limit=FETCH_LIMIT, timeout_seconds=FETCH_SECONDS)
        except BusError as error:
            log.warning("the bus does not answer", why=str(error))
            await self._clock.sleep(RETRY_SECONDS)
            return False
        self._behind = len(records) >= FETCH_LIMIT
        await self._keep([record for record in records if self._wanted(record)])
        if self._until_ms is None:
            return False
        done = self._clock.now_ms() >= self._until_ms
        return done and (not records or await reader.lag() == 0)

    def _wanted(self, record: Record) -> bool:
        """Within the time; of what is on disk already only the series tables, which a reader that goes on needs."""
        if self._until_ms is not None and record.at_ms >= self._until_ms:
            return False
        return self._behind_ms is None or record.at_ms > self._behind_ms or (record.value or b"")[:1] == b"\x94"

    async def _keep(self, records: Sequence[Record]) -> None:
        """Onto the disk; a full one is waited for, with what was gathered still in memory."""
        self.writer.take(records)
        while True:
            try:
                await asyncio.to_thread(self._write)
            except OSError as error:
                self._meters.failures.inc()
                if self._failing is None:
                    log.error("the recording cannot be written, try space and permissions", why=str(error))
                self._failing = f"the disk does not take the recording: {error}"
                await self._clock.sleep(RETRY_SECONDS)
                continue
            self._failing = None
            self._count()
            return

    def _write(self) -> None:
        self.writer.flush(patient=self._behind)
        if self._keep_hours is not None:
            self.writer.drop_before(self._clock.now_ms() - round(self._keep_hours * HOUR_MS))

    def _count(self) -> None:
        segments = self.writer.segments
        new = segments[max(0, self._counted) :] if len(segments) >= self._counted else segments[-1:]
        self._counted = len(segments)
        for segment in new:
            self._meters.points.inc(segment.points)
            self._meters.frames.inc(0 if segment.frames is None else segment.frames.rows)
            self._meters.last.set(segment.until_ms / 1000)


def signers(settings: Settings) -> dict[str, TrustedSigner]:
    """The public keys that are believed now: replay believes them too."""
    return {
        name: TrustedSigner(public=key.public, role=key.role, name=key.name)
        for name, key in settings.keys.trusted.items()
    }
