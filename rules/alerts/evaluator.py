"""One alerting rule over its evaluations: quick where nothing changes, element by element where something does."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from rules.alerts.alert import Alert, AlertState, Finding, step
from rules.alerts.evidence import known_where
from rules.files.model import AlertRule
from rules.labels import NAME, LabelTable
from rules.promql.errors import EvaluationError
from rules.promql.node import Node, Value
from rules.promql.passes import Pass
from rules.promql.plan import Planner, reads_silence
from rules.promql.vector import Vector

ALERTNAME: Final = "alertname"
_FOREVER: Final = 1 << 62


class AlertEvaluator:
    """A rule's plan and the alerts that are pending or firing."""

    def __init__(self, rule: AlertRule, planner: Planner) -> None:
        self.rule = rule
        self.alerts: dict[int, Alert] = {}
        """By the hash of the element's labels."""
        self.reads_silence = reads_silence(rule.tree)
        self._node = planner.node(rule.tree)
        clear, holds = rule.sidecar.clear_tree, rule.sidecar.hold_over_gap_ms > 0
        known = known_where(rule.tree) if clear is not None or holds else None
        self._clear: Node | None = None if clear is None else planner.node(clear)
        self._known: Node | None = None if known is None else planner.node(known)
        self._constant = {name: label.source for name, label in rule.labels.items() if label.constant}
        self._constant[ALERTNAME] = rule.name
        self._templated = {name: label for name, label in rule.labels.items() if not label.constant}
        self._labels: LabelTable | None = None
        self._present: bytes | None = None
        self._deadline_ms = _FOREVER
        self._last_ms: int | None = None

    @property
    def node(self) -> Node:
        """The plan of the expression."""
        return self._node

    def hold(self, now_ms: int) -> None:
        """The evaluation is left out: time that passes now does not count towards `for`."""
        if self._last_ms is not None:
            for alert in self.alerts.values():
                if alert.state is AlertState.PENDING:
                    alert.unseen_ms += max(now_ms - self._last_ms, 0)
        self._last_ms = now_ms
        self._deadline_ms = now_ms

    def evaluate(self, now: Pass, at_ms: int, limit: int) -> list[Alert]:
        """One step; the alerts whose state changed. Raises `EvaluationError`, and then nothing has changed."""
        value = self._node.evaluate(now)
        if not self.alerts and isinstance(value, Vector) and value.empty:
            self._last_ms = at_ms
            return []
        named, vector = self._elements(now, value)
        if self._unchanged(vector, at_ms):
            self._last_ms = at_ms
            return []
        if limit and vector.count > limit:
            raise EvaluationError(f"{self.rule.uid}: {vector.count} alerts are over the group's limit of {limit}")
        self._check_labels(vector)
        found = self._found(vector)
        judged = self._judged(now)
        changed = list(self._steps(named, found, judged, at_ms))
        self._labels, self._present = vector.labels, vector.mask.tobytes()
        self._last_ms = at_ms
        self._deadline_ms = self._next_deadline()
        return changed

    @staticmethod
    def _elements(now: Pass, value: Value) -> tuple[LabelTable, Vector]:
        """The expression's elements without the metric's name, and their labels with it."""
        if isinstance(value, Vector):
            return value.labels, Vector(value.labels.nameless, value.values, value.present)
        lone = LabelTable(now.window.strings, {}, 1)
        return lone, Vector(lone, np.array([value]), None)

    def _unchanged(self, vector: Vector, at_ms: int) -> bool:
        """The common case: the same elements as before, and nothing due."""
        if self._templated or at_ms >= self._deadline_ms or vector.labels is not self._labels:
            return False
        return self._present is not None and vector.mask.tobytes() == self._present

    def _check_labels(self, vector: Vector) -> None:
        """Raises `EvaluationError` where two elements would become one alert."""
        if vector.labels.unique and not self._constant.keys() & vector.labels.columns.keys():
            return
        final = Vector(vector.labels.constant(self._constant), vector.values, vector.present)
        try:
            final.checked()
        except EvaluationError as error:
            raise EvaluationError(
                "vector contains metrics with the same labelset after applying alert labels"
            ) from error

    @staticmethod
    def _found(vector: Vector) -> dict[int, tuple[int, float]]:
        """Hash of each present element, with its row and value."""
        rows = np.flatnonzero(vector.mask)
        hashes = vector.labels.hashes[rows].tolist()
        return dict(zip(hashes, zip(rows.tolist(), vector.values[rows].tolist(), strict=True), strict=True))

    def _judged(self, now: Pass) -> "_Judged":
        """What the sidecar's expressions say; asked only where an alert is firing."""
        firing = any(alert.state is AlertState.FIRING for alert in self.alerts.values())
        return _Judged(
            cleared=_hashes(self._clear, now) if firing and self._clear is not None else frozenset(),
            known=_hashes(self._known, now) if firing and self._known is not None else None,
        )

    def _steps(
        self, labels: LabelTable, found: dict[int, tuple[int, float]], judged: "_Judged", at_ms: int
    ) -> Iterator[Alert]:
        for key, (row, value) in found.items():
            alert = self.alerts.get(key)
            if alert is None:
                alert = self.alerts[key] = self._new(labels.row(row), value, at_ms)
                before = None
            else:
                alert.value = value
                before = alert.state
            step(alert, self.rule, Finding(holds=True), at_ms)
            if alert.state is not before:
                yield alert
        for key in [key for key in self.alerts if key not in found]:
            alert = self.alerts[key]
            before = alert.state
            step(alert, self.rule, judged.finding(key), at_ms)
            if alert.ended:
                del self.alerts[key]
            if alert.state is not before:
                yield alert

    def _new(self, element: dict[str, str], value: float, at_ms: int) -> Alert:
        templated = {name: template.expand(element, value) for name, template in self._templated.items()}
        labels = {name: text for name, text in {**element, **templated, **self._constant}.items() if text}
        labels.pop(NAME, None)
        return Alert(
            element=element,
            labels=dict(sorted(labels.items())),
            state=AlertState.PENDING,
            active_since_ms=at_ms,
            value=value,
        )

    def _next_deadline(self) -> int:
        """When the next step is due although the elements stay the same."""
        deadline = _FOREVER
        for alert in self.alerts.values():
            if alert.state is AlertState.PENDING:
                deadline = min(deadline, alert.active_since_ms + alert.unseen_ms + self.rule.for_ms)
            elif alert.keep_since_ms is not None or alert.gap_since_ms is not None or self._clear is not None:
                return 0  # on its way out: look every time
        return deadline

    def annotations(self, alert: Alert) -> dict[str, str]:
        """The rule's annotations for an alert; templates see the element's labels, as in Prometheus."""
        return {name: text.expand(alert.element, alert.value) for name, text in self.rule.annotations.items()}

    def restore(self, alerts: Sequence[Alert], labels: LabelTable, silent_ms: int) -> None:
        """Go on with the alerts of before; `labels` are their elements, `silent_ms` the time without evaluations."""
        for key, alert in zip(labels.hashes.tolist(), alerts, strict=True):
            if alert.state is AlertState.PENDING:
                alert.unseen_ms += silent_ms
            self.alerts[key] = alert
        self._labels, self._deadline_ms = None, 0

    def adopt(self, other: "AlertEvaluator") -> None:
        """Take over the alerts of the same rule before a reload."""
        self.alerts = other.alerts
        self._last_ms = other._last_ms  # noqa: SLF001 - its own kind
        self._deadline_ms = 0


class _Judged:
    """Label sets that the sidecar's expressions yield."""

    def __init__(self, *, cleared: frozenset[int], known: frozenset[int] | None) -> None:
        self._cleared, self._known = cleared, known

    def finding(self, key: int) -> Finding:
        """What that says of an alert whose expression does not hold."""
        return Finding(holds=False, cleared=key in self._cleared, known=self._known is None or key in self._known)


def _hashes(node: Node, now: Pass) -> frozenset[int]:
    value = node.evaluate(now)
    if not isinstance(value, Vector):
        return frozenset()
    return frozenset(value.labels.nameless.hashes[value.mask].tolist())
