"""What `rules check` says beyond mistakes: metrics that nobody publishes, and what the rules will cost."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from fleet.errors import Problem
from fleet.metrics import METRICS
from fleet.nearest import nearest
from rules.alerts.series import ALERT_SERIES
from rules.files.model import AlertRule, RecordingRule, RuleSet
from rules.promql.names import experimental
from rules.promql.plan import Planner
from rules.promql.subquery import DEFAULT_STEP_MS
from rules.promql.tree import Aggregate, Binary, Call, Negate, Select, SelectRange, Subquery, Tree, children, walk
from rules.window.window import first_slots

FIXED_MICROSECONDS: Final = 6.0
"""Array calls of one plan node, however few its series (measured by `hallkeeper bench rules`; so are those below)."""
PER_SERIES_NANOSECONDS: Final = {"select": 1.0, "arithmetic": 4.0, "match": 8.0, "aggregate": 30.0, "rate": 45.0}
PER_SAMPLE_NANOSECONDS: Final = 12.0
"""Of functions that read every sample of their range."""
BYTES_PER_SAMPLE: Final = 9
"""A value and its state."""
BYTES_PER_ROW: Final = 41
"""The newest value, flags, the stream and the row's marks; labels come on top, once per series."""
_RATES: Final = frozenset({"rate", "increase", "delta"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """An estimate of what one rule costs."""

    microseconds: float
    """Of one evaluation."""
    nodes: int
    """Operations in its plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """An estimate for a rule set at a number of series per metric."""

    series_per_metric: int
    metrics: int
    core_share: float
    """Of one core, all groups at their intervals."""
    window_bytes: int
    depth_seconds: float
    """The furthest that a rule looks back."""


def unknown_metrics(rules: RuleSet) -> list[Problem]:
    """Warnings: metrics that are neither in the register nor recorded by the rules themselves."""
    own = {rule.name for group in rules.groups for rule in group.rules if isinstance(rule, RecordingRule)}
    known = METRICS.keys() | own | ALERT_SERIES
    return [
        _unknown(rule, name, known)
        for group in rules.groups
        for rule in group.rules
        for name in sorted(names_in(rule.tree))
        if name not in known
    ]


def _unknown(rule: AlertRule | RecordingRule, name: str, known: Collection[str]) -> Problem:
    near = nearest(name, sorted(known))
    return Problem(
        file=rule.place.file,
        line=rule.place.line,
        column=rule.place.column,
        path=rule.name,
        message=f"reads {name!r}, which is no metric of the register",
        suggestion=repr(near) if near else "a recording rule of that name, or the exporter that has it",
    )


def experimental_functions(rules: RuleSet) -> list[Problem]:
    """Warnings: functions and modifiers that Prometheus evaluates only when it is told to, and may still change."""
    return [
        Problem(
            file=rule.place.file,
            line=rule.place.line,
            column=rule.place.column,
            path=rule.name,
            message=f"uses {name}, which is experimental in Prometheus 3",
            suggestion="a stable function, or --enable-feature=promql-experimental-functions wherever Prometheus runs it",
        )
        for group in rules.groups
        for rule in group.rules
        for name in dict.fromkeys(experimental(rule.tree))
    ]


def names_in(tree: Tree) -> set[str]:
    """Every metric that an expression names."""
    return {each.name for each in walk(tree) if isinstance(each, Select) and each.name is not None}


def cost_of(tree: Tree, series: int) -> Cost:
    """What an expression costs over so many series a metric."""
    inner = [cost_of(child, series) for child in children(tree)]
    times = 1
    if isinstance(tree, Subquery):
        times = max(tree.range_ms // (tree.step_ms or DEFAULT_STEP_MS), 1)
    return Cost(
        microseconds=_own_microseconds(tree, series) + times * sum(each.microseconds for each in inner),
        nodes=1 + sum(each.nodes for each in inner),
    )


def _own_microseconds(tree: Tree, series: int) -> float:
    match tree:
        case Select():
            return FIXED_MICROSECONDS + series * PER_SERIES_NANOSECONDS["select"] / 1000
        case Call() if tree.arguments and any(isinstance(each, SelectRange) for each in tree.arguments):
            if tree.function in _RATES:
                return 4 * FIXED_MICROSECONDS + series * PER_SERIES_NANOSECONDS["rate"] / 1000
            argument = next(each for each in tree.arguments if isinstance(each, SelectRange))
            samples = first_slots(argument.range_ms)
            return 4 * FIXED_MICROSECONDS + series * samples * PER_SAMPLE_NANOSECONDS / 1000
        case Aggregate():
            return 4 * FIXED_MICROSECONDS + series * PER_SERIES_NANOSECONDS["aggregate"] / 1000
        case Binary():
            return 2 * FIXED_MICROSECONDS + series * PER_SERIES_NANOSECONDS["match"] / 1000
        case Call() | Negate():
            return FIXED_MICROSECONDS + series * PER_SERIES_NANOSECONDS["arithmetic"] / 1000
        case _:
            return 0.0


def estimate(rules: RuleSet, series: int) -> Estimate:
    """What a rule set costs where every metric has so many series."""
    planner = Planner()
    share = 0.0
    for group in rules.groups:
        for rule in group.rules:
            planner.node(rule.tree)
            share += cost_of(rule.tree, series).microseconds / (group.interval_ms * 1000.0)
    needs = planner.needs
    depths = [need.depth_ms for name in needs.names if (need := needs.of(name)) is not None]
    bytes_per_series = sum(BYTES_PER_ROW + first_slots(depth) * BYTES_PER_SAMPLE for depth in depths)
    return Estimate(
        series_per_metric=series,
        metrics=len(depths),
        core_share=share,
        window_bytes=bytes_per_series * series,
        depth_seconds=max(depths, default=0) / 1000.0,
    )
