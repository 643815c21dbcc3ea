"""The public rule engine: frames in, alert transitions out, and no clock of its own."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from bus.events import AlertEvent
from bus.frames import FrameWriter
from bus.identity import derived_id
from bus.port import Message
from fleet.errors import Malformed
from rules.alerts.alert import Alert, AlertState, told_alert
from rules.alerts.evaluator import AlertEvaluator
from rules.alerts.naming import Around
from rules.alerts.series import ALERT_SERIES
from rules.alerts.words import words
from rules.files.load import load_rules
from rules.files.model import RuleSet
from rules.group import CompiledGroup, Outcome
from rules.labels import LabelTable
from rules.models import MODELS
from rules.models.port import Model
from rules.models.runner import Models
from rules.outside import Outside
from rules.promql.passes import LOOKBACK_MS, Pass
from rules.promql.plan import Planner
from rules.recorder import Recorder
from rules.rollups.keep import Rollups
from rules.snapshot import Snapshot, decode_snapshot, encode_snapshot
from rules.templates import QueriedSample, Surroundings
from rules.window.layouts import Layout
from rules.window.window import LIMIT_BYTES, Window

__all__ = ["AlertState", "AlertTransition", "Engine"]

SEVERITY: Final = "severity"
_DEFAULT_SEVERITY: Final = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTransition:
    """One alert changed its state in one evaluation; the fields are those of the alert event."""

    alert_id: str
    event_id: str
    rule: str
    """Uid: `<path below the rules folder>/<group>/<alert>`."""
    alertname: str
    state: AlertState
    severity: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    """As they are at the evaluation; written when they are read."""
    value: float
    active_since_ms: int
    evaluated_at_ms: int
    fingerprint: str
    group_interval_seconds: float


class Engine:
    """Compiled rules over one window; pure: every time is an argument."""

    def __init__(
        self,
        rules: RuleSet | Sequence[Path],
        *,
        boot: int = 0,
        limit_bytes: int = LIMIT_BYTES,
        raw_ms: int | None = None,
        models: Sequence[Model] = MODELS,
        external_labels: Mapping[str, str] = MappingProxyType({}),
        external_url: str = "",
        most: int | None = None,
    ) -> None:
        """`boot` numbers the frames that recording rules make, a random number per start; of `models` those run that
        a rule reads. Templates see the external labels and url. With `raw_ms` no raw sample is kept for longer (a live
        engine: `RAW_MS`); what looks further back reads rollups where they can answer, else it sees only so much. No rule
        begins, or fires, more than `most` alerts in one pass; its group is `unfinished` then.

        Raises `RuleFileError` with every mistake of every file.
        """
        self.rules = rules if isinstance(rules, RuleSet) else load_rules(rules)
        self._writer = FrameWriter(boot)
        planner = Planner()
        self.groups: dict[str, CompiledGroup] = {
            group.uid: CompiledGroup(group, planner) for group in self.rules.groups
        }
        self._known_models = tuple(models)
        self.models = Models(self._known_models, planner)
        self._raw_ms = raw_ms
        self.window = Window(planner.needs.within(raw_ms), limit_bytes=limit_bytes)
        self._look_back(planner)
        self.open: dict[str, tuple[AlertEvaluator, Alert]] = {}
        """Alerts that are pending or firing, by id, with their rules."""
        self._outside = Outside(external_labels=external_labels, external_url=external_url)
        self.failures: dict[str, str] = {}
        """Rules that could not be evaluated last time, and why."""
        self.evaluated_rules = 0
        self._recorded: list[Message] = []
        self._most = most
        self._bound(self.groups)
        self.unfinished: set[str] = set()
        """Groups that have more to tell than the last pass allowed; who judges them again takes them out."""
        self._reader_sets: dict[frozenset[str], frozenset[str]] = {}
        """Equal sets of groups as one object: most sources have the same readers."""
        self._records = _sources(self.groups, self.models)
        self._alert_series = _wants_alert_series(self.window)

    @property
    def records(self) -> frozenset[str]:
        """The sources of the frames that this engine makes."""
        return self._records

    @property
    def depth_ms(self) -> int:
        """How far back the window must have been read before the first evaluation is right."""
        return self.window.needs.deepest_ms + LOOKBACK_MS

    def append_frame(self, record_value: bytes, *, not_after_ms: int | None = None) -> frozenset[str]:
        """Take a frame or table; the uids of the groups that now have something newer to judge. Raises `Malformed`.

        A frame from beyond `not_after_ms` is dropped and counted: it would hide every sample that follows.
        """
        layouts = self.window.append(record_value, not_after_ms=not_after_ms)
        if len(layouts) == 1:
            return self._readers(layouts[0])
        return frozenset().union(*[self._readers(layout) for layout in layouts])

    def append_frames(
        self, record_values: Sequence[bytes], *, not_after_ms: int | None = None
    ) -> tuple[frozenset[str], list[tuple[int, Malformed]]]:
        """Take many messages in their order, which costs half; the uids as above, and what was refused, by its place."""
        taken = self.window.append_all(record_values, not_after_ms=not_after_ms)
        readers = {id(found): found for found in map(self._readers, taken.layouts)}
        return frozenset().union(*readers.values()), taken.refused

    def evaluate(
        self, at_ms: int, groups: Collection[str] | None = None, *, lagging: bool = False
    ) -> list[AlertTransition]:
        """One pass over the groups (None: all), all at the same time, sharing equal subexpressions.

        While the bus lags, rules that come true by silence neither start nor end.
        """
        passes: dict[int, Pass] = {}
        transitions: list[AlertTransition] = []
        with np.errstate(all="ignore"):
            if not lagging:  # models go first, so that rules of this very pass see what they say
                now = passes.setdefault(0, Pass(self.window, at_ms))
                self._recorded += self.models.step(now, at_ms, self._writer, self.failures)
            for uid in self.groups if groups is None else groups:
                group = self.groups[uid]
                offset = group.group.query_offset_ms
                now = passes.setdefault(offset, Pass(self.window, at_ms - offset))
                around = self._outside.around(now)
                outcome = group.evaluate(
                    now, at_ms, self._writer, lagging=lagging, alert_series=self._alert_series, around=around
                )
                transitions += self._settle(group, outcome, at_ms, around)
        for now in passes.values():
            now.finish()
        return transitions

    def drain_recorded(self) -> list[Message]:
        """The frames that recording rules made since the last call, to be published."""
        recorded, self._recorded = self._recorded, []
        return recorded

    def collect(self, at_ms: int) -> int:
        """Drop series that nobody can see any more; how many."""
        return self.window.collect(at_ms, self.depth_ms)

    @property
    def pending(self) -> bool:
        """Whether the `for` of an alert is running."""
        return any(alert.state is AlertState.PENDING for _, alert in self.open.values())

    def alerts(self) -> list[tuple[str, Alert]]:
        """Every alert that is pending or firing, with its rule's uid."""
        return [
            (rule.rule.uid, alert)
            for group in self.groups.values()
            for rule in group.alerting
            for alert in rule.alerts.values()
        ]

    def reload(self, rules: RuleSet, at_ms: int) -> list[AlertTransition]:
        """Other rules over the same window; alerts of rules that stay go on, those of rules that went end as unknown."""
        planner = Planner()
        groups = {group.uid: CompiledGroup(group, planner) for group in rules.groups}
        before = {rule.rule.uid: rule for group in self.groups.values() for rule in group.alerting}
        after = {rule.rule.uid: rule for group in groups.values() for rule in group.alerting}
        ended = []
        for uid, rule in before.items():
            if uid in after:
                after[uid].adopt(rule)
                continue
            for alert in rule.alerts.values():
                alert.state = AlertState.UNKNOWN
                ended.append(_transition(rule, alert, at_ms))
        models = Models(self._known_models, planner)
        models.adopt(self.models)
        self.rules, self.groups, self.models = rules, groups, models
        self._bound(groups)
        self._count_open()
        self._records = _sources(groups, models)
        self.window.require(planner.needs.within(self._raw_ms))
        self._look_back(planner)
        self._alert_series = _wants_alert_series(self.window)
        self.failures.clear()
        return ended

    def _bound(self, groups: Mapping[str, CompiledGroup]) -> None:
        for group in groups.values():
            for rule in group.alerting:
                rule.most = self._most

    def _look_back(self, planner: Planner) -> None:
        """Keep in buckets what is looked at beyond raw samples; look-backs that stay keep their past."""
        before, look_backs = self.window.rollups, planner.look_backs
        self.window.rollups = Rollups(look_backs) if self._raw_ms is not None and look_backs else None
        if before is not None and self.window.rollups is not None:
            self.window.rollups.adopt(before)

    def look_backs(self) -> bytes | None:
        """What is kept in buckets, as bytes; None where nothing is."""
        return None if self.window.rollups is None else self.window.rollups.encode()

    def restore_look_backs(self, state: bytes) -> None:
        """Go on from `look_backs()`. Raises `Malformed` for other bytes."""
        if self.window.rollups is not None:
            self.window.rollups.restore(state)

    def state(self, at_ms: int) -> bytes:
        """Alert states at a time, and what they need to go on after a restart."""
        alerts = {
            rule.rule.uid: list(rule.alerts.values())
            for group in self.groups.values()
            for rule in group.alerting
            if rule.alerts
        }
        fired = {rule.rule.uid: rule.flapping.state(at_ms) for group in self.groups.values() for rule in group.alerting}
        fired = {uid: times for uid, times in fired.items() if times}
        return encode_snapshot(Snapshot(at_ms=at_ms, alerts=alerts, models=self.models.state(), fired=fired))

    def restore(self, state: bytes, at_ms: int) -> int:
        """Go on from `state()`: `for` continues without the time in between; how many alerts came back.

        Raises `Malformed` for bytes that are no state. Alerts of rules that are gone are left out.
        """
        snapshot = decode_snapshot(state)
        self.models.restore(snapshot.models, self.failures)
        restored = 0
        for group in self.groups.values():
            for rule in group.alerting:
                rule.flapping.restore(snapshot.fired.get(rule.rule.uid, {}))
                alerts = snapshot.alerts.get(rule.rule.uid, [])
                if alerts:
                    labels = LabelTable.of(self.window.strings, [alert.element.items() for alert in alerts])
                    rule.restore(alerts, labels.nameless, max(at_ms - snapshot.at_ms, 0))
                    restored += len(alerts)
        self._count_open()
        return restored

    def knows(self, rule: str) -> bool:
        """Whether an alerting rule of that uid is loaded."""
        return self._rule(rule) is not None

    def take_over(self, told: AlertEvent, at_ms: int) -> None:
        """Go on with an open alert that another engine, or this one before a restart, has told of."""
        rule, mine = self._rule(told.rule), self.open.get(told.alert_id)
        if rule is None:
            return
        if mine is not None:
            rule.align(mine[1], told.active_since_ms)
            if told.state is AlertState.FIRING and mine[1].state is AlertState.PENDING:
                mine[1].state, mine[1].fired_at_ms = AlertState.FIRING, told.evaluated_at_ms
            return
        alert = told_alert(told, rule.element_of(told.labels), at_ms)
        rule.take_over(alert, LabelTable.of(self.window.strings, [alert.element.items()]))
        self.open[alert.identity] = rule, alert

    def align(self, identity: str, active_since_ms: int) -> None:
        """An open alert has been active since then: another engine was the first to see it."""
        found = self.open.get(identity)
        if found is not None:
            found[0].align(found[1], active_since_ms)

    def forget(self, identity: str) -> None:
        """An open alert is over, and that was told before."""
        rule, alert = self.open.pop(identity)
        rule.forget(alert)

    def current(self, at_ms: int) -> list[AlertTransition]:
        """What would have to be told of each open alert, had nobody told of it."""
        around = self._outside.around(Pass(self.window, at_ms))
        return [_transition(rule, alert, at_ms, around) for rule, alert in self.open.values()]

    def ask(self, expr: str, at_ms: int) -> Sequence[QueriedSample]:
        """What an expression yields over what the window holds. Raises `QueryFailed`."""
        with np.errstate(all="ignore"):
            return self._outside.ask(expr, Pass(self.window, at_ms))

    def _rule(self, uid: str) -> AlertEvaluator | None:
        return next((rule for group in self.groups.values() for rule in group.alerting if rule.rule.uid == uid), None)

    def _count_open(self) -> None:
        self.open = {
            alert.identity: (rule, alert)
            for group in self.groups.values()
            for rule in group.alerting
            for alert in rule.alerts.values()
        }

    def _readers(self, layout: Layout) -> frozenset[str]:
        """Groups that read one of a layout's metrics; found once per layout."""
        readers = layout.readers
        if isinstance(readers, _Readers) and readers.groups_of is self.groups:
            return readers.uids
        uids = frozenset(uid for uid, group in self.groups.items() if group.reads(layout.names))
        uids = self._reader_sets.setdefault(uids, uids)
        layout.readers = _Readers(self.groups, uids)
        return uids

    def _settle(self, group: CompiledGroup, outcome: Outcome, at_ms: int, around: Around) -> list[AlertTransition]:
        self.evaluated_rules += outcome.evaluated
        self._recorded += outcome.messages
        for rule in group.rules:
            self.failures.pop(rule.rule.uid, None)
        self.failures.update(outcome.failures)
        if any(rule.more for rule, _ in outcome.changed):
            self.unfinished.add(group.group.uid)
        for rule, alert in outcome.changed:
            if alert.ended:
                self.open.pop(alert.identity, None)
            else:
                self.open[alert.identity] = rule, alert
        return [_transition(rule, alert, at_ms, around) for rule, alert in outcome.changed]


