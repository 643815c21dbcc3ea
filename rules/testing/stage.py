"""Rules and series of one test, put on an engine; time only moves when it is told to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from bus.frames import FrameWriter, SeriesLayout, SeriesName
from fleet.errors import HallkeeperError
from rules.alerts.alert import AlertState
from rules.engine import Engine
from rules.files.model import AlertRule, Place, RecordingRule, RuleGroup, RuleSet, Sidecar
from rules.labels import NAME
from rules.models.port import Model
from rules.outside import Outside
from rules.promql.errors import ExpressionError
from rules.promql.passes import LOOKBACK_MS, Pass
from rules.promql.tree import Aggregate, Binary, Call, Negate, Select, SelectRange, Subquery, Tree, walk
from rules.query import Query
from rules.testing.model import InputSeries, Sample, Setup, UnitFile
from rules.testing.notation import Labels

_READERS: Final = "unit tests"
"""A group that is never evaluated: its rules let the window keep what the cases ask for."""

_SHORTEST_GUESS_MS: Final = 1_000
"""Of the interval between samples, from which rings get their first size; they grow where samples come faster."""


class StageError(HallkeeperError):
    """The test cannot go on: a rule has no value, or the window has no room for it."""


@dataclass(slots=True)
class _Source:
    """Series whose samples come at the same steps, as frames of one source."""

    name: str
    layout: SeriesLayout
    steps: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    values: "np.ndarray[tuple[int, int], np.dtype[np.float64]]"
    """A row a step."""
    sent: int = 0


class Stage:
    """An engine with the rules of a file and the series of one setup."""

    def __init__(
        self,
        unit: UnitFile,
        setup: Setup,
        rules: RuleSet,
        *,
        models: Sequence[Model] = (),
        whole: Sequence[Tree] = (),
        end_ms: int = 0,
    ) -> None:
        """`models` run beside the rules; Prometheus has none. Of what `whole` reads every sample up to `end_ms` is kept.

        Raises `HallkeeperError` where the rules cannot be taken.
        """
        self._setup = setup
        self._sources = list(_sources(setup.series))
        self._writer = FrameWriter(1)
        step = unit.interval_ms
        self.queries: dict[str, Query | ExpressionError] = {
            case.expr: _compiled(case.expr, step) for case in setup.exprs
        }
        ordered = [_stepped(group, step) for group in sorted(rules.groups, key=lambda group: _order(unit, group))]
        self._uids = [group.uid for group in ordered]
        queries = [query for query in self.queries.values() if isinstance(query, Query)]
        trees = [
            *whole,
            *(query.tree for query in queries if query.looks_ahead),
        ]  # asked at the end, whatever their time
        readers = _readers([query.tree for query in queries], trees, max(setup.end_ms, end_ms))
        self._outside = Outside(external_labels=setup.external_labels, external_url=setup.external_url)
        self._at_ms = setup.start_ms
        self.engine = Engine(
            replace(rules, groups=(*ordered, readers)),
            boot=2,
            models=models,
            external_labels=setup.external_labels,
            external_url=setup.external_url,
        )
        for group in self.engine.groups.values():
            group.refreshes = True
        self.engine.window.guessed_interval_ms = max(setup.interval_ms, _SHORTEST_GUESS_MS)

    def feed(self, until_ms: int) -> None:
        """Every sample up to a time."""
        interval, start = self._setup.interval_ms, self._setup.start_ms
        for source in self._sources:
            while source.sent < len(source.steps) and source.steps[source.sent] * interval <= until_ms:
                at = start + int(source.steps[source.sent]) * interval
                for message in self._writer.messages(source.name, 1, source.layout, at, source.values[source.sent]):
                    self.engine.append_frame(message.value)
                source.sent += 1

    def evaluate(self, at_ms: int) -> None:
        """All rules once, at a time since the start. Raises `StageError` where one has no value."""
        self.feed(at_ms)
        self._at_ms = self._setup.start_ms + at_ms
        self.engine.evaluate(self._at_ms, self._uids)
        self.engine.drain_recorded()
        for uid, why in self.engine.failures.items():
            raise StageError(f"rule {uid} at {at_ms / 1000:g}s: {why}")
        counts = self.engine.window.counts
        if counts.refused_series or counts.shortened:
            raise StageError(
                "the test needs more memory than the window may have, try fewer series or a longer interval"
            )

    def value(self, expr: str, at_ms: int) -> list[Sample]:
        """What an expression of the setup says at a time. Raises `HallkeeperError`."""
        query = self.queries[expr]
        if isinstance(query, ExpressionError):
            raise query
        samples = query.over(self.engine.window, self._setup.start_ms + at_ms)
        return [Sample(labels=tuple(sorted(each.labels.items())), value=each.value) for each in samples]

    def alerts(self, name: str) -> Iterator[tuple[Labels, Labels, AlertState]]:
        """Alerts of that name that are pending or firing: labels, annotations, state."""
        around = self._outside.around(Pass(self.engine.window, self._at_ms))
        rules = {rule.rule.uid: rule for group in self.engine.groups.values() for rule in group.alerting}
        for uid, alert in self.engine.alerts():
            if rules[uid].rule.name == name:
                labels, annotations = alert.labels, rules[uid].annotations(alert, around)
                yield tuple(sorted(labels.items())), tuple(sorted(annotations.items())), alert.state


def without_sidecars(rules: RuleSet) -> RuleSet:
    """The rules as Prometheus sees them."""
    groups = tuple(
        replace(
            group,
            rules=tuple(
                replace(rule, sidecar=Sidecar()) if isinstance(rule, AlertRule) else rule for rule in group.rules
            ),
        )
        for group in rules.groups
    )
    return replace(rules, groups=groups)


def _order(unit: UnitFile, group: RuleGroup) -> int:
    return unit.order.index(group.name) if group.name in unit.order else 0


def _compiled(expr: str, step_ms: int) -> Query | ExpressionError:
    try:
        return Query.of(expr, with_step(Query.compile(expr).tree, step_ms))
    except ExpressionError as error:
        return error


def _stepped(group: RuleGroup, step_ms: int) -> RuleGroup:
    rules: tuple[AlertRule | RecordingRule, ...] = tuple(
        replace(rule, tree=with_step(rule.tree, step_ms)) for rule in group.rules
    )
    return replace(group, rules=rules)


def with_step(tree: Tree, step_ms: int) -> Tree:
    """The expression with a step for subqueries that name none: in a unit test it is the evaluation interval."""

    def within(inner: Tree) -> Tree:
        return with_step(inner, step_ms)

    match tree:
        case Subquery():
            return replace(tree, inner=within(tree.inner), step_ms=tree.step_ms or step_ms)
        case Negate():
            return replace(tree, inner=within(tree.inner))
        case Binary():
            return replace(tree, left=within(tree.left), right=within(tree.right))
        case Aggregate():
            parameter = None if tree.parameter is None else within(tree.parameter)
            return replace(tree, inner=within(tree.inner), parameter=parameter)
        case Call():
            return replace(tree, arguments=tuple(map(within, tree.arguments)))
        case _:
            return tree


def _sources(series: Sequence[InputSeries]) -> Iterator[_Source]:
    """Series grouped by the steps at which they have samples; of one that is there twice the last counts."""
    unique = {each.labels: each.values for each in series}
    by_steps: dict[tuple[int, ...], list[Labels]] = {}
    for labels, values in unique.items():
        steps = tuple(step for step, value in enumerate(values) if value is not None)
        if steps:
            by_steps.setdefault(steps, []).append(labels)
    for number, (steps, members) in enumerate(by_steps.items()):
        columns = [[unique[labels][step] for step in steps] for labels in members]
        yield _Source(
            name=f"input/{number}",
            layout=SeriesLayout.of([_named(labels) for labels in members]),
            steps=np.array(steps, dtype=np.int64),
            values=np.ascontiguousarray(np.array(columns, dtype=np.float64).T),
        )


def _named(labels: Labels) -> SeriesName:
    return dict(labels).get(NAME, ""), tuple(pair for pair in labels if pair[0] != NAME)


def _readers(asked: Sequence[Tree], whole: Sequence[Tree], end_ms: int) -> RuleGroup:
    """Rules that are never evaluated and make the window keep what the expressions read, of some of them everything."""
    kept = [_whole(select, end_ms) for tree in whole for select in walk(tree) if isinstance(select, Select)]
    place = Place(file="", line=0, column=0)
    return RuleGroup(
        uid=_READERS,
        name=_READERS,
        rules=tuple(
            RecordingRule(uid=f"{_READERS}/{number}", name=f"query:{number}", expr="", tree=tree, place=place)
            for number, tree in enumerate([*asked, *kept])
        ),
    )


def _whole(select: Select, end_ms: int) -> Tree:
    """An expression that reads every sample of a test."""
    return Call("count_over_time", (SelectRange(Select(select.name, select.matchers), end_ms + LOOKBACK_MS),))
