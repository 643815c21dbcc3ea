"""Functions of instant vectors and scalars."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from rules.arrays import Floats
from rules.labels import NAME, LabelTable
from rules.promql import floats
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.tree import Match, Matcher, Type
from rules.promql.vector import Vector


def _sign(values: Floats) -> Floats:
    return np.where(values < 0, -1.0, np.where(values > 0, 1.0, values))


def _log2(values: Floats) -> Floats:
    """Go's way to a base-2 logarithm, so that powers of two stay exact and other last bits agree."""
    fraction, exponent = np.frexp(values)
    result: Floats = np.log(fraction) * (1 / math.log(2)) + exponent
    special = ~np.isfinite(values) | (values <= 0)
    return np.where(special, np.log2(values), np.where(fraction == 0.5, exponent - 1.0, result))


def _log10(values: Floats) -> Floats:
    """Go's way: the base-2 logarithm, scaled."""
    return _log2(values) * (math.log(2) / math.log(10))


SIMPLE: Final[Mapping[str, Callable[[Floats], Floats]]] = MappingProxyType(
    {
        "abs": np.abs,
        "ceil": np.ceil,
        "floor": np.floor,
        "exp": np.exp,
        "ln": np.log,
        "log2": _log2,
        "log10": _log10,
        "sqrt": np.sqrt,
        "sgn": _sign,
    }
)


class Simple(Node):
    """A function of each value alone."""

    def __init__(self, function: str, inner: Node) -> None:
        super().__init__((inner,))
        self._inner, self._function = inner, SIMPLE[function]

    def compute(self, now: Pass) -> Vector:
        vector = self._inner.vector(now)
        return vector.with_values(self._function(vector.values)).nameless()


class Round(Node):
    """`round(v, to_nearest)`: ties go up."""

    def __init__(self, inner: Node, nearest: Node | None) -> None:
        super().__init__((inner,) if nearest is None else (inner, nearest))
        self._inner, self._nearest = inner, nearest

    def compute(self, now: Pass) -> Vector:
        vector = self._inner.vector(now)
        nearest = 1.0 if self._nearest is None else self._nearest.scalar(now)
        inverse = float(np.float64(1.0) / np.float64(nearest))
        return vector.with_values(np.floor(vector.values * inverse + 0.5) / inverse).nameless()


class Clamp(Node):
    """`clamp`, `clamp_min`, `clamp_max`; nothing at all where the bounds are the wrong way round."""

    def __init__(self, inner: Node, low: Node | None, high: Node | None) -> None:
        super().__init__([node for node in (inner, low, high) if node is not None])
        self._inner, self._low, self._high = inner, low, high

    def compute(self, now: Pass) -> Vector:
        vector = self._inner.vector(now)
        low = -math.inf if self._low is None else self._low.scalar(now)
        high = math.inf if self._high is None else self._high.scalar(now)
        bounded = floats.go_max(low, floats.go_min(high, vector.values))
        result = vector.with_values(bounded)
        if high < low:
            result = result.where(np.zeros(vector.labels.size, dtype=np.bool_))
        return result.nameless()


class AtEvaluation(Node):
    """`timestamp(expression)`: a computed value is as old as the evaluation."""

    def __init__(self, inner: Node) -> None:
        super().__init__((inner,))
        self._inner = inner

    def compute(self, now: Pass) -> Vector:
        vector = self._inner.vector(now)
        return vector.with_values(np.full(vector.labels.size, now.at_ms / 1000.0)).nameless()


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
        if matcher.name == NAME:
            continue
        if matcher.match is Match.EQUAL and matcher.name not in seen:
            labels[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            labels.pop(matcher.name, None)
    return {name: value for name, value in labels.items() if value}
