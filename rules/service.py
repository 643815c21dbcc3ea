"""The rule service: frames and events off the bus into the engine, alerts onto it. All judgement is the engine's.

Of several engines on one bus one speaks; the others judge in silence, with the same window and the same alerts, and the next
one goes on where the first has ended (`succession.py`).
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from bus.claims import BusClaims, ClaimsLeadership
from bus.errors import BusError
from bus.frames import FrameWriter
from bus.leadership import FileLockLeadership, Leadership
from bus.port import Bus, Consumer, Publisher, Record
from bus.topics import ALERTS, FRAMES
from fleet.clock import Clock, within
from fleet.errors import HallkeeperError
from fleet.model import Site
from fleet.settings import Settings
from rules import __file__ as here
from rules.announce import EngineAlerts, Telling, alert_events, telling_of
from rules.engine import AlertTransition, Engine
from rules.event_follower import EventFollower
from rules.events import BURSTS, METRIC, EventCounters
from rules.forked import forked, through
from rules.frame_feed import BUS_TIMEOUT_SECONDS, FrameFeed
from rules.health import TELL_MS, Health
from rules.keeping import Keeping, write_aside
from rules.labels import NAME
from rules.memory import Memory
from rules.meters import RulesMeters, Tally
from rules.rollups.topic import RollupTopic
from rules.share import Share
from rules.succession import Succession
from rules.timetable import Timetable
from rules.voice import Voice
from rules.window.needs import RAW_MS

SHIPPED: Final = Path(here).parent / "catalogue"
STEP_BACK_MS: Final = 5_000
"""A wall clock that steps back by less is waited for; evaluation time stands still meanwhile."""
SUBJECT: Final = "rules"
"""What the engines' claims are about."""
TRY_SECONDS: Final = 0.1
"""Between two looks at whether the leader's lock is free: most of a takeover on one machine."""
LISTEN_SECONDS: Final = 0.1
"""How long a look at the leader's alerts waits …"""
LEADING_SECONDS: Final = 2.0
"""… and how long the leader's look at its own."""
HEARD_MS: Final = 5_000
"""So far behind the newest state of each alert listening begins: nothing falls between the two."""
COUNTERS_FILE: Final = "rules-events.state"
MOST: Final = 500
"""Alerts that begin in one pass over a rule: 20 ms of naming them; a storm's others follow in the next passes."""
SPOKEN_OF: Final = 20
"""Transitions of one pass that are logged one by one; of more, the number."""

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
        leadership: Leadership | None = None,
    ) -> None:
        """Load the rules; `boot` is drawn where it is not given. Raises `RuleFileError` with every mistake."""
        self._bus, self._clock, self._settings = bus, clock, settings
        boot = secrets.randbits(63) if boot is None else boot
        self._share = Share.of(settings.rules_share)
        self.engine = Engine(
            self._share.load(self._folders()),
            boot=boot,
            raw_ms=RAW_MS,
            external_labels=settings.external_labels,
            external_url=f"http://{settings.listen}",
            most=MOST,
        )
        self._tally = Tally()
        self._keeping = Keeping(self._share.folder(settings.data), disk)
        self._feed = FrameFeed(self.engine, clock, self._tally, wake=self._woken)
        self._memory = Memory(
            self.engine,
            self._keeping,
            clock,
            self._tally,
            bus=settings.bus,
            writer=forked if disk is write_aside else through(disk),
            now=self._now,
            positions=lambda: self._feed.positions,
        )
        self._minutes = RollupTopic(self.engine, bus, clock, lambda source: self._feed.partitions.get(source, 0))
        counters = EventCounters({str(asset_id): asset for asset_id, asset in site.assets.items()})
        self._events = EventFollower(
            counters, FrameWriter(boot ^ 1), clock, self._tally, append=self._feed.append, keep=self._keep_counters
        )
        self._health = Health(FrameWriter(boot ^ 2), self._share.mark)
        self._succession = Succession(EngineAlerts(self.engine))
        self._voice = Voice(clock, self._tally, self._succession.published, may=self._may_speak)
        RulesMeters(registry, lambda: self.engine, self._tally, leads=lambda: self._speaks)
        self._timetable = self._turns()
        self._leadership = leadership
        self._unjudged = set(self.engine.groups)
        self._speaks = False
        self._last_ms = 0
        self._rebuilt = False
        self.progress = 0

    async def run(self) -> None:
        """Judge until cancelled; what was decided is published and kept before it returns."""
        self._share.folder(self._settings.data).mkdir(parents=True, exist_ok=True)
        publisher = await self._bus.publisher()
        async with AsyncExitStack() as stack:
            alerts = await self._bus.reader(topics=[ALERTS], since_ms=self._clock.now_ms() - HEARD_MS)
            stack.push_async_callback(alerts.close)
            self._minutes.begin()
            positions = self._memory.restore()
            await self._minutes.rebuild()
            self._feed.positions.update(positions)
            newest = alert_events((await self._bus.latest(ALERTS)).values())
            self._succession.begin(self._share.concerned(newest), self._clock.now_ms())
            since = self._clock.now_ms() - self.engine.depth_ms
            frames = await self._bus.reader(topics=[FRAMES], since_ms=since, positions=positions)
            stack.push_async_callback(frames.close)
            await self._rebuild(frames)
            leadership = self._leadership = self._leadership or await self._candidate()
            claiming = asyncio.create_task(leadership.run(), name="leadership")
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._judge(frames))
                    group.create_task(self._voice.run(publisher))
                    group.create_task(self._take_turns(alerts, publisher, leadership))
                    group.create_task(self._memory.keep(lambda: self._speaks))
                    group.create_task(self._minutes.run(publisher, self._may_speak))
                    group.create_task(self._tell_health())
            finally:
                await self._drain(publisher)
                claiming.cancel()
                await asyncio.gather(claiming, return_exceptions=True)

    def not_ready(self) -> str | None:
        """Ready once the window is rebuilt, leading or standing by, and the bus accepts what is decided."""
        if not self._rebuilt:
            return "the window is being rebuilt from the bus"
        return self._voice.failing

    def reload(self) -> None:
        """Take the rule files as they are now. Raises `RuleFileError`, and then the old rules stay in force."""
        rules = self._share.load(self._folders())
        self._decided(self.engine.reload(rules, self._now()))
        self._timetable = self._turns()
        self._unjudged &= self.engine.groups.keys()
        log.info("rules reloaded", groups=len(rules.groups), files=len(rules.files))

    def _folders(self) -> Sequence[Path]:
        return [Path(folder) for folder in self._settings.rules] or [SHIPPED]

    def _turns(self) -> Timetable:
        for group in self.engine.groups.values():
            group.timer = self._seconds
        return Timetable({uid: compiled.group for uid, compiled in self.engine.groups.items()})

    def _woken(self, groups: frozenset[str]) -> None:
        self._timetable.wake(groups)

    def _now(self) -> int:
        """Evaluation time: the wall clock, except that it stands still while that steps back a little."""
        now = self._clock.now_ms()
        if self._last_ms - STEP_BACK_MS <= now < self._last_ms:
            return self._last_ms
        if now < self._last_ms:
            log.error("the wall clock stepped back", seconds=(self._last_ms - now) / 1000)
        self._last_ms = now
        return now

    def _seconds(self) -> float:
        return self._clock.boottime_ns() / 1e9

    def _ticks(self) -> int:
        return self._clock.boottime_ns() // 1_000_000

    # --- judging -----------------------------------------------------------------------------------------------------

    async def _rebuild(self, frames: Consumer) -> None:
        """Fill the window with what the bus holds when this begins; nothing is judged before. More comes all the time."""
        until: int | None = None
        while (waiting := await self._feed.backlog(frames)) != 0 and (until is None or self._feed.fetched < until):
            if until is None and waiting is not None:
                until = self._feed.fetched + waiting
            await self._feed.fetch(frames, 0.1)
            self.progress += 1
            await asyncio.sleep(0)
        self._feed.refilled()
        self._rebuilt = True
        log.info("window rebuilt", series=self.engine.window.series, frames=self.engine.window.counts.frames)

    async def _judge(self, frames: Consumer) -> None:
        """Append what comes, and evaluate what is due."""
        while True:
            await self._feed.fetch(frames, self._timetable.seconds_until_next(self._ticks()))
            due = self._timetable.due(self._ticks())
            if due:
                self._evaluate(due)
                await asyncio.sleep(0)  # what was said begins to be published before the next slice is judged
                await self._voice.hurry()
            self.progress += 1

    def _evaluate(self, due: Collection[str]) -> None:
        began = perf_counter()
        before, lagging = self.engine.evaluated_rules, self._feed.lag.lagging
        transitions = self.engine.evaluate(self._now(), due, lagging=lagging)
        self._decided(transitions)
        recorded = self.engine.drain_recorded()
        if self._may_speak():
            self._voice.record(recorded)
        if not lagging:
            self._unjudged -= set(due)
        self._tally.passes += 1
        self._tally.rules += self.engine.evaluated_rules - before
        took = perf_counter() - began
        self._tally.pass_seconds += took
        self._timetable.took(list(due), took * 1000)
        self._timetable.wake(self.engine.unfinished)
        self.engine.unfinished.clear()

    def _decided(self, transitions: Sequence[AlertTransition]) -> None:
        """Say it, or keep in mind how it differs from what the leader says."""
        tellings = [telling_of(transition) for transition in transitions]
        events = [telling.event for telling in tellings]
        if self._may_speak():
            self._voice.say([telling for telling in tellings if not self._succession.holds(telling.event)])
            for event in events[:SPOKEN_OF]:
                log.info("alert", rule=event.rule, state=str(event.state), labels=event.labels)
            if len(events) > SPOKEN_OF:
                log.info("more alerts", number=len(events) - SPOKEN_OF)
        else:
            for event in events:
                self._succession.found(event)
        self._tally.transitions += len(events)
        if events:
            self._memory.changed()

    async def _tell_health(self) -> None:
        """How the rules fare, while this engine speaks."""
        while True:
            await self._clock.sleep(TELL_MS / 1000)
            if self._may_speak():
                self._voice.record(self._health.frames(self.engine, self._clock.now_ms()))

    # --- taking turns ------------------------------------------------------------------------------------------------

    async def _candidate(self) -> Leadership:
        """On one machine a lock that the kernel frees with its holder; beyond it, claims on the bus."""
        if not self._settings.bus.startswith("kafka://"):
            return FileLockLeadership(
                self._settings.data / f"rules{self._share.mark}.lock", self._clock, try_seconds=TRY_SECONDS
            )
        claims = await BusClaims.open(self._bus, self._clock, SUBJECT + self._share.mark)
        return ClaimsLeadership(claims, self._clock, f"rules-{secrets.token_hex(8)}")

    async def _take_turns(self, alerts: Consumer, publisher: Publisher, leadership: Leadership) -> None:
        """Listen to what other engines say, and speak for as long as this one leads."""
        async with asyncio.TaskGroup() as group:
            counting: asyncio.Task[None] | None = None
            while True:
                leads = leadership.epoch() is not None
                if not leads and counting is not None:
                    self._fall_silent()
                    counting.cancel()
                    counting = None
                if await self._listen(alerts) and leads and not self._speaks and not self._unjudged:
                    self._begin_to_speak()
                    if self._share.first:
                        counting = group.create_task(self._count_events(publisher))

    def _may_speak(self) -> bool:
        return self._speaks and self._leadership is not None and self._leadership.epoch() is not None

    def _is_echo(self, record: Record) -> bool:
        """Whether it is what this engine said, which need not be read again: in a storm that costs as much as saying it."""
        identity = self._voice.echo(record.value)
        if identity is not None:
            self._succession.echoed(identity)
        return identity is not None

    async def _listen(self, alerts: Consumer) -> bool:
        """Whether everything that was said has been heard."""
        try:
            records = await alerts.fetch(timeout_seconds=LEADING_SECONDS if self._speaks else LISTEN_SECONDS)
            others = [record for record in records if not self._is_echo(record)]
            for event in self._share.concerned(alert_events(others)):
                self._succession.heard(event)
            return self._speaks or (not records and await self._feed.backlog(alerts) == 0)
        except BusError as error:
            log.error("other engines' alerts cannot be read", why=str(error))
            await self._clock.sleep(1.0)
            return False

    def _begin_to_speak(self) -> None:
        """All that was said is heard, all groups are judged: say the difference, and from now on everything."""
        self._evaluate(list(self.engine.groups))
        difference = self._succession.difference(self._now())
        self._speaks = True
        self._memory.changed()
        self._voice.say([Telling(event) for event in difference])
        log.info("this engine speaks now", differences=len(difference), alerts=len(self.engine.open))

    def _fall_silent(self) -> None:
        self._speaks = False
        self._voice.fall_silent()
        log.warning("another engine may speak now, this one stands by")

    async def _count_events(self, publisher: Publisher) -> None:
        """Device events are counted by whoever speaks, from where the last one has got to."""
        self._keeping.read(COUNTERS_FILE, self._events.counters.restore)
        for name in (METRIC, BURSTS):
            for sample in self.engine.ask(name, self._now()):
                labels = {label: text for label, text in sample.labels.items() if label != NAME}
                self._events.counters.inherit(name, labels, int(sample.value))
        async with AsyncExitStack() as stack:
            events = await self._events.consumer(self._bus)
            stack.push_async_callback(events.close)
            await self._events.run(events, publisher)

    # --- keeping -----------------------------------------------------------------------------------------------------

    async def _keep_counters(self, state: bytes) -> None:
        await self._keeping.write(COUNTERS_FILE, state)

    async def _drain(self, publisher: Publisher) -> None:
        """The last words: what waits is published, and the alerts are kept."""
        if not self._speaks:
            return
        try:
            await within(self._clock, BUS_TIMEOUT_SECONDS, self._voice.publish(publisher))
        except (TimeoutError, HallkeeperError) as error:
            log.error("alerts were left behind", waiting=self._voice.waiting, why=str(error))
        self._memory.last_words()
