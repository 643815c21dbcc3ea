"""One compiled group: its rules in order, each seeing what those before it recorded."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from time import perf_counter

from bus.frames import FrameWriter
from bus.port import Message
from fleet.errors import HallkeeperError
from rules.alerts.alert import Alert
from rules.alerts.evaluator import AlertEvaluator
from rules.alerts.naming import Around
from rules.alerts.series import ALERT_SERIES, AlertSeries
from rules.bands import Answer, Bands, Nothing
from rules.files.model import AlertRule, RuleGroup
from rules.promql.errors import EvaluationError
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.plan import Planner
from rules.promql.selectors import Selection
from rules.recorder import Recorder


@dataclass(slots=True)
class Outcome:
    """What one evaluation of a group gave."""

    changed: list[tuple[AlertEvaluator, Alert]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    """Rule uid to what kept it from being evaluated; its alerts stay as they were."""
    evaluated: int = 0
    """Rules that were evaluated."""


class CompiledGroup:
    """A group and the state of its rules."""

    def __init__(self, group: RuleGroup, planner: Planner) -> None:
        self.group = group
        self.timer: Callable[[], float] = perf_counter
        """Measures what rules take, and nothing else; a service puts its own clock's here."""
        self.evaluated_ms: int | None = None
        """When it was evaluated last."""
        self.took: dict[str, float] = {}
        """Seconds that each rule took then, by uid: its own, and an equal part of what several rules are asked together."""
        self.refreshes = False
        """Whether alerts take the newest value at every evaluation, for whoever reads their words in between."""
        self.rules: list[AlertEvaluator | Recorder] = [
            AlertEvaluator(rule, planner, interval_ms=group.interval_ms)
            if isinstance(rule, AlertRule)
            else Recorder(rule, group.name, planner)
            for rule in group.rules
        ]
        self._series = {
            rule.rule.uid: AlertSeries(f"rules/{rule.rule.uid}")
            for rule in self.rules
            if isinstance(rule, AlertEvaluator)
        }
        recorded = frozenset(rule.rule.name for rule in self.rules if isinstance(rule, Recorder))
        self._bands = Bands(
            [(place, rule) for place, rule in enumerate(self.rules) if isinstance(rule, AlertEvaluator)],
            recorded | ALERT_SERIES,
            planner,
        )
        self._selections = list({id(found): found for rule in self.rules for found in selections(rule.node)}.values())

    @property
    def alerting(self) -> list[AlertEvaluator]:
        """Its alerting rules."""
        return [rule for rule in self.rules if isinstance(rule, AlertEvaluator)]

    def reads(self, names: Iterable[str]) -> bool:
        """Whether one of its rules reads one of the metrics."""
        return any(selection.takes(name) for name in names for selection in self._selections)

    def evaluate(
        self, now: Pass, at_ms: int, writer: FrameWriter, *, lagging: bool, alert_series: bool, around: Around
    ) -> Outcome:
        """Every rule once, looking back from the pass's time. While the bus lags, rules that silence could trip are left out."""
        outcome, began = Outcome(), self.timer()
        answers = self._bands.answers(now, at_ms, len(self.rules), lagging=lagging)
        self.evaluated_ms, before = at_ms, self.timer()
        shared = (before - began) / max(len(self.rules), 1)
        for rule, answer in zip(self.rules, answers, strict=True):
            if lagging and rule.reads_silence:
                if isinstance(rule, AlertEvaluator):
                    rule.hold(at_ms)
                continue
            if answer is Nothing.NEW and isinstance(rule, AlertEvaluator) and not (alert_series or self.refreshes):
                rule.rest(at_ms)
                outcome.evaluated += 1
                self.took[rule.rule.uid] = shared
                continue
            try:
                self._one(rule, now, at_ms, writer, outcome, around, answer, alert_series=alert_series)
                outcome.evaluated += 1
            except EvaluationError as error:
                outcome.failures[rule.rule.uid] = str(error)
            except (HallkeeperError, ArithmeticError, ValueError, IndexError, MemoryError) as error:
                outcome.failures[rule.rule.uid] = f"{type(error).__name__}: {error}"
            after = self.timer()
            self.took[rule.rule.uid], before = shared + after - before, after
        return outcome

    def _one(
        self,
        rule: AlertEvaluator | Recorder,
        now: Pass,
        at_ms: int,
        writer: FrameWriter,
        outcome: Outcome,
        around: Around,
        answer: Answer,
        *,
        alert_series: bool,
    ) -> None:
        if isinstance(rule, Recorder):
            messages = rule.evaluate(now, now.at_ms, self.group.limit, writer)
            outcome.messages += messages
            record(now, messages, frozenset({rule.rule.name}))
            return
        if answer is Nothing.NEW:
            rule.rest(at_ms)
        else:
            changed = rule.evaluate(now, at_ms, self.group.limit, around, answer)
            outcome.changed += [(rule, alert) for alert in changed]
        if self.refreshes:
            rule.refresh(now)
        if alert_series:
            messages = self._series[rule.rule.uid].frame(list(rule.alerts.values()), now.at_ms, writer)
            record(now, messages, ALERT_SERIES)


def record(now: Pass, messages: list[Message], names: frozenset[str]) -> None:
    """Put frames of our own into the window; rules that follow see them."""
    for message in messages:
        now.window.append(message.value)
    if messages:
        for name in names:
            now.wrote(name)


def selections(node: Node) -> Iterator[Selection]:
    """Every selector at or below a node."""
    found = getattr(node, "selection", None)
    if isinstance(found, Selection):
        yield found
    for child in node.children:
        yield from selections(child)
