"""Any expression, asked once or over a range of times, with results of the types that Prometheus has."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self, TypeAlias, TypeVar

import numpy as np

from rules.arrays import Floats, Times
from rules.promql.errors import EvaluationError
from rules.promql.node import Node
from rules.promql.parse import parse
from rules.promql.passes import Bounds, Pass
from rules.promql.plan import Planner
from rules.promql.span import Span, Stack
from rules.promql.tree import Tree, Type, type_of
from rules.promql.vector import Vector
from rules.window.needs import Needs
from rules.window.window import Window

MOST_STEPS: Final = 11_000
"""Evaluations of one range query: Prometheus's own limit."""


@dataclass(frozen=True, slots=True)
class ScalarResult:
    """One number."""

    value: float
    at_ms: int


@dataclass(frozen=True, slots=True)
class StringResult:
    """A string."""

    value: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Element:
    """One element of an instant vector."""

    labels: Mapping[str, str]
    """With `__name__` where it has one."""
    value: float


@dataclass(frozen=True, slots=True)
class VectorResult:
    """An instant vector, in the order in which it is to be shown."""

    elements: tuple[Element, ...]
    at_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One series of a matrix: times in Unix milliseconds, and as many values."""

    labels: Mapping[str, str]
    times: Times
    values: Floats


@dataclass(frozen=True, slots=True, eq=False)
class MatrixResult:
    """Series in the order of their labels."""

    series: tuple[Series, ...]


T = TypeVar("T")

Result: TypeAlias = ScalarResult | StringResult | VectorResult | MatrixResult


class Question:
    """A compiled expression of any type."""

    def __init__(self, expr: str, tree: Tree, *, delays_names: bool = False) -> None:
        """`tree` is what `expr` was parsed to; with `delays_names` metric names are dropped at the end."""
        planner = Planner()
        self.expr = expr
        self.tree = tree
        self.node: Node = planner.node(tree)
        self.needs: Needs = planner.needs
        """What a window must keep for it."""
        self._delays_names = delays_names

    @classmethod
    def compile(cls, expr: str, *, delays_names: bool = False) -> Self:
        """Parse and plan. Raises `ExpressionError` with what is wrong and where."""
        return cls(expr, parse(expr), delays_names=delays_names)

    @property
    def type(self) -> Type:
        """What it evaluates to at one time."""
        return type_of(self.tree)

    def instant(self, window: Window, at_ms: int) -> Result:
        """Its value at a time. Raises `EvaluationError` where Prometheus would."""
        value = self._evaluated(window, at_ms, Bounds(at_ms, at_ms), lambda value: value)
        match value:
            case Vector():
                return VectorResult(tuple(_elements(value)), at_ms)
            case Span():
                return MatrixResult(tuple(_series(value)))
            case str():
                return StringResult(value, at_ms)
            case _:
                return ScalarResult(value, at_ms)

    def range(
        self,
        window: Window,
        start_ms: int,
        end_ms: int,
        step_ms: int,
        *,
        before_step: Callable[[int], None] = lambda _: None,
    ) -> MatrixResult:
        """Its value at every step from start to end. Raises `EvaluationError` where Prometheus would.

        `before_step` is told the time of each step before it is evaluated; what it raises ends the query.
        """
        if self.type not in {Type.SCALAR, Type.VECTOR}:
            kind = "range vector" if self.type is Type.MATRIX else "string"
            raise EvaluationError(f'invalid expression type "{kind}" for range query, must be Scalar or instant Vector')
        if step_ms <= 0 or (end_ms - start_ms) // step_ms > MOST_STEPS:
            raise EvaluationError(f"a range query takes 1 to {MOST_STEPS} steps, try a longer step")
        bounds = Bounds(start_ms, end_ms, step_ms if end_ms > start_ms else 0)
        times = np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64)
        stack = Stack()
        if not len(times):
            return MatrixResult(())
        if self.type is Type.SCALAR:
            scalars = [self._evaluated(window, at, bounds, _number) for at in _told(times, before_step)]
            return MatrixResult((Series({}, times, np.array(scalars)),))
        pieces = [self._evaluated(window, at, bounds, _kept) for at in _told(times, before_step)]
        return MatrixResult(tuple(_series(stack.span(pieces, times))))

    def _evaluated(
        self, window: Window, at_ms: int, bounds: Bounds, take: Callable[[Vector | Span | float | str], T]
    ) -> T:
        now = Pass(window, at_ms, bounds, delays_names=self._delays_names)
        try:
            with np.errstate(all="ignore"):
                value = self.node.evaluate(now)
                return take(value.named_to_the_end() if isinstance(value, Vector | Span) else value)
        finally:
            now.finish()


def _told(times: Times, before_step: Callable[[int], None]) -> Iterator[int]:
    for at in times.tolist():
        before_step(at)
        yield at


def _number(value: Vector | Span | float | str) -> float:
    assert isinstance(value, float)
    return value


def _kept(value: Vector | Span | float | str) -> Vector:
    """The vector with values of its own: views of the board move on."""
    assert isinstance(value, Vector)
    return Vector(value.labels, value.values.copy(), value.present, value.marked)


def _elements(vector: Vector) -> Iterator[Element]:
    for row in vector.rows.tolist():
        yield Element(vector.labels.row(row), float(vector.values[row]))


def _series(span: Span) -> Iterator[Series]:
    read = span.read
    for row in span.labels.sorted_rows.tolist():
        count = int(read.counts[row])
        if count:
            yield Series(span.labels.row(row), read.times[:count, row], read.values[:count, row])
