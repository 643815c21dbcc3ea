"""One rule set over one recording, from its first second to its last: the loop of a replay."""

import asyncio
import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from bus.errors import UnknownMajor
from bus.events import AlertEvent, DeviceEvent, IncidentEvent, RemediationEvent, decode_event
from bus.frames import FrameWriter
from bus.port import Record
from bus.signing import TrustedKey
from bus.topics import ALERTS, COMMANDS, EVENTS
from fleet.clock import VirtualClock
from fleet.errors import Malformed
from fleet.model import AssetId
from fleet.settings import Intervals
from hallkeeper.replay.cluster import SERIES
from hallkeeper.replay.corrective import Corrective
from hallkeeper.replay.feed import Feed
from hallkeeper.replay.notes import Notes
from hallkeeper.replay.plan import Plan, Replayed
from hallkeeper.replay.protective import Protective
from hallkeeper.replay.quiet import Quiet, split
from hallkeeper.replay.stages import Stages
from hallkeeper.replay.window import SharedWindow
from historian.recording.shape import Segment
from remediator.protective import METER_METRICS
from remediator.protective import WINDOW_SECONDS as METER_SECONDS
from remediator.remedies import FOREIGN
from remediator.service import WINDOW_SECONDS
from remediator.sight import METRICS
from remediator.signals import signals_of
from rules.alerts.series import ALERT_SERIES
from rules.announce import event_of
from rules.check import names_in
from rules.engine import AlertTransition, Engine
from rules.event_follower import COUNTERS_SECONDS
from rules.events import EventCounters
from rules.files.model import AlertRule, RecordingRule
from rules.window.needs import RAW_MS

BOOT: Final = 1
"""Of frames that a replay makes itself: the same in every replay."""
TICK_MS: Final = 1_000
"""The remediator's own."""
CONCERNED_LOOK_MS: Final = 2_000
"""Between two looks at all instruments while something is wrong: agents are read as often (to tune)."""
QUIET_LOOK_MS: Final = 10_000
"""Between two looks at all instruments while nothing is wrong (to tune)."""
CONCERN_MS: Final = 60_000
"""So long after a change of an alert the remediator looks more often."""
COLLECT_MS: Final = 60_000


def replay(plan: Plan, progress: Callable[[int], None] = lambda _: None, stages: Stages | None = None) -> Replayed:
    """Run it; `progress` hears the virtual time after each segment, `stages` what each stage costs.

    Raises `RecordingError` for what cannot be read.
    """
    stages = stages or Stages()
    with tempfile.TemporaryDirectory(prefix="hallkeeper-replay-") as folder:
        with stages("load"):
            run = _Run(plan, Path(folder), stages)
        return asyncio.run(run.run(progress))


