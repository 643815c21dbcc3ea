"""Rule groups spread over several engines: each reads every frame and keeps only the rows that its own selectors need.

Groups that build on each other stay together: whoever reads what another group records, and whoever reads `ALERTS`, which
an engine makes of its own alerts alone, is judged where that is made. So each engine gives what one engine would have given.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rules.alerts.series import ALERT_SERIES
from rules.files.model import AlertRule, RecordingRule, RuleGroup, RuleSet
from rules.models.port import Model
from rules.promql.demands import demands
from rules.promql.parse import parse
from rules.promql.selectors import Selection
from rules.promql.tree import Tree


def shares(rules: RuleSet, engines: int, models: Sequence[Model] = ()) -> list[RuleSet]:
    """The rules of each engine: groups in their files' order, as many rules each as their ties allow.

    The same rules give the same shares everywhere. Raises `ValueError` for less than one engine.
    """
    if engines < 1:
        raise ValueError(f"{engines} engines: one at least")
    heap = [(0, engine) for engine in range(engines)]
    engine_of: dict[str, int] = {}
    tied = sorted(bound(rules.groups, models), key=lambda groups: (-_rules(groups), groups[0].uid))
    for groups in tied:
        load, engine = heapq.heappop(heap)
        heapq.heappush(heap, (load + _rules(groups), engine))
        engine_of |= {group.uid: engine for group in groups}
    return [
        replace(rules, groups=tuple(group for group in rules.groups if engine_of[group.uid] == engine))
        for engine in range(engines)
    ]


def _rules(groups: list[RuleGroup]) -> int:
    return sum(len(group.rules) for group in groups)


def bound(groups: tuple[RuleGroup, ...], models: Sequence[Model] = ()) -> list[list[RuleGroup]]:
    """Groups that must be judged together; whoever reads what one of the models gives, too, so that each runs but once."""
    makes = [frozenset(_made(group)) for group in groups] + [model.writes for model in models]
    reads = [list(_trees(group)) for group in groups] + [
        [parse(expr) for expr in model.reads.values()] for model in models
    ]
    together = list(range(len(makes)))
    for reader, trees in enumerate(reads):
        selections = [Selection(select) for tree in trees for select, _ in demands(tree)]
        for maker, names in enumerate(makes):
            if maker != reader and any(selection.takes(name) for selection in selections for name in names):
                old, new = together[reader], together[maker]
                together = [new if number == old else number for number in together]
    sets: dict[int, list[RuleGroup]] = {}
    for number, group in zip(together[: len(groups)], groups, strict=True):
        sets.setdefault(number, []).append(group)
    return list(sets.values())


def _made(group: RuleGroup) -> Iterator[str]:
    """Names of the series that a group makes."""
    for rule in group.rules:
        if isinstance(rule, RecordingRule):
            yield rule.name
        else:
            yield from ALERT_SERIES


def _trees(group: RuleGroup) -> Iterator[Tree]:
    """Every expression that is evaluated for a group."""
    for rule in group.rules:
        yield rule.tree
        if isinstance(rule, AlertRule) and rule.sidecar.clear_tree is not None:
            yield rule.sidecar.clear_tree
