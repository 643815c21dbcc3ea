"""From tree to plan: equal subexpressions become one node, and the window learns what to keep."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from rules.promql import (
    aggregate,
    binary,
    buckets,
    dates,
    elementwise,
    filled,
    functions,
    info,
    relabel,
    selecting,
    sorting,
)
from rules.promql.demands import demands
from rules.promql.errors import ExpressionError
from rules.promql.names import DATES, HISTOGRAMS, RANGE_FUNCTIONS
from rules.promql.node import Node
from rules.promql.parse import SET_OPERATORS, parse
from rules.promql.range_call import RangeCall, SpanCall
from rules.promql.selectors import InstantSelector, SampleTimes, Selection
from rules.promql.subquery import SelectorSpan, SubqueryNode
from rules.promql.tree import (
    Aggregate,
    Binary,
    Call,
    Negate,
    Number,
    Select,
    SelectRange,
    Subquery,
    Text,
    Tree,
    Type,
    children,
    type_of,
)
from rules.window.needs import Need, Needs, PatternNeed

_OWN_WORDS: Final = frozenset({"sample_quality", "ALERTS", "ALERTS_FOR_STATE"})
"""Series of the engine's own models and alerts."""
_SILENCE: Final = frozenset({"absent", "absent_over_time", "time", "timestamp"})
"""Functions whose value changes when nothing arrives any more."""
_OF_ONE: Final[Mapping[str, Callable[[Node], Node]]] = MappingProxyType(
    {"scalar": functions.ScalarOf, "vector": functions.VectorOf, "timestamp": functions.AtEvaluation}
)
_CLAMPS: Final[Mapping[str, tuple[bool, bool]]] = MappingProxyType(
    {"clamp": (True, True), "clamp_min": (True, False), "clamp_max": (False, True)}
)
_SORTS: Final = frozenset({"sort", "sort_desc", "sort_by_label", "sort_by_label_desc"})


