"""One alerting rule over its evaluations: where little changes, little is looked at."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from rules.alerts.alert import Alert, AlertState, Finding, step
from rules.alerts.deadlines import Deadlines
from rules.alerts.evidence import known_where
from rules.alerts.flapping import Flapping
from rules.alerts.look import Element, Judged, Look, bounded, hashes_of
from rules.alerts.naming import TWICE, Around, Naming
from rules.alerts.queries import demand_queries
from rules.arrays import NEVER, Bools
from rules.files.model import AlertRule
from rules.labels import LabelTable
from rules.promql.errors import EvaluationError
from rules.promql.node import Node, Value
from rules.promql.passes import Pass
from rules.promql.plan import Planner, reads_silence
from rules.promql.vector import Vector
from rules.templates import Surroundings


class AlertEvaluator:
    """A rule's plan and the alerts that are pending or firing."""

    def __init__(self, rule: AlertRule, planner: Planner, *, interval_ms: int = 0) -> None:
        """The rule's group is evaluated at least every `interval_ms`."""
        self.rule = rule
        self.interval_seconds = interval_ms / 1000.0
        self.alerts: dict[int, Alert] = {}
        """By a number for the element's labels, or for the alert's where the rule's templates make them."""
        self.reads_silence = reads_silence(rule.tree)
        self._node = planner.node(rule.tree)
        clear, holds = rule.sidecar.clear_tree, rule.sidecar.hold_over_gap_ms > 0
        known = known_where(rule.tree) if clear is not None or holds else None
        self._clear: Node | None = None if clear is None else planner.node(clear)
        self._known: Node | None = None if known is None else planner.node(known)
        demand_queries(rule, planner)
        self._naming = Naming(rule)
        self._labels: LabelTable | None = None
        self._present: Bools = np.zeros(0, dtype=np.bool_)
        self._seen = b""
        """The same once more: comparing bytes costs a quarter of comparing arrays."""
        self._limbo: dict[int, None] = {}
        """Alerts whose expression no longer holds and that have not ended yet."""
        self._adopted: dict[str, int] = {}
        """Alerts of before whose element is a guess, by id."""
        self._deadlines = Deadlines()
        self.flapping = Flapping(rule.sidecar.flapping)
        self._last_ms: int | None = None
        self.rests_until_ms: float = NEVER
        """Until then an evaluation that finds the elements of the last one changes nothing."""
        self.most: int | None = None
        """Alerts that begin, and that fire, in one evaluation at most …"""
        self.more = False
        """… and whether the last one left some to the next."""

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

    def rest(self, now_ms: int) -> None:
        """An evaluation that would have changed nothing."""
        self._last_ms = now_ms

    def evaluate(
        self, now: Pass, at_ms: int, limit: int, around: Around = Surroundings, given: Vector | None = None
    ) -> list[Alert]:
        """One step; the alerts whose state changed. Raises `EvaluationError`, and then nothing has changed.

        `given` is the expression's value, where somebody has evaluated it already.
        """
        self.rests_until_ms = NEVER
        value = self._node.evaluate(now) if given is None else given
        if isinstance(value, Vector) and self._unchanged(value, at_ms):
            self._rested(at_ms)
            return []
        named, vector = self._elements(now, value)
        if limit and vector.count > limit:
            raise EvaluationError(f"{self.rule.uid}: {vector.count} alerts are over the group's limit of {limit}")
        self._naming.check(vector)
        look = Look(named, vector, around)
        begun, gone, later = self._differences(look)
        self._limbo.update(dict.fromkeys(gone))
        judged = self._judged(now)
        changed = [*self._begun(look, begun, at_ms), *self._fired(look, at_ms), *self._ending(judged, at_ms)]
        self._labels, self._present = vector.labels, vector.mask.copy()
        if later:
            self._present[later] = False
        self._seen = self._present.tobytes()
        self._rested(at_ms)
        self.more = bool(later) or self._deadlines.due(at_ms)
        if self.more:
            self.rests_until_ms = NEVER
        return changed

    def _rested(self, at_ms: int) -> None:
        self._last_ms = at_ms
        active = NEVER if self._limbo or self._naming.templated else self._deadlines.next_ms
        self.rests_until_ms = active if self.alerts else math.inf

    def refresh(self, now: Pass) -> None:
        """Give each alert its element's value of now, as Prometheus does at every evaluation.

        The engine leaves it out: an alert's words are read when its state changes, and then they are fresh.
        """
        if self.alerts:
            look = Look(*self._elements(now, self._node.evaluate(now)), Surroundings)
            for alert in self.alerts.values():
                alert.value = look.value_of(alert.element_hash, alert.value)

    @staticmethod
    def _elements(now: Pass, value: Value) -> tuple[LabelTable, Vector]:
        """The expression's elements without the metric's name, and their labels with it."""
        if isinstance(value, Vector):
            return value.labels, Vector(value.labels.nameless, value.values, value.present)
        lone = LabelTable(now.window.strings, {}, 1)
        return lone, Vector(lone, np.array([value]), None)

    def _unchanged(self, value: Vector, at_ms: int) -> bool:
        """The common case: the same elements as before, and nothing due."""
        if not self.alerts:
            return value.empty
        if value.labels.nameless is not self._labels or self._naming.templated or self._limbo:
            return False
        return not self._deadlines.due(at_ms) and value.mask.tobytes() == self._seen

    # --- what differs from before ------------------------------------------------------------------------------------

    def _differences(self, look: Look) -> tuple[list[Element], list[int], list[int]]:
        """Elements that were not there at the last look, alerts whose element is not there any more, rows left for later."""
        if self._naming.templated:
            return self._compared(self._expanded(look))
        mask, hashes = look.vector.mask, look.vector.labels.hashes
        if look.vector.labels is not self._labels:
            rows = np.flatnonzero(mask)
            found = [Element(key, row, key) for key, row in zip(hashes[rows].tolist(), rows.tolist(), strict=True)]
            return self._compared(found)
        rows = np.flatnonzero(mask & ~self._present)
        keyed = list(zip(hashes[rows].tolist(), rows.tolist(), strict=True))
        now, later = bounded(keyed, self.alerts, self.most)
        gone = hashes[self._present & ~mask].tolist()
        return [Element(key, row, key) for key, row in now], [key for key in gone if key in self.alerts], later

    def _compared(self, found: list[Element]) -> tuple[list[Element], list[int], list[int]]:
        there = {element.key: element for element in found}
        begun = [
            (element.key, element.row)
            for element in found
            if element.key not in self.alerts or element.key in self._limbo
        ]
        now, later = bounded(begun, self.alerts, self.most)
        gone = [key for key in self.alerts if key not in there and key not in self._limbo]
        return [there[key] for key, _ in now], gone, later

    def _expanded(self, look: Look) -> list[Element]:
        """Every element with its alert's labels. Raises `EvaluationError` where two become one alert."""
        found: dict[int, Element] = {}
        rows = np.flatnonzero(look.vector.mask)
        hashes = look.vector.labels.hashes[rows].tolist()
        for row, row_hash in zip(rows.tolist(), hashes, strict=True):
            labels = self._naming.final(look.named.row(row), look.value(row), look.around)
            identity, _ = self._naming.identity(labels)
            key = int(identity, 16)
            if key in found:
                raise EvaluationError(TWICE)
            found[key] = Element(key, row, row_hash, labels)
        return list(found.values())

    # --- what becomes of it ------------------------------------------------------------------------------------------

    def _begun(self, look: Look, begun: Iterable[Element], at_ms: int) -> Iterator[Alert]:
        """Elements that are there now and were not before."""
        for element in begun:
            alert = self.alerts.get(element.key)
            fresh = alert is None
            alert = self._new(look, element, at_ms) if alert is None else alert
            alert.value = look.value(element.row)
            self._limbo.pop(element.key, None)
            if self._stepped(alert, Finding(holds=True), at_ms) or fresh:
                yield alert
            if alert.state is AlertState.PENDING:
                self._deadlines.set(element.key, alert.due_ms(self.rule))

    def _fired(self, look: Look, at_ms: int) -> Iterator[Alert]:
        """Pending alerts whose time is over."""
        for key in self._deadlines.take(at_ms, self.most):
            alert = self.alerts.get(key)
            if alert is None or key in self._limbo or alert.state is not AlertState.PENDING:
                continue
            if self._stepped(alert, Finding(holds=True), at_ms):
                alert.value = look.value_of(alert.element_hash, alert.value)
                yield alert
            else:
                self._deadlines.set(key, alert.due_ms(self.rule))

    def _ending(self, judged: Judged, at_ms: int) -> Iterator[Alert]:
        """Alerts whose expression does not hold."""
        for key in list(self._limbo):
            alert = self.alerts[key]
            changed = self._stepped(alert, judged.finding(alert.element_hash), at_ms)
            if alert.ended:
                del self.alerts[key], self._limbo[key]
            if changed:
                yield alert

    def _stepped(self, alert: Alert, finding: Finding, at_ms: int) -> bool:
        """Move it on; whether its state changed."""
        before = alert.state
        step(alert, self.rule, finding, at_ms)
        if alert.state is before:
            return False
        if alert.state is AlertState.FIRING:
            alert.calm_ms = self.flapping.fired(alert.identity, at_ms)
        return True

    def _new(self, look: Look, element: Element, at_ms: int) -> Alert:
        named = look.named.row(element.row)
        value = look.value(element.row)
        labels = element.labels or self._naming.final(named, value, look.around)
        identity, mark = self._naming.identity(labels)
        alert = self._recognised(identity)
        if alert is None:
            alert = Alert(
                element=named, labels=labels, state=AlertState.PENDING, active_since_ms=at_ms, value=value,
                identity=identity, mark=mark,
            )  # fmt: skip
        alert.element, alert.element_hash = named, element.row_hash
        self.alerts[element.key] = alert
        return alert

    def _recognised(self, identity: str) -> Alert | None:
        """An alert of before, whose element was guessed wrong."""
        key = self._adopted.pop(identity, None)
        if key is None:
            return None
        self._limbo.pop(key, None)
        return self.alerts.pop(key, None)

    def _judged(self, now: Pass) -> Judged:
        """What the sidecar's expressions say; asked only where an alert is on its way out."""
        firing = any(self.alerts[key].state is AlertState.FIRING for key in self._limbo)
        return Judged(
            cleared=hashes_of(self._clear, now) if firing and self._clear is not None else frozenset(),
            known=hashes_of(self._known, now) if firing and self._known is not None else None,
        )

    def annotations(self, alert: Alert, around: Around = Surroundings) -> dict[str, str]:
        """The rule's annotations for an alert; templates see the element's labels, as in Prometheus."""
        constant = all(text.constant for text in self.rule.annotations.values())
        if constant:
            return {name: text.source for name, text in self.rule.annotations.items()}
        seen = around()
        return {name: text.expand(alert.element, alert.value, seen) for name, text in self.rule.annotations.items()}

    # --- over restarts and from other engines ------------------------------------------------------------------------

    def restore(self, alerts: Sequence[Alert], table: LabelTable, silent_ms: int) -> None:
        """Go on with the alerts of before; `table` holds their elements, `silent_ms` is the time without evaluations."""
        self.rests_until_ms = NEVER
        for row_hash, alert in zip(table.hashes.tolist(), alerts, strict=True):
            if not alert.identity:
                alert.identity, alert.mark = self._naming.identity(alert.labels)
            if alert.state is AlertState.PENDING:
                alert.unseen_ms += silent_ms
            alert.element_hash = row_hash
            key = int(alert.identity, 16) if self._naming.templated else row_hash
            self.alerts[key] = alert
            self._limbo[key] = None  # until an evaluation has found it again
        self._labels = None

    def take_over(self, alert: Alert, table: LabelTable) -> None:
        """Go on with an alert that another engine has told of; `table` holds its element, as far as its labels say."""
        self.restore([alert], table, 0)
        self._adopted[alert.identity] = next(reversed(self.alerts))

    def element_of(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The element that an alert with these labels is probably of."""
        return self._naming.element_of(labels)

    def align(self, alert: Alert, active_since_ms: int) -> None:
        """It has been active since then."""
        self.rests_until_ms = NEVER
        if alert.active_since_ms != active_since_ms:
            alert.active_since_ms = active_since_ms
            key = int(alert.identity, 16) if self._naming.templated else alert.element_hash
            if alert.state is AlertState.PENDING:
                self._deadlines.set(key, alert.due_ms(self.rule))

    def forget(self, alert: Alert) -> None:
        """It is over, and others have said so."""
        self.rests_until_ms = NEVER
        for key in [key for key, mine in self.alerts.items() if mine is alert]:
            del self.alerts[key]
            self._limbo.pop(key, None)
        self._labels = None

    def adopt(self, other: "AlertEvaluator") -> None:
        """Take over the alerts of the same rule before a reload."""
        same = self._naming.templated == other._naming.templated  # noqa: SLF001 - its own kind
        self.alerts = other.alerts if same else self._rekeyed(other.alerts.values())
        self._limbo = dict.fromkeys(self.alerts)
        self._last_ms = other._last_ms  # noqa: SLF001
        self.flapping.adopt(other.flapping)

    def _rekeyed(self, alerts: Iterable[Alert]) -> dict[int, Alert]:
        templated = self._naming.templated
        return {int(alert.identity, 16) if templated else alert.element_hash: alert for alert in alerts}
