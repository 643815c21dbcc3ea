"""What `rules check` says beyond mistakes: unknown metrics, look-backs that nothing serves, what is experimental, and cost."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from fleet.errors import Problem
from fleet.metrics import METRICS
from fleet.nearest import nearest
from rules.alerts.series import ALERT_SERIES
from rules.files.durations import duration_text
from rules.files.model import AlertRule, RecordingRule, RuleSet
from rules.promql.names import experimental
from rules.promql.plan import Planner
from rules.promql.subquery import DEFAULT_STEP_MS
from rules.promql.tree import (
    Aggregate,
    Binary,
    Call,
    Negate,
    Select,
    SelectRange,
    Subquery,
    Tree,
    Type,
    children,
    type_of,
    walk,
)
from rules.rollups.buckets import FIELDS
from rules.window.depth import first_slots


@dataclass(frozen=True, slots=True)
class Price:
    """What one operation of a plan costs."""

    microseconds: float
    """However few its series: array calls."""
    series_nanoseconds: float
    """On top, for each series."""


PRICES: Final = {
    "select": Price(10.0, 1.0),
    "scalar": Price(3.5, 0.7),
    "match": Price(12.0, 2.5),
    "aggregate": Price(25.0, 15.0),
    "sort": Price(140.0, 90.0),
    "rate": Price(150.0, 55.0),
    "range": Price(200.0, 0.0),
    "steps": Price(30.0, 0.0),
    "call": Price(4.0, 1.0),
}
"""Fitted to CPU times over 1,024 and 16,384 series on one core of 2.x GHz: estimates of single expressions lie within a
factor of two of what was measured there, those of a whole rule set nearer."""
PER_SAMPLE_NANOSECONDS: Final = 20.0
"""Of functions that read every sample of their range; fitted likewise."""
BYTES_PER_SAMPLE: Final = 9
"""A value and its state."""
BYTES_PER_ROW: Final = 41
"""The newest value, flags, the stream and the row's marks; labels come on top, once per series."""
RAW_MS: Final = 900_000
"""How far back raw samples are kept; longer look-backs read rollups of a minute (design section 4)."""
ROLLED: Final = frozenset(FIELDS)
"""Functions that rollups serve: of a minute they keep count, sum, min, max, last and increase."""
_RATES: Final = frozenset({"rate", "increase", "delta"})
_SORTED: Final = frozenset({"topk", "bottomk", "quantile", "count_values", "limitk", "limit_ratio"})


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
        for name in sorted(_read_by(rule))
        if name not in known
    ]


def _unknown(rule: AlertRule | RecordingRule, name: str, known: Collection[str]) -> Problem:
    near = nearest(name, sorted(known))
    suggestion = repr(near) if near else "a recording rule of that name, or the exporter that has it"
    return _warning(rule, f"reads {name!r}, which is no metric of the register", suggestion)


def _warning(rule: AlertRule | RecordingRule, message: str, suggestion: str) -> Problem:
    place = rule.place
    return Problem(
        file=place.file, line=place.line, column=place.column, path=rule.name, message=message, suggestion=suggestion
    )


def _read_by(rule: AlertRule | RecordingRule) -> set[str]:
    """Every metric that a rule names, in its sidecar too."""
    clear = rule.sidecar.clear_tree if isinstance(rule, AlertRule) else None
    return names_in(rule.tree) | (set() if clear is None else names_in(clear))


def experimental_functions(rules: RuleSet) -> list[Problem]:
    """Warnings: functions and modifiers that Prometheus evaluates only when it is told to, and may still change."""
    return [
        _warning(
            rule,
            f"uses {name}, which is experimental in Prometheus 3",
            "a stable function, or --enable-feature=promql-experimental-functions wherever Prometheus runs it",
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
    times = _times(tree) if isinstance(tree, Subquery) else 1
    return Cost(
        microseconds=_own_microseconds(tree, series) + times * sum(each.microseconds for each in inner),
        nodes=1 + sum(each.nodes for each in inner),
    )


def _own_microseconds(tree: Tree, series: int) -> float:
    kind, samples = _kind(tree)
    if not kind:
        return 0.0
    price = PRICES[kind]
    nanoseconds = series * (price.series_nanoseconds + samples * PER_SAMPLE_NANOSECONDS)
    return price.microseconds + nanoseconds / 1000


def _kind(tree: Tree) -> tuple[str, int]:
    """Which price an operation has, and how many samples of each series it reads one by one."""
    match tree:
        case Select():
            return "select", 0
        case Aggregate():
            return ("sort" if tree.op in _SORTED else "aggregate"), 0
        case Binary():
            scalar = Type.SCALAR in {type_of(tree.left), type_of(tree.right)}
            return ("scalar" if scalar else "match"), 0
        case Call():
            return _call_kind(tree)
        case Negate():
            return "call", 0
        case _:
            return "", 0


def _call_kind(call: Call) -> tuple[str, int]:
    read = next((each for each in call.arguments if isinstance(each, SelectRange | Subquery)), None)
    match read:
        case None:
            return "call", 0
        case Subquery():
            return "steps", _times(read)
        case _:
            return ("rate", 0) if call.function in _RATES else ("range", first_slots(read.range_ms))


def _times(subquery: Subquery) -> int:
    """How often a subquery evaluates what it holds."""
    return max(subquery.range_ms // (subquery.step_ms or DEFAULT_STEP_MS), 1)


def long_look_backs(rules: RuleSet) -> list[Problem]:
    """Warnings: look-backs that neither raw samples nor rollups serve, and what to record instead."""
    return [
        _warning(
            rule, f"{what} looks back {duration_text(back)}, and raw samples are kept for {duration_text(RAW_MS)}", hint
        )
        for group in rules.groups
        for rule in group.rules
        for what, back, hint in _too_far(rule.tree, 0, within=None)
    ]


def _too_far(tree: Tree, past_ms: int, *, within: str | None) -> Iterator[tuple[str, int, str]]:
    """Selectors below a tree that is evaluated up to `past_ms` ago, which reach further back than raw samples do."""
    match tree:
        case Select():
            back = past_ms + tree.offset_ms
            if tree.at is None and back > RAW_MS:
                yield tree.name or "a selector", back, "recording it first, and reading the record"
        case SelectRange():
            back = past_ms + tree.range_ms + tree.select.offset_ms
            rolled = within in ROLLED and tree.select.name is not None and not past_ms and not tree.select.offset_ms
            if tree.select.at is None and back > RAW_MS and not rolled:
                name = f"{within}() over {tree.select.name or 'a selector'}"
                yield name, back, f"recording it first, or one of {', '.join(sorted(ROLLED))}, which minutes serve"
        case Subquery():
            yield from _too_far(tree.inner, past_ms + tree.range_ms + tree.offset_ms, within=None)
        case Call():
            for argument in tree.arguments:
                yield from _too_far(argument, past_ms, within=tree.function)
        case _:
            for child in children(tree):
                yield from _too_far(child, past_ms, within=None)


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