@dataclass(frozen=True, slots=True, eq=False)
class _Readers:
    groups_of: Mapping[str, CompiledGroup]
    uids: frozenset[str]


def _sources(groups: Mapping[str, CompiledGroup], models: Models) -> frozenset[str]:
    groups_that_record = [
        group.group.name for group in groups.values() if any(isinstance(rule, Recorder) for rule in group.rules)
    ]
    return frozenset(f"rules/{name}" for name in (*groups_that_record, *models.running))


def _wants_alert_series(window: Window) -> bool:
    return any(window.needs.of(name) is not None for name in ALERT_SERIES)


def _transition(rule: AlertEvaluator, alert: Alert, at_ms: int, around: Around = Surroundings) -> AlertTransition:
    return AlertTransition(
        alert_id=alert.identity,
        event_id=derived_id(alert.identity, alert.state, alert.active_since_ms),
        rule=rule.rule.uid,
        alertname=rule.rule.name,
        state=alert.state,
        severity=alert.labels.get(SEVERITY, _DEFAULT_SEVERITY),
        labels=dict(alert.labels),
        annotations=words(rule.rule, alert, around),
        value=alert.value,
        active_since_ms=alert.active_since_ms,
        evaluated_at_ms=at_ms,
        fingerprint=alert.mark,
        group_interval_seconds=rule.interval_seconds,
    )
