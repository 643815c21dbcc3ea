"""The rule service: frames and events off the bus into the engine, alerts onto it. All judgement is the engine's."""

import asyncio
import itertools
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from bus.errors import BusError
from bus.events import AlertEvent
from bus.frames import FrameWriter
from bus.port import Bus, Consumer, Message, Publisher, Record
from bus.topics import ALERTS, EVENTS, FRAMES
from fleet.clock import Clock, within
from fleet.errors import HallkeeperError, Malformed
from fleet.model import Site
from fleet.settings import Settings
from rules import __file__ as here
from rules.announce import event_of, message_of, open_alerts, orphans
from rules.engine import AlertTransition, Engine
from rules.event_follower import GROUP, EventFollower
from rules.events import EventCounters
from rules.files.load import load_rules
from rules.keeping import read_whole, write_aside, write_whole
from rules.lag import Lag
from rules.meters import RulesMeters, Tally
from rules.timetable import Timetable

SHIPPED: Final = Path(here).parent / "catalogue"
FETCH_LIMIT: Final = 1_000
"""Records at a time: 15 ms of appending, so that a pass is never much delayed by a backlog."""
SNAPSHOT_SECONDS: Final = 60.0
CHANGED_SNAPSHOT_SECONDS: Final = 1.0
"""After alerts have changed."""
COLLECT_SECONDS: Final = 60.0
FUTURE_MS: Final = 60_000
"""A frame further ahead than this would hide every sample that follows: it is dropped and counted."""
STEP_BACK_MS: Final = 5_000
"""A wall clock that steps back by less is waited for; evaluation time stands still meanwhile."""
RECORDED_LIMIT: Final = 10_000
"""Recorded frames that wait for the bus; the oldest go first."""
BUS_TIMEOUT_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 1.0
ALERTS_FILE: Final = "rules-alerts.state"
COUNTERS_FILE: Final = "rules-events.state"

log = structlog.get_logger("rules.service")


