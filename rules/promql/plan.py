"""From tree to plan: equal subexpressions become one node, and the window learns what to keep."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from rules.promql import aggregate, binary, functions, relabel, selecting
from rules.promql.errors import ExpressionError
from rules.promql.node import Node
from rules.promql.parse import RANGE_FUNCTIONS, SET_OPERATORS, parse
from rules.promql.passes import LOOKBACK_MS
from rules.promql.range_call import RangeCall
from rules.promql.rates import COUNTERS
from rules.promql.selectors import InstantSelector, SampleTimes, Selection
from rules.promql.tree import (
    Aggregate,
    Binary,
    Call,
    Negate,
    Number,
    Select,
    SelectRange,
    Text,
    Tree,
    Type,
)
from rules.window.needs import Need, Needs, PatternNeed

SPARE_MS: Final = 5_000
"""Kept beyond what is read: the pass runs a little behind the newest sample, and clocks differ by a second."""
_SILENCE: Final = frozenset({"absent", "absent_over_time", "time", "timestamp"})
"""Functions whose value changes when nothing arrives any more."""
_OF_ONE: Final[Mapping[str, Callable[[Node], Node]]] = MappingProxyType(
    {"scalar": functions.ScalarOf, "vector": functions.VectorOf, "timestamp": functions.AtEvaluation}
)
_CLAMPS: Final[Mapping[str, tuple[bool, bool]]] = MappingProxyType(
    {"clamp": (True, True), "clamp_min": (True, False), "clamp_max": (False, True)}
)


class Planner:
    """Compiles the expressions of one owner; what they have in common is computed once a pass."""

    def __init__(self) -> None:
        self._nodes: dict[Tree, Node] = {}
        self._names: dict[str, Need] = {}
        self._patterns: list[PatternNeed] = []

    @property
    def needs(self) -> Needs:
        """What a window must keep for everything compiled so far."""
        return Needs(self._names, self._patterns)

    def compile(self, expr: str) -> Node:
        """The plan of an expression. Raises `ExpressionError`."""
        tree = parse(expr)
        if type_of(tree) not in {Type.VECTOR, Type.SCALAR}:
            raise ExpressionError("a rule's expression must be a vector or a scalar", expr=expr)
        return self.node(tree)

    def node(self, tree: Tree) -> Node:
        """The node of a tree, the one that is there already where an equal one was planned."""
        known = self._nodes.get(tree)
        if known is not None:
            known.shared = True
            return known
        node = self._nodes[tree] = self._made(tree)
        return node

    def _made(self, tree: Tree) -> Node:
        match tree:
            case Number():
                return functions.Constant(tree.value)
            case Select():
                past = abs(tree.offset_ms) if tree.offset_ms > 0 else 0
                self._need(tree, past + LOOKBACK_MS + SPARE_MS if past else 0, counter=False)
                return InstantSelector(tree)
            case Negate():
                return binary.Negated(self.node(tree.inner))
            case Binary():
                return self._binary(tree)
            case Aggregate():
                return self._aggregate(tree)
            case Call():
                return self._call(tree)
            case SelectRange() | Text():
                raise ExpressionError(f"{type_of(tree)} is no value of its own")

    def _need(self, select: Select, depth_ms: int, *, counter: bool) -> None:
        need = Need(depth_ms=depth_ms, counter=counter)
        selection = Selection(select)
        if select.name is None:
            self._patterns.append(PatternNeed(selection.takes, need))
        else:
            known = self._names.get(select.name)
            self._names[select.name] = need if known is None else known.joined(need)

    def _binary(self, tree: Binary) -> Node:
        left, right = self.node(tree.left), self.node(tree.right)
        if tree.op in SET_OPERATORS:
            return binary.SetOperation(tree.op, left, right, tree.matching)
        scalars = left.type is Type.SCALAR, right.type is Type.SCALAR
        if all(scalars):
            return binary.ScalarOperation(tree.op, left, right)
        if any(scalars):
            vector, scalar = (right, left) if scalars[0] else (left, right)
            return binary.WithScalar(tree.op, vector, scalar, scalar_left=scalars[0], bool_modifier=tree.bool_modifier)
        return binary.BetweenVectors(tree.op, left, right, tree.matching, bool_modifier=tree.bool_modifier)

    def _aggregate(self, tree: Aggregate) -> Node:
        inner = self.node(tree.inner)
        if tree.op == "count_values":
            assert isinstance(tree.parameter, Text)
            if not tree.parameter.value:
                raise ExpressionError("count_values() needs a label name, this one is empty")
            return selecting.CountValues(inner, tree.parameter.value, tree.labels, without=tree.without)
        parameter = None if tree.parameter is None else self.node(tree.parameter)
        if tree.op in {"topk", "bottomk"}:
            assert parameter is not None
            return selecting.Extremes(inner, parameter, tree.labels, without=tree.without, highest=tree.op == "topk")
        return aggregate.Aggregation(tree.op, inner, parameter, tree.labels, without=tree.without)

    def _call(self, tree: Call) -> Node:
        name, arguments = tree.function, tree.arguments
        if name in RANGE_FUNCTIONS:
            return self._range_call(tree)
        if name == "time":
            return functions.Time()
        if name == "timestamp" and isinstance(arguments[0], Select):
            self.node(arguments[0])
            return SampleTimes(arguments[0])
        return self._of_vector(tree, self.node(arguments[0]))

    def _of_vector(self, tree: Call, inner: Node) -> Node:
        """Functions whose first argument is a vector or a scalar."""
        name, others = tree.function, tree.arguments[1:]
        if name in functions.SIMPLE:
            return functions.Simple(name, inner)
        if name in _CLAMPS:
            bounds = iter([self.node(other) for other in others])
            low, high = (next(bounds) if there else None for there in _CLAMPS[name])
            return functions.Clamp(inner, low, high)
        if name == "absent":
            selector = tree.arguments[0]
            fixed = functions.labels_if_absent(selector.matchers) if isinstance(selector, Select) else {}
            return functions.Absent(inner, fixed)
        if name in {"label_replace", "label_join"}:
            return _relabel(name, inner, [other.value for other in others if isinstance(other, Text)])
        if name == "round":
            return functions.Round(inner, self.node(others[0]) if others else None)
        return _OF_ONE[name](inner)

    def _range_call(self, tree: Call) -> Node:
        argument = next(argument for argument in tree.arguments if isinstance(argument, SelectRange))
        depth = argument.range_ms + max(argument.select.offset_ms, 0) + SPARE_MS
        self._need(argument.select, depth, counter=tree.function in COUNTERS)
        others = [self.node(each) for each in tree.arguments if each is not argument]
        if tree.function == "absent_over_time":
            inner = RangeCall("present_over_time", argument)
            return functions.Absent(inner, functions.labels_if_absent(argument.select.matchers))
        return RangeCall(tree.function, argument, others)


def _relabel(name: str, inner: Node, texts: list[str]) -> Node:
    if name == "label_replace":
        return relabel.LabelReplace(inner, *texts)
    return relabel.LabelJoin(inner, texts[0], texts[1], tuple(texts[2:]))


def type_of(tree: Tree) -> Type:
    """What a tree evaluates to."""
    match tree:
        case Number():
            return Type.SCALAR
        case Text():
            return Type.STRING
        case SelectRange():
            return Type.MATRIX
        case Negate():
            return type_of(tree.inner)
        case Binary():
            both_scalar = type_of(tree.left) is Type.SCALAR and type_of(tree.right) is Type.SCALAR
            return Type.SCALAR if both_scalar else Type.VECTOR
        case Call():
            return Type.SCALAR if tree.function in {"time", "scalar"} else Type.VECTOR
        case _:
            return Type.VECTOR


def reads_silence(tree: Tree) -> bool:
    """Whether the expression can come true because nothing arrives: then it means nothing while the bus lags."""
    match tree:
        case Call():
            return tree.function in _SILENCE or any(reads_silence(argument) for argument in tree.arguments)
        case Binary():
            return tree.op == "unless" or reads_silence(tree.left) or reads_silence(tree.right)
        case Negate():
            return reads_silence(tree.inner)
        case Aggregate():
            return reads_silence(tree.inner)
        case _:
            return False
