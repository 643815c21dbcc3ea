"""The public rule engine: frames in, alert transitions out, and no clock of its own."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bus.frames import FrameWriter
from bus.identity import alert_id, derived_id, fingerprint
from bus.port import Message
from rules.alerts.alert import Alert, AlertState
from rules.alerts.evaluator import AlertEvaluator
from rules.alerts.series import ALERT_SERIES
from rules.files.load import load_rules
from rules.files.model import RuleSet
from rules.group import CompiledGroup, Outcome
from rules.labels import LabelTable
from rules.models import MODELS
from rules.models.port import Model
from rules.models.runner import Models
from rules.promql.passes import LOOKBACK_MS, Pass
from rules.promql.plan import Planner
from rules.snapshot import Snapshot, decode_snapshot, encode_snapshot
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
        models: Sequence[Model] = MODELS,
    ) -> None:
        """`boot` numbers the frames that recording rules make, a random number per start; of `models` those run that
        a rule reads.

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
        self.window = Window(planner.needs, limit_bytes=limit_bytes)
        self.failures: dict[str, str] = {}
        """Rules that could not be evaluated last time, and why."""
        self.evaluated_rules = 0
        self._recorded: list[Message] = []
        self._alert_series = _wants_alert_series(self.window)

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
                outcome = group.evaluate(now, at_ms, self._writer, lagging=lagging, alert_series=self._alert_series)
                transitions += self._settle(group, outcome, at_ms)
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
                ended.append(_transition(rule, alert, at_ms, 0.0))
        models = Models(self._known_models, planner)
        models.adopt(self.models)
        self.rules, self.groups, self.models = rules, groups, models
        self.window.require(planner.needs)
        self._alert_series = _wants_alert_series(self.window)
        self.failures.clear()
        return ended

    def state(self, at_ms: int) -> bytes:
        """Alert states at a time, and what they need to go on after a restart."""
        alerts = {
            rule.rule.uid: list(rule.alerts.values())
            for group in self.groups.values()
            for rule in group.alerting
            if rule.alerts
        }
        return encode_snapshot(Snapshot(at_ms=at_ms, alerts=alerts, models=self.models.state()))

    def restore(self, state: bytes, at_ms: int) -> int:
        """Go on from `state()`: `for` continues without the time in between; how many alerts came back.

        Raises `Malformed` for bytes that are no state. Alerts of rules that are gone are left out.
        """
        snapshot = decode_snapshot(state)
        self.models.restore(snapshot.models, self.failures)
        restored = 0
        for group in self.groups.values():
            for rule in group.alerting:
                alerts = snapshot.alerts.get(rule.rule.uid, [])
                if alerts:
                    labels = LabelTable.of(self.window.strings, [alert.element.items() for alert in alerts])
                    rule.restore(alerts, labels.nameless, max(at_ms - snapshot.at_ms, 0))
                    restored += len(alerts)
        return restored

    def _readers(self, layout: Layout) -> frozenset[str]:
        """Groups that read one of a layout's metrics; found once per layout."""
        readers = layout.readers
        if isinstance(readers, _Readers) and readers.groups_of is self.groups:
            return readers.uids
        uids = frozenset(uid for uid, group in self.groups.items() if group.reads(layout.names))
        layout.readers = _Readers(self.groups, uids)
        return uids

    def _settle(self, group: CompiledGroup, outcome: Outcome, at_ms: int) -> list[AlertTransition]:
        self.evaluated_rules += outcome.evaluated
        self._recorded += outcome.messages
        for rule in group.rules:
            self.failures.pop(rule.rule.uid, None)
        self.failures.update(outcome.failures)
        interval = group.group.interval_ms / 1000.0
        return [_transition(rule, alert, at_ms, interval) for rule, alert in outcome.changed]


@dataclass(frozen=True, slots=True, eq=False)
class _Readers:
    groups_of: Mapping[str, CompiledGroup]
    uids: frozenset[str]


def _wants_alert_series(window: Window) -> bool:
    return any(window.needs.of(name) is not None for name in ALERT_SERIES)


def _transition(rule: AlertEvaluator, alert: Alert, at_ms: int, interval_seconds: float) -> AlertTransition:
    mark = fingerprint(alert.labels)
    identity = alert_id(rule.rule.uid, mark)
    return AlertTransition(
        alert_id=identity,
        event_id=derived_id(identity, alert.state, alert.active_since_ms),
        rule=rule.rule.uid,
        alertname=rule.rule.name,
        state=alert.state,
        severity=alert.labels.get(SEVERITY, _DEFAULT_SEVERITY),
        labels=dict(alert.labels),
        annotations=rule.annotations(alert),
        value=alert.value,
        active_since_ms=alert.active_since_ms,
        evaluated_at_ms=at_ms,
        fingerprint=mark,
        group_interval_seconds=interval_seconds,
    )