class Planner:
    """Compiles the expressions of one owner; what they have in common is computed once a pass."""

    def __init__(self) -> None:
        self._nodes: dict[Tree, Node] = {}
        self._names: dict[str, Need] = {}
        self._patterns: list[PatternNeed] = []
        self.look_backs: dict[str, dict[int, frozenset[str]]] = {}
        """Functions over ranges that rollups can answer, by metric and range in ms."""

    @property
    def needs(self) -> Needs:
        """What a window must keep for everything compiled so far."""
        return Needs(self._names, self._patterns)

    def compile(self, expr: str) -> Node:
        """The plan of a rule's expression. Raises `ExpressionError`."""
        tree = parse(expr)
        if type_of(tree) not in {Type.VECTOR, Type.SCALAR}:
            raise ExpressionError("a rule's expression must be a vector or a scalar", expr=expr)
        return self.node(tree)

    def node(self, tree: Tree) -> Node:
        """The node of a tree, the one that is there already where an equal one was planned."""
        for select, need in demands(tree):
            self._need(select, need)
        return self._node(tree)

    def _node(self, tree: Tree) -> Node:
        known = self._nodes.get(tree)
        if known is not None:
            known.shared = True
            return known
        node = self._nodes[tree] = self._made(tree)
        return node

    def _made(self, tree: Tree) -> Node:
        match tree:
            case Number() | Text():
                return functions.Constant(tree.value) if isinstance(tree, Number) else functions.Literal(tree.value)
            case Select() | SelectRange():
                return InstantSelector(tree) if isinstance(tree, Select) else SelectorSpan(tree)
            case Subquery():
                return SubqueryNode(tree, self._node(tree.inner))
            case Negate():
                return binary.Negated(self._node(tree.inner))
            case Binary():
                return self._binary(tree)
            case Aggregate():
                return self._aggregate(tree)
            case Call():
                return self._call(tree)

    def _need(self, select: Select, need: Need) -> None:
        selection = Selection(select)
        if select.name is None:
            self._patterns.append(PatternNeed(selection.takes, need))
        else:
            known = self._names.get(select.name)
            self._names[select.name] = need if known is None else known.joined(need)

    def _binary(self, tree: Binary) -> Node:
        left, right = self._node(tree.left), self._node(tree.right)
        if tree.op in SET_OPERATORS:
            return binary.SetOperation(tree.op, left, right, tree.matching)
        scalars = left.type is Type.SCALAR, right.type is Type.SCALAR
        if all(scalars):
            return binary.ScalarOperation(tree.op, left, right)
        if any(scalars):
            vector, scalar = (right, left) if scalars[0] else (left, right)
            return binary.WithScalar(tree.op, vector, scalar, scalar_left=scalars[0], bool_modifier=tree.bool_modifier)
        if tree.matching.fill_left is not None or tree.matching.fill_right is not None:
            return filled.Filled(tree.op, left, right, tree.matching, bool_modifier=tree.bool_modifier)
        return binary.BetweenVectors(tree.op, left, right, tree.matching, bool_modifier=tree.bool_modifier)

    def _aggregate(self, tree: Aggregate) -> Node:
        inner = self._node(tree.inner)
        if tree.op == "count_values":
            assert isinstance(tree.parameter, Text)
            if not tree.parameter.value:
                raise ExpressionError("count_values() needs a label name, this one is empty")
            return selecting.CountValues(inner, tree.parameter.value, tree.labels, without=tree.without)
        parameter = None if tree.parameter is None else self._node(tree.parameter)
        if tree.op in selecting.CHOOSING:
            assert parameter is not None
            return selecting.CHOOSING[tree.op](inner, parameter, tree.labels, without=tree.without)
        return aggregate.Aggregation(tree.op, inner, parameter, tree.labels, without=tree.without)

    def _call(self, tree: Call) -> Node:
        name, arguments = tree.function, tree.arguments
        if name in RANGE_FUNCTIONS:
            return self._range_call(tree)
        if name in functions.OF_NOTHING:
            return functions.OF_NOTHING[name]()
        if name in DATES:
            return dates.Date(name, self._node(arguments[0]) if arguments else None)
        if name == "timestamp" and isinstance(arguments[0], Select):
            return SampleTimes(arguments[0])
        if name in HISTOGRAMS:
            return self._histogram(tree)
        if name == "info":
            return info.Info(self._node(arguments[0]), tree)
        return self._of_vector(tree, self._node(arguments[0]))

    def _histogram(self, tree: Call) -> Node:
        name, arguments = tree.function, tree.arguments
        if name == "histogram_quantiles":
            assert isinstance(arguments[1], Text)
            ranks = [self._node(each) for each in arguments[2:]]
            return buckets.Quantiles(self._node(arguments[0]), arguments[1].value, ranks)
        *parameters, inner = [self._node(each) for each in arguments]
        return (
            buckets.Quantile(inner, *parameters)
            if name == "histogram_quantile"
            else buckets.Fraction(inner, *parameters)
        )

    def _of_vector(self, tree: Call, inner: Node) -> Node:
        """Functions whose first argument is a vector or a scalar."""
        name, others = tree.function, tree.arguments[1:]
        if name in elementwise.SIMPLE:
            return elementwise.Simple(name, inner)
        if name in _CLAMPS:
            bounds = iter([self._node(other) for other in others])
            low, high = (next(bounds) if there else None for there in _CLAMPS[name])
            return elementwise.Clamp(inner, low, high)
        if name == "absent":
            selector = tree.arguments[0]
            fixed = functions.labels_if_absent(selector.matchers) if isinstance(selector, Select) else {}
            return functions.Absent(inner, fixed)
        if name in _SORTS:
            return sorting.Sorted(name, inner, tuple(other.value for other in others if isinstance(other, Text)))
        if name in {"label_replace", "label_join"}:
            return _relabel(name, inner, [other.value for other in others if isinstance(other, Text)])
        if name in {"max_of", "min_of"}:
            return functions.Extreme(inner, self._node(others[0]), highest=name == "max_of")
        if name == "round":
            return elementwise.Round(inner, self._node(others[0]) if others else None)
        return _OF_ONE[name](inner)

    def _range_call(self, tree: Call) -> Node:
        argument = next(each for each in tree.arguments if isinstance(each, SelectRange | Subquery))
        others = [self._node(each) for each in tree.arguments if each is not argument]
        if tree.function == "absent_over_time":
            inner = self._node(Call("last_over_time", (argument,)))  # keeps names apart
            fixed = functions.labels_if_absent(argument.select.matchers) if isinstance(argument, SelectRange) else {}
            return functions.Absent(inner, fixed)
        if isinstance(argument, Subquery):
            return SpanCall(tree.function, self._node(argument), argument, others)
        call = RangeCall(tree.function, argument, others)
        if call.rolled is not None:
            ranges = self.look_backs.setdefault(call.rolled, {})
            ranges[argument.range_ms] = ranges.get(argument.range_ms, frozenset()) | {tree.function}
        return call


def _relabel(name: str, inner: Node, texts: list[str]) -> Node:
    if name == "label_replace":
        return relabel.LabelReplace(inner, *texts)
    return relabel.LabelJoin(inner, texts[0], texts[1], tuple(texts[2:]))


def reads_silence(tree: Tree) -> bool:
    """Whether the expression can come true because nothing arrives: then it means nothing while the bus lags."""
    if isinstance(tree, Call) and tree.function in _SILENCE:
        return True
    if isinstance(tree, Binary) and tree.op == "unless" and not _is_own_word(tree.right):
        return True
    return any(reads_silence(child) for child in children(tree))


def _is_own_word(tree: Tree) -> bool:
    """Whether it reads what the engine itself says and nothing else: that does not fall silent with the bus."""
    return isinstance(tree, Select) and tree.name in _OWN_WORDS
