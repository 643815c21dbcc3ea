"""Functions of each value alone: rounding, roots, logarithms, angles, bounds."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from rules.arrays import Floats
from rules.promql import floats
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.vector import Vector

_LOG2_E: Final = 1.442695040888963407359924681001892137
"""1/ln 2, rounded once, as Go's constant arithmetic does."""
_LOG10_2: Final = 0.301029995663981195213738894724493
"""ln 2/ln 10, rounded once."""


def _sign(values: Floats) -> Floats:
    return np.where(values < 0, -1.0, np.where(values > 0, 1.0, values))


def _log2(values: Floats) -> Floats:
    """Go's way to a base-2 logarithm, so that powers of two stay exact and other last bits agree."""
    fraction, exponent = np.frexp(values)
    result: Floats = np.log(fraction) * _LOG2_E + exponent
    special = ~np.isfinite(values) | (values <= 0)
    return np.where(special, np.log2(values), np.where(fraction == 0.5, exponent - 1.0, result))


def _log10(values: Floats) -> Floats:
    """Go's way: the base-2 logarithm, scaled."""
    return _log2(values) * _LOG10_2


def _radians(values: Floats) -> Floats:
    return values * (math.pi / 180)


def _degrees(values: Floats) -> Floats:
    return values * (180 / math.pi)


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
        "sin": np.sin,
        "cos": np.cos,
        "tan": np.tan,
        "asin": np.arcsin,
        "acos": np.arccos,
        "atan": np.arctan,
        "sinh": np.sinh,
        "cosh": np.cosh,
        "tanh": np.tanh,
        "asinh": np.arcsinh,
        "acosh": np.arccosh,
        "atanh": np.arctanh,
        "rad": _radians,
        "deg": _degrees,
    }
)


class Simple(Node):
    """A function of each value alone."""

    def __init__(self, function: str, inner: Node) -> None:
        super().__init__((inner,))
        self._inner, self._function = inner, SIMPLE[function]

    def compute(self, now: Pass) -> Vector:
        vector = self._inner.vector(now)
        return now.nameless(vector.with_values(self._function(vector.values)))


class Round(Node):
    """`round(v, to_nearest)`: ties go up."""

    def __init__(self, inner: Node, nearest: Node | None) -> None:
        super().__init__((inner,) if nearest is None else (inner, nearest))
        self._inner, self._nearest = inner, nearest

    def compute(self, now: Pass) -> Vector:
        vector = self._inner.vector(now)
        nearest = 1.0 if self._nearest is None else self._nearest.scalar(now)
        inverse = float(np.float64(1.0) / np.float64(nearest))
        return now.nameless(vector.with_values(np.floor(vector.values * inverse + 0.5) / inverse))


class Clamp(Node):
    """`clamp`, `clamp_min`, `clamp_max`; nothing at all where the bounds are the wrong way round."""

    def __init__(self, inner: Node, low: Node | None, high: Node | None) -> None:
        super().__init__([node for node in (inner, low, high) if node is not None])
        self._inner, self._low, self._high = inner, low, high

    def compute(self, now: Pass) -> Vector:
        vector = self._inner.vector(now)
        low = -math.inf if self._low is None else self._low.scalar(now)
        high = math.inf if self._high is None else self._high.scalar(now)
        if high < low:
            return vector.nothing()
        return now.nameless(vector.with_values(floats.go_max(low, floats.go_min(high, vector.values))))
