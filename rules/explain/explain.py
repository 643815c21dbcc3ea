"""Why a rule fires for a target, or does not: its expression taken apart, and what its times say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from rules.explain.steps import FROM_BELOW, Anatomy, Element, Step
from rules.explain.target import Target
from rules.files.durations import duration_text
from rules.files.model import AlertRule, RecordingRule, RuleGroup, RuleSet
from rules.labels import NAME
from rules.promql.errors import EvaluationError
from rules.testing.notation import series_text
from rules.window.window import Window

LOOKED_BACK: Final = 400
"""Evaluations that are looked back at to see since when an expression holds."""


class Verdict(StrEnum):
    """Where a rule stands for a target."""

    FIRING = "firing"
    PENDING = "pending"
    INACTIVE = "inactive"
    RECORDED = "recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One element of the expression that is about the target, and since when it is there."""

    labels: dict[str, str]
    value: float
    verdict: Verdict
    held_ms: int
    """For how long the expression has held without a break, as far as the window shows."""
    at_least: bool
    """Whether it held already where the window begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The whole answer."""

    rule: str
    expr: str
    for_ms: int
    target: str
    at_ms: int
    verdict: Verdict
    reason: str
    steps: Step
    standings: list[Standing] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveAlert:
    """An alert that the rule engine holds as pending or firing: it remembers longer than a window does."""

    rule: str
    labels: Mapping[str, str]
    since_ms: int


def find_rules(rules: RuleSet, name: str) -> list[tuple[RuleGroup, AlertRule | RecordingRule]]:
    """Rules of that uid, of that path's end, or of that name."""
    every = [(group, rule) for group in rules.groups for rule in group.rules]
    exact = [(group, rule) for group, rule in every if rule.uid == name]
    return exact or [(group, rule) for group, rule in every if rule.name == name or rule.uid.endswith(f"/{name}")]


def explain(
    group: RuleGroup,
    rule: AlertRule | RecordingRule,
    target: Target,
    window: Window,
    at_ms: int,
    active: Sequence[ActiveAlert] = (),
) -> Explanation:
    """Why a rule says what it says about a target at a time; `active` are the alerts that its engine holds."""
    at = at_ms - group.query_offset_ms
    steps = Anatomy(window, at, target).step(rule.tree)
    elements = steps.elements if steps.scalar is None else [Element(labels={}, value=steps.scalar)]
    standings = [_standing(group, rule, each, window, at, active) for each in elements]
    verdict = max((each.verdict for each in standings), key=_RANKS.index, default=Verdict.INACTIVE)
    for_ms = rule.for_ms if isinstance(rule, AlertRule) else 0
    return Explanation(
        rule=rule.uid,
        expr=rule.expr,
        for_ms=for_ms,
        target=target.text,
        at_ms=at_ms,
        verdict=verdict,
        reason=_reason(steps, standings, for_ms),
        steps=steps,
        standings=standings,
    )


_RANKS: Final = (Verdict.INACTIVE, Verdict.RECORDED, Verdict.PENDING, Verdict.FIRING)


def _standing(
    group: RuleGroup,
    rule: AlertRule | RecordingRule,
    element: Element,
    window: Window,
    at_ms: int,
    active: Sequence[ActiveAlert],
) -> Standing:
    """Whether the element has been there for long enough."""
    if isinstance(rule, RecordingRule):
        return Standing(labels=element.labels, value=element.value, verdict=Verdict.RECORDED, held_ms=0, at_least=False)
    held, at_least = _remembered(rule, element, at_ms, active) or _held(group, rule, element, window, at_ms)
    fires = held >= rule.for_ms
    return Standing(
        labels=element.labels,
        value=element.value,
        verdict=Verdict.FIRING if fires else Verdict.PENDING,
        held_ms=held,
        at_least=at_least,
    )


def _remembered(
    rule: AlertRule, element: Element, at_ms: int, active: Sequence[ActiveAlert]
) -> tuple[int, bool] | None:
    """For how long the engine has held an alert of that element; None where it holds none of that time."""
    wanted = _nameless(element).items()
    for alert in active:
        if alert.rule == rule.uid and alert.since_ms <= at_ms and wanted <= alert.labels.items():
            return at_ms - alert.since_ms, False
    return None


def _held(group: RuleGroup, rule: AlertRule, element: Element, window: Window, at_ms: int) -> tuple[int, bool]:
    """For how long the element has been there, looked at on the group's interval; and whether the look ended first."""
    wanted = _nameless(element)
    exactly = Target("", frozenset(), ())
    for step in range(1, LOOKED_BACK + 1):
        at = at_ms - step * group.interval_ms
        try:
            found = Anatomy(window, at, exactly).elements(rule.tree)
        except EvaluationError:
            found = []
        if not any(_nameless(each) == wanted for each in found):
            return (step - 1) * group.interval_ms, False
        if (step - 1) * group.interval_ms >= rule.for_ms:
            return (step - 1) * group.interval_ms, True
    return LOOKED_BACK * group.interval_ms, True


def _nameless(element: Element) -> dict[str, str]:
    return {name: value for name, value in element.labels.items() if name != NAME}


def _reason(steps: Step, standings: Sequence[Standing], for_ms: int) -> str:
    """One sentence."""
    if not standings:
        return _deepest(steps)
    first = standings[0]
    if first.verdict is Verdict.RECORDED:
        return "it has a value"
    about = series_text(tuple(sorted(first.labels.items())))
    held = f"{'at least ' if first.at_least else ''}{duration_text(first.held_ms)}"
    if first.verdict is Verdict.FIRING:
        return f"the expression holds for {about}" + (f", since {held}; for: {duration_text(for_ms)}" if for_ms else "")
    left = duration_text(for_ms - first.held_ms)
    return f"the expression holds for {about} since {held}, and for: {duration_text(for_ms)} has {left} to go"


def _deepest(step: Step) -> str:
    """What dropped the target: the step that says why, below those that only say that they got nothing."""
    for child in step.children if step.note in FROM_BELOW else ():
        if child.note:
            found = _deepest(child)
            if found:
                return found
    return f"{step.expr}: {step.note}" if step.note else ""
