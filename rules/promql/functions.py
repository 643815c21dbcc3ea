"""Scalars and their functions, and vectors of at most one element."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from rules.labels import METADATA, LabelTable
from rules.promql import floats
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.tree import Match, Matcher, Type
from rules.promql.vector import Vector


class AtEvaluation(Node):
    """`timestamp(expression)`: a computed value is as old as the evaluation."""

    def __init__(self, inner: Node) -> None:
        super().__init__((inner,))
        self._inner = inner

    def compute(self, now: Pass) -> Vector:
        vector = self._inner.vector(now)
        return now.nameless(vector.with_values(np.full(vector.labels.size, now.at_ms / 1000.0)))


class Constant(Node):
    """A number."""

    type = Type.SCALAR

    def __init__(self, value: float) -> None:
        super().__init__()
        self._value = value

    def compute(self, now: Pass) -> float:  # noqa: ARG002 - the same at every time
        return self._value


class Time(Node):
    """`time()`: the evaluation's time in seconds."""

    type = Type.SCALAR

    def compute(self, now: Pass) -> float:
        return now.at_ms / 1000.0


class Pi(Node):
    """`pi()`."""

    type = Type.SCALAR

    def compute(self, now: Pass) -> float:  # noqa: ARG002 - the same at every time
        return math.pi


class QueryStart(Node):
    """`start()`: the query's first evaluation, in seconds."""

    type = Type.SCALAR

    def compute(self, now: Pass) -> float:
        return now.bounds.start_ms / 1000.0


class QueryEnd(Node):
    """`end()`: the query's last evaluation, in seconds."""

    type = Type.SCALAR

    def compute(self, now: Pass) -> float:
        return now.bounds.end_ms / 1000.0


class QueryRange(Node):
    """`range()`: the seconds that the query spans."""

    type = Type.SCALAR

    def compute(self, now: Pass) -> float:
        return (now.bounds.end_ms - now.bounds.start_ms) / 1000.0


class QueryStep(Node):
    """`step()`: the seconds between two evaluations of the query; 0 where there is one."""

    type = Type.SCALAR

    def compute(self, now: Pass) -> float:
        return now.bounds.step_ms / 1000.0


OF_NOTHING: Final[Mapping[str, type[Node]]] = MappingProxyType(
    {"time": Time, "pi": Pi, "start": QueryStart, "end": QueryEnd, "range": QueryRange, "step": QueryStep}
)
"""Functions without arguments."""


class Literal(Node):
    """A string."""

    type = Type.STRING

    def __init__(self, value: str) -> None:
        super().__init__()
        self._value = value

    def compute(self, now: Pass) -> str:  # noqa: ARG002 - the same at every time
        return self._value


class Extreme(Node):
    """`max_of(a, b)` and `min_of(a, b)` of two scalars."""

    type = Type.SCALAR

    def __init__(self, left: Node, right: Node, *, highest: bool) -> None:
        super().__init__((left, right))
        self._left, self._right = left, right
        self._choose = floats.go_max if highest else floats.go_min

    def compute(self, now: Pass) -> float:
        return float(self._choose(self._left.scalar(now), self._right.scalar(now)))


class ScalarOf(Node):
    """`scalar(v)`: the value of the only element, or NaN."""

    type = Type.SCALAR

    def __init__(self, inner: Node) -> None:
        super().__init__((inner,))
        self._inner = inner

    def compute(self, now: Pass) -> float:
        vector = self._inner.vector(now)
        if vector.count != 1:
            return math.nan
        return float(vector.values[vector.mask][0])


class OneElement(Node):
    """A vector of at most one element, always under the same labels."""

    def __init__(self, children: Sequence[Node], labels: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(children)
        self._given = dict(labels)
        self._labels: LabelTable | None = None
        self._none = np.zeros(1, dtype=np.bool_)

    def element(self, now: Pass, value: float, *, present: bool = True) -> Vector:
        """The one element, or none."""
        strings = now.window.strings
        if self._labels is None or self._labels.strings is not strings:
            self._labels = LabelTable.of(strings, [self._given.items()])
        return Vector(self._labels, np.array([value]), None if present else self._none)


class VectorOf(OneElement):
    """`vector(s)`."""

    def __init__(self, inner: Node) -> None:
        super().__init__((inner,))
        self._inner = inner

    def compute(self, now: Pass) -> Vector:
        return self.element(now, self._inner.scalar(now))


class Absent(OneElement):
    """`absent(v)` and `absent_over_time(v[…])`: 1 where the inner vector is empty."""

    def __init__(self, inner: Node, labels: Mapping[str, str]) -> None:
        super().__init__((inner,), labels)
        self._inner = inner

    def compute(self, now: Pass) -> Vector:
        return self.element(now, 1.0, present=self._inner.vector(now).empty)


def labels_if_absent(matchers: Sequence[Matcher]) -> dict[str, str]:
    """The labels that a selector fixes to one value each: what an absent series would have carried."""
    labels: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in matchers:
        if matcher.name in METADATA:
            continue
        if matcher.match is Match.EQUAL and matcher.name not in seen:
            labels[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            labels.pop(matcher.name, None)
    return {name: value for name, value in labels.items() if value}