class RulesService:
    """One engine on the stream."""

    def __init__(
        self,
        site: Site,
        bus: Bus,
        clock: Clock,
        settings: Settings,
        registry: CollectorRegistry,
        *,
        boot: int | None = None,
        disk: Callable[[Path, bytes], Awaitable[None]] = write_aside,
    ) -> None:
        """Load the rules; `boot` is drawn where it is not given. Raises `RuleFileError` with every mistake."""
        self._bus, self._clock, self._settings, self._disk = bus, clock, settings, disk
        boot = secrets.randbits(63) if boot is None else boot
        self.engine = Engine(load_rules(self._folders()), boot=boot)
        self._tally = Tally()
        counters = EventCounters({str(asset_id): asset for asset_id, asset in site.assets.items()})
        self._events = EventFollower(
            counters, FrameWriter(boot ^ 1), clock, self._tally, append=self._append, keep=self._keep_counters
        )
        RulesMeters(registry, lambda: self.engine, self._tally)
        self._timetable = self._turns()
        self._lag = Lag(clock.now_ms())
        self._outbox: deque[Message] = deque()
        self._recorded: deque[Message] = deque(maxlen=RECORDED_LIMIT)
        self._open: list[AlertEvent] = []
        """Alerts that the bus holds as open from before; settled once every group was judged."""
        self._unjudged = set(self.engine.groups)
        self._last_ms = 0
        self._changed = False
        self._rebuilt = False
        self._failing: str | None = None
        self._writing = asyncio.Lock()
        self._something = asyncio.Event()
        """Something waits to be published."""
        self.progress = 0

    async def run(self) -> None:
        """Judge until cancelled; what was decided is published and kept before it returns."""
        self._settings.data.mkdir(parents=True, exist_ok=True)
        publisher = await self._bus.publisher()
        self._open = open_alerts(await self._bus.latest(ALERTS))
        self._restore()
        since = self._clock.now_ms() - self.engine.depth_ms
        frames = await self._bus.reader(topics=[FRAMES], since_ms=since)
        events = await self._bus.consumer(group=GROUP, topics=[EVENTS])
        try:
            await self._rebuild(frames)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._judge(frames))
                group.create_task(self._tell(publisher))
                group.create_task(self._events.run(events, publisher))
                group.create_task(self._keep())
        finally:
            await self._drain(publisher)
            await frames.close()
            await events.close()

    def not_ready(self) -> str | None:
        """Ready once the window is rebuilt and the bus accepts what is decided."""
        if not self._rebuilt:
            return "the window is being rebuilt from the bus"
        return self._failing

    def reload(self) -> None:
        """Take the rule files as they are now. Raises `RuleFileError`, and then the old rules stay in force."""
        rules = load_rules(self._folders())
        self._announce(self.engine.reload(rules, self._now()))
        self._something.set()
        self._timetable = self._turns()
        log.info("rules reloaded", groups=len(rules.groups), files=len(rules.files))

    def _folders(self) -> Sequence[Path]:
        return [Path(folder) for folder in self._settings.rules] or [SHIPPED]

    def _turns(self) -> Timetable:
        return Timetable({uid: compiled.group for uid, compiled in self.engine.groups.items()})

    def _now(self) -> int:
        """Evaluation time: the wall clock, except that it stands still while that steps back a little."""
        now = self._clock.now_ms()
        if self._last_ms - STEP_BACK_MS <= now < self._last_ms:
            return self._last_ms
        if now < self._last_ms:
            log.error("the wall clock stepped back", seconds=(self._last_ms - now) / 1000)
        self._last_ms = now
        return now

    def _ticks(self) -> int:
        return self._clock.boottime_ns() // 1_000_000

    async def _rebuild(self, frames: Consumer) -> None:
        """Fill the window with what the bus still holds; nothing is judged before."""
        while await self._backlog(frames) != 0:
            await self._fetch(frames, 0.1)
            self.progress += 1
            await asyncio.sleep(0)
        self._rebuilt = True
        log.info("window rebuilt", series=self.engine.window.series, frames=self.engine.window.counts.frames)

    async def _judge(self, frames: Consumer) -> None:
        """Append what comes, and evaluate what is due."""
        while True:
            await self._fetch(frames, self._timetable.seconds_until_next(self._ticks()))
            due = self._timetable.due(self._ticks())
            if due:
                self._evaluate(due)
            self.progress += 1

    async def _fetch(self, frames: Consumer, wait: float) -> None:
        try:
            records = await frames.fetch(limit=FETCH_LIMIT, timeout_seconds=wait)
        except BusError as error:
            self._lag.asked(None, self._clock.now_ms())
            log.error("the bus cannot be read", why=str(error))
            await self._clock.sleep(RETRY_SECONDS)
            return
        now = self._clock.now_ms()
        self._lag.took(records, now)
        self._tally.lag_ms = self._lag.milliseconds
        self._take(records)
        if not records and self._lag.quiet(now):
            self._lag.asked(await self._backlog(frames), now)

    async def _backlog(self, frames: Consumer) -> int | None:
        """Whether silence is the site's or the bus's."""
        try:
            return await within(self._clock, BUS_TIMEOUT_SECONDS, frames.lag())
        except (BusError, TimeoutError):
            return None

    def _take(self, records: Sequence[Record]) -> None:
        limit = self._clock.now_ms() + FUTURE_MS
        for record in records:
            value = record.value
            if not value:
                continue
            try:
                self._append(value, limit)
            except Malformed as error:
                self._tally.refused_frames += 1
                log.warning("a frame was refused", source=record.key, why=str(error))

    def _append(self, value: bytes, not_after_ms: int | None = None) -> None:
        self._timetable.wake(self.engine.append_frame(value, not_after_ms=not_after_ms))

    def _evaluate(self, due: Sequence[str]) -> None:
        began = perf_counter()
        now, before = self._now(), self.engine.evaluated_rules
        self._announce(self.engine.evaluate(now, due, lagging=self._lag.lagging))
        recorded = self.engine.drain_recorded()
        self._tally.dropped_recorded += max(0, len(self._recorded) + len(recorded) - RECORDED_LIMIT)
        self._recorded.extend(recorded)
        if self._open and not self._lag.lagging:
            self._unjudged -= set(due)
            if not self._unjudged:
                self._outbox.extend(message_of(event) for event in orphans(self._open, self.engine, now))
                self._open = []
        if self._outbox or self._recorded:
            self._tally.waiting = len(self._outbox)
            self._something.set()
        self._tally.passes += 1
        self._tally.rules += self.engine.evaluated_rules - before
        self._tally.pass_seconds += perf_counter() - began

    def _announce(self, transitions: Sequence[AlertTransition]) -> None:
        for transition in transitions:
            self._outbox.append(message_of(event_of(transition)))
            log.info("alert", rule=transition.rule, state=str(transition.state), labels=dict(transition.labels))
        self._tally.transitions += len(transitions)
        self._changed = self._changed or bool(transitions)

    async def _tell(self, publisher: Publisher) -> None:
        """Publish whatever was decided, as soon as it is there: judging never waits for the bus."""
        while True:
            await self._something.wait()
            self._something.clear()
            while not await self._publish(publisher):
                await self._clock.sleep(RETRY_SECONDS)

    async def _publish(self, publisher: Publisher) -> bool:
        """Alerts first, and never dropped; then what was recorded. False when the bus did not take all."""
        for queue in (self._outbox, self._recorded):
            while queue:
                batch = list(itertools.islice(queue, FETCH_LIMIT))
                try:
                    await publisher.publish(batch)
                except BusError as error:
                    self._failing = f"the bus accepts nothing: {error}"
                    log.error("alerts wait", waiting=len(self._outbox), why=str(error))
                    return False
                for message in batch:
                    if queue and queue[0] is message:  # a full queue of recorded frames may have dropped it meanwhile
                        queue.popleft()
            self._tally.waiting = len(self._outbox)
        self._failing = None
        return True

    def _restore(self) -> None:
        """Alerts and counters of before; a file that cannot be read is named and left aside."""
        alerts, counters = (read_whole(self._settings.data / name) for name in (ALERTS_FILE, COUNTERS_FILE))
        try:
            if counters is not None:
                self._events.counters.restore(counters)
            if alerts is not None:
                restored = self.engine.restore(alerts, self._clock.now_ms())
                log.info("alerts restored", alerts=restored)
        except Malformed as error:
            log.error("states of before cannot be used", why=str(error))

    async def _keep(self) -> None:
        """Snapshots, soon after a change and once a minute; and the window's housekeeping."""
        kept = collected = self._ticks()
        while True:
            await self._clock.sleep(CHANGED_SNAPSHOT_SECONDS)
            now = self._ticks()
            if self._changed or now - kept >= SNAPSHOT_SECONDS * 1000:
                self._changed = False
                await self._write(ALERTS_FILE, self.engine.state(self._now()))
                kept = now
            if now - collected >= COLLECT_SECONDS * 1000:
                self.engine.collect(self._now())
                collected = now

    async def _keep_counters(self, state: bytes) -> None:
        await self._write(COUNTERS_FILE, state)

    async def _write(self, name: str, content: bytes) -> None:
        try:
            async with self._writing:
                await self._disk(self._settings.data / name, content)
        except OSError as error:
            log.error("a state cannot be kept, try space and permissions", file=name, why=str(error))

    async def _drain(self, publisher: Publisher) -> None:
        """The last words: what waits is published, and the alerts are kept."""
        try:
            await within(self._clock, BUS_TIMEOUT_SECONDS, self._publish(publisher))
        except (TimeoutError, HallkeeperError) as error:
            log.error("alerts were left behind", waiting=len(self._outbox), why=str(error))
        if self._rebuilt:
            write_whole(self._settings.data / ALERTS_FILE, self.engine.state(self._now()))