class _Run:
    def __init__(self, plan: Plan, folder: Path, stages: Stages) -> None:
        self._plan, self._stages = plan, stages
        segments = plan.recording.segments(plan.since_ms, plan.until_ms)
        self.engine = Engine(plan.rules if plan.plain else split(plan.rules), boot=BOOT, raw_ms=RAW_MS)
        self._quiet = None if plan.plain else Quiet(self.engine)
        rules = [rule.uid for group in plan.rules.groups for rule in group.rules]
        self._order = {uid: place for place, uid in enumerate(rules)}
        self._step_ms = math.gcd(TICK_MS, *(group.group.interval_ms for group in self.engine.groups.values()))
        first = max(segments[0].from_ms, plan.since_ms or 0) if segments else 0
        self._segments = segments
        self._from_ms = first
        self._at_ms = -(-first // self._step_ms) * self._step_ms
        self._judged_from_ms = self._at_ms + round(plan.warm_seconds * 1000)
        self.clock = VirtualClock(start_ms=self._at_ms)
        window = SharedWindow(self.engine.window, _remediators())
        self._window = window
        self.feed = Feed(self.engine.window, together=not plan.plain)
        self.notes = Notes(plan.rules, plan.site, self._draw)
        trusted = {
            name: TrustedKey(public=key.public, role=key.role, name=key.name)
            for name, key in plan.recording.manifest.trusted.items()
        }
        signal = signals_of(plan.site, Intervals())
        self._corrective = Corrective(
            site=plan.site, window=window, signal=signal, playbooks=plan.playbooks, clock=self.clock, folder=folder,
            trusted=trusted,
        )  # fmt: skip
        self._protective = Protective(
            site=plan.site, window=window, playbooks=plan.playbooks, clock=self.clock, folder=folder,
            switches=self._corrective.switches,
        )  # fmt: skip
        self._counters = EventCounters({str(one): asset for one, asset in plan.site.assets.items()})
        self._writer = FrameWriter(BOOT + 1)
        self._counters_told_ms = 0
        self._concerned_until_ms = 0
        self._looked_ms = 0
        self._due: dict[int, list[str]] = {}
        self._cycle_ms = math.lcm(self._step_ms, *(group.group.interval_ms for group in self.engine.groups.values()))

    async def run(self, progress: Callable[[int], None]) -> Replayed:
        """Every segment, then the sum."""
        plan, last = self._plan, self._at_ms
        try:
            self._learn(None, *self._before())
            for segment in self._segments:
                self._learn(segment)
                with self._stages("read"):
                    batch = plan.recording.frames(segment)
                with self._stages("place"):
                    self.feed.take(batch)
                last = segment.until_ms if plan.until_ms is None else min(segment.until_ms, plan.until_ms)
                await self._through(plan.recording.records(segment), last)
                progress(self._at_ms)
        finally:
            await self._corrective.close()
            await self._protective.close()
        findings = self.notes.findings(last, self.engine.failures, self._unseen(), plan.rules_sha256)
        return Replayed(
            findings=findings,
            from_ms=self._from_ms,
            until_ms=last,
            judged_from_ms=self._judged_from_ms,
            frames=self.feed.frames,
            points=self.feed.points,
        )

    def _before(self) -> Sequence[Segment]:
        """Segments that end before the first: later frames name their layouts."""
        first = self._segments[0].from_ms if self._segments else 0
        return [one for one in self._plan.recording.manifest.segments if one.until_ms < first]

    def _learn(self, *segments: Segment | None) -> None:
        with self._stages("learn"):
            for segment in segments:
                for told in self._plan.recording.told(segment):
                    self.feed.learn(told)

    async def _through(self, records: Sequence[Record], last_ms: int) -> None:
        """Step by step to the segment's end; what the bus took by a step is known at that step."""
        waiting = list(reversed(records))
        while self._at_ms <= last_ms:
            with self._stages("place"):
                self.feed.until(self._at_ms)
            while waiting and waiting[-1].at_ms <= self._at_ms:
                self._hear(waiting.pop())
            self._tell_counters()
            if self._at_ms >= self._judged_from_ms:
                self._judge()
            elif self._quiet is not None:
                with self._stages("choose"):
                    self._quiet.look(self._at_ms)
            self._at_ms += self._step_ms
            await self.clock.advance(self._step_ms / 1000)
        self.feed.until(last_ms)
        for record in reversed(waiting):
            self._hear(record)

    # rules

    def _judge(self) -> None:
        now_ms = self._at_ms
        due = self._groups(now_ms)
        if due:
            for transition in self._evaluated(now_ms, due):
                self.notes.alert(transition)
                self._heard(event_of(transition))
        self.engine.drain_recorded()
        if now_ms % COLLECT_MS == 0:
            self.engine.collect(now_ms)
        if now_ms % TICK_MS == 0:
            with self._stages("remediate"):
                self._remediate(now_ms)

    def _evaluated(self, now_ms: int, due: Sequence[str]) -> list[AlertTransition]:
        """One pass, its transitions in the order of the rules: models first, so that it is known who has something to see."""
        if self._quiet is None:
            with self._stages("rules"):
                return self.engine.evaluate(now_ms, due)
        with self._stages("models"):
            self.engine.evaluate(now_ms, ())
        with self._stages("choose"):
            awake = self._quiet.waking(now_ms, due)
        with self._stages("rules"):
            found = self.engine.evaluate(now_ms, awake) if awake else []
        return sorted(found, key=lambda transition: self._order[transition.rule])

    def _groups(self, now_ms: int) -> list[str]:
        """Groups whose interval ends now: on a grid that begins at the epoch, so that it never depends on the recording."""
        place = now_ms % self._cycle_ms
        if place not in self._due:
            groups = self.engine.groups.items()
            self._due[place] = [uid for uid, group in groups if place % group.group.interval_ms == 0]
        return self._due[place]

    def _heard(self, alert: AlertEvent) -> None:
        self._concerned_until_ms = self._at_ms + CONCERN_MS
        self._corrective.hear(alert)
        self._protective.hear(alert)

    # what else the bus carried

    def _hear(self, record: Record) -> None:
        if record.topic == COMMANDS:
            self._corrective.command(record)
            return
        if record.topic not in {EVENTS, ALERTS}:
            return
        try:
            event = decode_event(record.value or b"", now_ms=record.at_ms)
        except (Malformed, UnknownMajor):
            return
        if isinstance(event, DeviceEvent):
            self._counters.count(event, record.at_ms)
            self._counters_told_ms = 0
            self._corrective.heed(event)
        elif isinstance(event, AlertEvent) and event.rule.startswith(FOREIGN):
            self._heard(event)

    def _tell_counters(self) -> None:
        """Device events as series, at once when one came and every few seconds besides, as the rule service does."""
        if self._at_ms - self._counters_told_ms >= COUNTERS_SECONDS * 1000:
            self._counters_told_ms = self._at_ms
            for message in self._counters.frames(self._at_ms, self._writer):
                self.engine.append_frame(message.value)

    # playbooks

    def _remediate(self, now_ms: int) -> None:
        busy = self._corrective.busy or self._protective.busy or now_ms < self._concerned_until_ms
        if now_ms - self._looked_ms >= (CONCERNED_LOOK_MS if busy else QUIET_LOOK_MS):
            self._looked_ms = now_ms
            self._corrective.look()
        self._corrective.tick()
        self._protective.tick()
        for item in (*self._corrective.told(), *self._protective.told()):
            event = decode_event(item.value, now_ms=now_ms)
            if isinstance(event, IncidentEvent):
                self.notes.incident(event)
            elif isinstance(event, RemediationEvent):
                self.notes.remedy(event)

    def _draw(self, node: AssetId) -> float:
        """What its outlets measure now, in watts."""
        total = 0.0
        for outlet in self._plan.site.graph.outlets_of(node):
            labels = {"asset": str(outlet.labels["pdu"]), "outlet": str(outlet.labels["outlet"])}
            total += sum(sample.value for sample in self._window.latest("pdu_outlet_power_watts", labels))
        return total

    # the end

    def _unseen(self) -> Mapping[str, Sequence[str]]:
        """By rule: metrics that it reads, that nothing recorded and no rule made."""
        groups = self._plan.rules.groups
        made = {rule.name for group in groups for rule in group.rules if isinstance(rule, RecordingRule)}
        known = self.feed.names | made | ALERT_SERIES | {"device_events_total"}
        found: dict[str, Sequence[str]] = defaultdict(tuple)
        for group in groups:
            for rule in group.rules:
                if isinstance(rule, AlertRule):
                    found[rule.uid] = sorted(set(names_in(rule.tree)) - known)
        return found


def _remediators() -> dict[str, float]:
    """Metrics that playbooks and gates read, and how deep."""
    depths = dict.fromkeys(METER_METRICS, METER_SECONDS) | dict.fromkeys(METRICS, WINDOW_SECONDS)
    return dict.fromkeys(SERIES, 0.0) | depths
