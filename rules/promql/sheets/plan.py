"""From expressions of one form to a sheet's plan."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from rules.labels import METADATA
from rules.promql.functions import labels_if_absent
from rules.promql.passes import Pass
from rules.promql.plan import Planner
from rules.promql.rates import RATES, Rate
from rules.promql.sheets.absence import AbsentSheet
from rules.promql.sheets.aggregate import STACKED, AggregateSheet
from rules.promql.sheets.arithmetic import EXACT, OF_ONE, OfOne, Scalars, WithScalars
from rules.promql.sheets.form import selects
from rules.promql.sheets.leaf import Leaf
from rules.promql.sheets.match import MatchSheet, SetSheet
from rules.promql.sheets.rate import RateSheet
from rules.promql.sheets.select import Beside, SelectSheet, Uniform
from rules.promql.sheets.sheet import SheetNode
from rules.promql.tree import (
    Aggregate,
    Binary,
    Call,
    Matching,
    Negate,
    Number,
    Select,
    SelectRange,
    Tree,
    Type,
    type_of,
)
from rules.rollups.buckets import FIELDS
from rules.window.needs import RAW_MS

_COMPARISONS: Final = frozenset({"==", "!=", ">", "<", ">=", "<="})


@dataclass(frozen=True, slots=True)
class Lie:
    """How the series of an expression lie in the window."""

    key: Hashable
    """Equal for expressions of one form that can be evaluated as one sheet."""
    rows: int
    """The most that one of its selectors takes."""
    start: int
    """Where the first one's are on the board."""


class SheetPlanner:
    """Compiles expressions of one form, all of them at once; what sheets have in common is computed once a pass."""

    def __init__(self, planner: Planner) -> None:
        """`planner` compiled the expressions one by one before."""
        self._planner = planner
        self._nodes: WeakValueDictionary[tuple[Tree, ...], SheetNode] = WeakValueDictionary()
        self._leaves: dict[Select | SelectRange, Leaf] = {}

    def leaf(self, tree: Select | SelectRange) -> Leaf:
        """The selector's rows, known once for all who ask."""
        found = self._leaves.get(tree)
        if found is None:
            found = self._leaves[tree] = Leaf(tree)
        return found

    def lie(self, tree: Tree, now: Pass) -> Lie | None:
        """How an expression's series lie now; None where one of its metrics has none."""
        leaves = [self.leaf(each) for each in selects(tree)]
        for leaf in leaves:
            leaf.refresh(now)
        key = tuple(leaf.key for leaf in leaves)
        if None in key:
            return None
        rows = max((leaf.labels.size for leaf in leaves if leaf.labels is not None), default=1)
        return Lie(key, rows, leaves[0].block.start if leaves else 0)

    def node(self, trees: tuple[Tree, ...]) -> SheetNode:
        """The node of vectors of one form, the one that is there already where it was planned."""
        known = self._nodes.get(trees)
        if known is not None:
            known.shared = True
            return known
        node = self._nodes[trees] = self._made(trees)
        return node

    def _made(self, trees: tuple[Tree, ...]) -> SheetNode:
        first = trees[0]
        if all(tree == first for tree in trees):
            return Uniform(self._planner.node(first))
        made: SheetNode | None = None
        match first:
            case Select(offset_ms=0, at=None):
                made = SelectSheet([self.leaf(tree) for tree in trees if isinstance(tree, Select)])
            case Negate():
                made = OfOne("-", self.node(tuple(tree.inner for tree in trees if isinstance(tree, Negate))))
            case Binary():
                made = self._binary(first, [tree for tree in trees if isinstance(tree, Binary)])
            case Aggregate():
                made = self._aggregate(first, [tree for tree in trees if isinstance(tree, Aggregate)])
            case Call():
                made = self._call(first, [tree for tree in trees if isinstance(tree, Call)])
        return Beside([self._planner.node(tree) for tree in trees]) if made is None else made

    def _binary(self, first: Binary, trees: Sequence[Binary]) -> SheetNode | None:
        left, right = tuple(tree.left for tree in trees), tuple(tree.right for tree in trees)
        scalars = type_of(first.left) is Type.SCALAR, type_of(first.right) is Type.SCALAR
        exact = first.op in EXACT or first.op in _COMPARISONS
        if exact and any(scalars):
            vectors, others = (right, left) if scalars[0] else (left, right)
            return WithScalars(
                first.op,
                self.node(vectors),
                self._scalars(others),
                scalar_left=scalars[0],
                bool_modifier=first.bool_modifier,
            )
        if any(scalars) or not _plain(first.matching):
            return None
        if first.op in {"and", "unless"}:
            return SetSheet(first.op, self.node(left), self.node(right), first.matching)
        if not exact:
            return None
        return MatchSheet(
            first.op, self.node(left), self.node(right), first.matching, bool_modifier=first.bool_modifier
        )

    def _scalars(self, trees: Sequence[Tree]) -> Scalars:
        fixed = [tree.value for tree in trees if isinstance(tree, Number)]
        if len(fixed) == len(trees):
            return Scalars((), fixed)
        return Scalars([self._planner.node(tree) for tree in trees], None)

    def _aggregate(self, first: Aggregate, trees: Sequence[Aggregate]) -> SheetNode | None:
        if first.op not in STACKED or first.parameter is not None or set(first.labels) & set(METADATA):
            return None
        return AggregateSheet(
            first.op, self.node(tuple(tree.inner for tree in trees)), first.labels, without=first.without
        )

    def _call(self, first: Call, trees: Sequence[Call]) -> SheetNode | None:
        argument = first.arguments[0] if first.arguments else None
        if first.function in RATES and isinstance(argument, SelectRange) and argument.select.at is None:
            leaves = [self.leaf(each) for tree in trees for each in tree.arguments if isinstance(each, SelectRange)]
            rate = Rate(first.function, argument.range_ms, argument.select.offset_ms)
            return RateSheet(rate, leaves) if self._reads_samples(first.function, argument) else None
        if first.function in OF_ONE:
            return OfOne(first.function, self.node(tuple(tree.arguments[0] for tree in trees)))
        if first.function == "absent":
            fixed = labels_if_absent(argument.matchers) if isinstance(argument, Select) else {}
            return AbsentSheet(self.node(tuple(tree.arguments[0] for tree in trees)), fixed, len(trees))
        return None

    @staticmethod
    def _reads_samples(function: str, argument: SelectRange) -> bool:
        """Whether raw samples answer the call, and never rollups."""
        return not (function in FIELDS and argument.range_ms > RAW_MS)


def _plain(matching: Matching) -> bool:
    """Whether a match looks at no metric name and fills nothing in."""
    names = {*matching.labels, *matching.include}
    return matching.fill_left is None and matching.fill_right is None and not names & set(METADATA)
