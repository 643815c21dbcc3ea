"""An expression taken apart: what each subexpression says about the target, and what dropped it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from rules.explain.absence import why_absent
from rules.explain.target import Target
from rules.explain.text import text_of
from rules.labels import NAME
from rules.promql.binary import COMPARISON
from rules.promql.errors import EvaluationError
from rules.promql.passes import Pass
from rules.promql.plan import Planner
from rules.promql.span import Span
from rules.promql.tree import (
    Aggregate,
    Binary,
    Call,
    Matching,
    Negate,
    Number,
    Select,
    SelectRange,
    Subquery,
    Text,
    Tree,
)
from rules.promql.tree import children as children_of
from rules.promql.vector import Vector
from rules.testing.notation import quoted, series_text, value_text
from rules.window.window import Window

SHOWN: Final = 8
"""Elements of a step that are shown."""
NO_INPUT: Final = "nothing to work on"
NO_LEFT: Final = "the left side has no element"
NO_RIGHT: Final = "the right side has no element"
NEITHER: Final = "neither side has an element"
TOO_FEW: Final = "it takes two samples in the range"
FROM_BELOW: Final = frozenset({NO_INPUT, NO_LEFT, NO_RIGHT, NEITHER, TOO_FEW})
"""What a step says when the reason lies below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element of a vector; of a range, its newest sample and how many there are."""

    labels: dict[str, str]
    value: float
    samples: int | None = None
    """Of a range: how many samples it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One subexpression."""

    expr: str
    scalar: float | None = None
    elements: list[Element] = field(default_factory=list)
    """Those about the target."""
    others: int = 0
    """Elements about something else."""
    note: str = ""
    """Why it has no element about the target."""
    children: list["Step"] = field(default_factory=list)


class Anatomy:
    """Takes expressions apart over one window at one time."""

    def __init__(self, window: Window, at_ms: int, target: Target) -> None:
        self._window, self._at_ms, self._target = window, at_ms, target
        self._planner = Planner()

    def step(self, tree: Tree) -> Step:
        """The expression with everything below it."""
        children = [self.step(child) for child in children_of(tree) if not isinstance(child, Number | Text)]
        if isinstance(tree, SelectRange):
            children = []  # its samples are shown; its selector alone would say the same again
        try:
            value = self.value(tree)
        except EvaluationError as error:
            return Step(expr=text_of(tree), note=str(error), children=children)
        if not isinstance(value, Vector | Span):
            return Step(expr=text_of(tree), scalar=value, children=children)
        everything = _elements(value)
        mine = self._about(everything)
        return Step(
            expr=text_of(tree),
            elements=mine[:SHOWN],
            others=len(everything) - min(len(mine), SHOWN),
            note="" if mine else self._why(tree),
            children=children,
        )

    def value(self, tree: Tree) -> Vector | Span | float:
        """What an expression says. Raises `EvaluationError`."""
        with np.errstate(all="ignore"):
            value = self._planner.node(tree).evaluate(Pass(self._window, self._at_ms))
        assert not isinstance(value, str)
        return value

    def elements(self, tree: Tree) -> list[Element]:
        """The elements about the target; of a scalar one without labels. Raises `EvaluationError`."""
        value = self.value(tree)
        if not isinstance(value, Vector | Span):
            return [Element(labels={}, value=value)]
        return self._about(_elements(value))

    def _about(self, elements: Sequence[Element]) -> list[Element]:
        """Those of the target; where none carries its labels any more, those that may be about it."""
        mine = [each for each in elements if self._target.meets(each.labels)]
        return mine or [each for each in elements if not each.labels.keys() - {NAME}]

    def _why(self, tree: Tree) -> str:
        """Why there is no element about the target."""
        match tree:
            case Select():
                return why_absent(tree, self._target, self._window, self._at_ms)
            case SelectRange():
                why = why_absent(tree.select, self._target, self._window, self._at_ms)
                return f"no sample in the range: {why}"
            case Binary():
                return self._why_binary(tree)
            case Aggregate() | Negate() | Subquery():
                return NO_INPUT
            case Call():
                return self._why_call(tree)
            case _:
                return ""

    def _why_call(self, tree: Call) -> str:
        if tree.function in {"absent", "absent_over_time"}:
            found = self.elements(tree.arguments[0])
            return "it is there, so it is not absent" if found else "other series are there, so it is not absent"
        if tree.function in {"rate", "increase", "delta", "irate", "idelta", "deriv", "predict_linear"}:
            return TOO_FEW
        return NO_INPUT

    def _why_binary(self, tree: Binary) -> str:
        left, right = self.elements(tree.left), self.elements(tree.right)
        if tree.op == "or":
            return NEITHER
        if not left:
            return NO_LEFT
        if tree.op == "unless":
            return "the right side has a match, so the left is left out"
        everything = _elements_of(self.value(tree.right))
        if not everything:
            return NO_RIGHT
        pairs = [(mine, other) for mine in left for other in everything if _matches(mine, other, tree)]
        if not pairs:
            return _unmatched(left[0], everything, tree.matching)
        if tree.op in COMPARISON:
            mine, other = pairs[0]
            return f"{value_text(mine.value)} {tree.op} {value_text(other.value)} is false"
        return "no element" if right else "the right side has no element about the target"


def _elements(value: Vector | Span) -> list[Element]:
    if isinstance(value, Span):
        return [
            Element(
                labels=value.labels.row(row),
                value=float(value.read.values[int(value.read.counts[row]) - 1, row]),
                samples=int(value.read.counts[row]),
            )
            for row in np.flatnonzero(value.read.counts).tolist()
        ]
    rows = np.flatnonzero(value.mask).tolist()
    return [Element(labels=value.labels.row(row), value=float(value.values[row])) for row in rows]


def _elements_of(value: Vector | Span | float) -> list[Element]:
    return _elements(value) if isinstance(value, Vector | Span) else [Element(labels={}, value=value)]


def _signature(labels: Mapping[str, str], matching: Matching) -> dict[str, str]:
    """The labels by which an element finds its match."""
    if matching.on:
        return {name: labels.get(name, "") for name in matching.labels}
    return {name: value for name, value in labels.items() if name != NAME and name not in matching.labels}


def _matches(left: Element, right: Element, tree: Binary) -> bool:
    if not left.labels or not right.labels:  # a scalar, or everything aggregated away
        scalar = isinstance(tree.left, Number) or isinstance(tree.right, Number)
        if scalar or left.labels == right.labels:
            return True
    return _signature(left.labels, tree.matching) == _signature(right.labels, tree.matching)


def _unmatched(left: Element, others: Sequence[Element], matching: Matching) -> str:
    """Which label found no match on the right."""
    wanted = _signature(left.labels, matching)
    signatures = [_signature(other.labels, matching) for other in others]
    for name, value in wanted.items():
        there = sorted({signature.get(name, "") for signature in signatures})
        if value not in there:
            shown = ", ".join(quoted(each) for each in there[:SHOWN])
            return f"no match on the right: none has {name}={quoted(value)}, there it is {shown}"
    extra = sorted({name for signature in signatures for name in signature.keys() - wanted.keys()})
    hint = f", which carries {', '.join(extra)} beyond that" if extra else ""
    shown = series_text(tuple(wanted.items()))
    return f"no match on the right for {shown}{hint}"
