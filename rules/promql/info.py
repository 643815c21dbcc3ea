"""`info(v, {…})`: the labels of info series (`target_info` where none are named) joined by `instance` and `job`."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from rules.arrays import Bools, Rows, Times
from rules.labels import METADATA, NAME, LabelTable
from rules.promql.errors import EvaluationError
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.selectors import Selection, predicate
from rules.promql.tree import At, Call, Match, Matcher, Select, Subquery, Tree, Type, children, type_of
from rules.promql.vector import Vector

IDENTIFYING: Final = frozenset({"instance", "job"})
"""Labels by which a series finds its info series."""
_DEFAULT: Final = Matcher(NAME, Match.EQUAL, "target_info")
_ANY_INFO: Final = Matcher(NAME, Match.REGEX, ".+_info")
_POSITIVE: Final = frozenset({Match.EQUAL, Match.REGEX})


def info_select(call: Call) -> Select:
    """The selector of the info series that a call reads, at the time of the selectors in its first argument."""
    names: tuple[Matcher, ...] = ()
    data: tuple[Matcher, ...] = ()
    if len(call.arguments) > 1:
        selector = call.arguments[1]
        assert isinstance(selector, Select)
        data = tuple(each for each in selector.matchers if each.name != NAME)
        names = tuple(each for each in selector.matchers if each.name == NAME)
        if selector.name is not None:
            names = (Matcher(NAME, Match.EQUAL, selector.name), *names)
    if not names:
        names = (_DEFAULT,)
    elif not any(each.match in _POSITIVE for each in names):
        names = (_ANY_INFO, *names)
    at, offset = reference(call.arguments[0])
    return Select(None, (*names, *data), offset, at)


def reference(tree: Tree) -> tuple[At | None, int]:
    """`@` and `offset` that all selectors of an expression share; none where they differ or there is a part without."""
    found: list[tuple[At | None, int]] = []
    complete = _collect(tree, (), found)
    first = found[0] if found else (None, 0)
    return first if complete and all(each == first for each in found) else (None, 0)


def _collect(tree: Tree, around: tuple[Subquery, ...], found: list[tuple[At | None, int]]) -> bool:
    """Note each selector's time; whether every path that yields a vector has one."""
    if isinstance(tree, Select):
        at, offset = tree.at, tree.offset_ms
        for subquery in reversed(around):
            if at is None:
                at, offset = subquery.at, offset + subquery.offset_ms
        found.append((at - offset, 0) if isinstance(at, int) else (at, offset))
        return True
    if isinstance(tree, Subquery):
        around = (*around, tree)
    inner = children(tree)[:1] if isinstance(tree, Call) and tree.function == "info" else children(tree)
    vectors = [child for child in inner if type_of(child) in {Type.VECTOR, Type.MATRIX} or isinstance(child, Select)]
    complete = [_collect(child, around, found) for child in vectors]
    return bool(complete) and all(complete)


@dataclass(slots=True, eq=False)
class Enriched:
    """Which info rows the base rows met, and the labels that followed."""

    base: LabelTable
    info: LabelTable
    partners: Rows
    """`[info metric][base row]`, -1 for none."""
    labels: LabelTable
    conflicts: dict[str, Bools]
    """For each label the base rows that two info series want to give different values of it, where there are such."""


class Info(Node):
    """The call."""

    def __init__(self, inner: Node, call: Call) -> None:
        self._inner = inner
        self._select = info_select(call)
        self.selection = Selection(self._select)
        self._data = tuple(each for each in self._select.matchers if each.name != NAME)
        self._is_info = [predicate(each) for each in self._select.matchers if each.name == NAME]
        self._optional = all(predicate(each)("") for each in self._data)
        self._known: Enriched | None = None
        super().__init__((inner,), reads=self.selection.reads)

    def compute(self, now: Pass) -> Vector:
        base = self._inner.vector(now)
        info, present, times = self._info_series(now)
        plain = self._plain(base.labels)
        partners = self._partners(base, info, np.flatnonzero(present), times, plain)
        known = self._known
        if (
            known is None
            or known.base is not base.labels
            or known.info is not info
            or not np.array_equal(known.partners, partners)
        ):
            known = self._known = self._enriched(base.labels, info, partners)
        for name, conflict in known.conflicts.items():
            if (conflict & base.mask).any():
                raise EvaluationError(f"conflicting label: {name}")
        result = Vector(known.labels, base.values, base.present, base.marked)
        if not self._optional:
            result = result.where(plain | (partners >= 0).any(axis=0))
        return result.checked()

    def _info_series(self, now: Pass) -> tuple[LabelTable, Bools, Times]:
        at = now.moment(self._select.at, self._select.offset_ms)
        labels: list[LabelTable] = []
        present: list[Bools] = [np.empty(0, dtype=np.bool_)]
        times: list[Times] = [np.empty(0, dtype=np.int64)]
        for block, selected in self.selection.blocks(now):
            labels.append(selected.refresh(block, self._select.matchers))
            _, there, measured = now.past(block, selected.all_rows(block), at)
            present.append(there)
            times.append(measured)
        return self.selection.join(now.window.strings, labels), np.concatenate(present), np.concatenate(times)

    def _plain(self, labels: LabelTable) -> Bools:
        """Rows that are info series themselves: they stay as they are."""
        codes, inverse = np.unique(labels.codes(NAME), return_inverse=True)
        values = labels.strings.values
        own = [all(matches(values[code]) for matches in self._is_info) for code in codes.tolist()]
        return np.array(own, dtype=np.bool_)[inverse]

    def _partners(self, base: Vector, info: LabelTable, rows: Rows, times: Times, plain: Bools) -> Rows:
        """For each info metric and base row the newest info series. Raises `EvaluationError` where two are as new."""
        wanted = base.labels.hashed(IDENTIFYING)
        asked = wanted[base.mask & ~plain & (wanted != 0)]
        signatures = info.hashed(IDENTIFYING)
        rows = rows[np.isin(signatures[rows], asked)]
        names = info.codes(NAME)
        partners = []
        for name in np.unique(names[rows]).tolist():
            mine = rows[names[rows] == name]
            mine = mine[np.lexsort((times[mine], signatures[mine]))]
            same = signatures[mine[1:]] == signatures[mine[:-1]]
            newest = np.append(~same, True)
            if (same & (times[mine[1:]] == times[mine[:-1]]) & newest[1:]).any():
                raise EvaluationError("found duplicate series for info metric")
            mine = mine[newest]
            place = np.minimum(np.searchsorted(signatures[mine], wanted), len(mine) - 1)
            partners.append(np.where((signatures[mine][place] == wanted) & ~plain, mine[place], -1))
        return np.array(partners, dtype=np.int64).reshape(len(partners), base.labels.size)

    def _enriched(self, base: LabelTable, info: LabelTable, partners: Rows) -> Enriched:
        chosen = {each.name for each in self._data}
        columns = {}
        conflicts: dict[str, Bools] = {}
        for name in info.columns:
            if name in METADATA or (chosen and name not in chosen):
                continue
            own, codes = base.codes(name), info.codes(name)
            given, conflict = np.zeros(base.size, dtype=np.int32), np.zeros(base.size, dtype=np.bool_)
            for partner in partners:
                offered = np.where((partner >= 0) & (own == 0), codes[partner], 0)
                conflict |= (given != 0) & (offered != 0) & (given != offered)
                given = np.where(given == 0, offered, given)
            columns[name] = np.where(own == 0, given, own).astype(np.int32)
            if conflict.any():
                conflicts[name] = conflict
        return Enriched(base, info, partners, base.put(columns), conflicts)
