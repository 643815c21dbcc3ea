"""Operators on every cell of a sheet, each line with a number of its own.

Only operations whose result IEEE 754 settles to the last bit: others may differ with how numbers lie in memory.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from rules.arrays import Floats
from rules.promql.binary import ARITHMETIC, COMPARISON
from rules.promql.elementwise import SIMPLE
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.sheets.sheet import Sheet, SheetNode

EXACT: Final[Mapping[str, Callable[[Any, Any], Any]]] = MappingProxyType(
    {op: ARITHMETIC[op] for op in ("+", "-", "*", "/")}
)
OF_ONE: Final[Mapping[str, Callable[[Floats], Floats]]] = MappingProxyType(
    {"-": np.negative, **{name: SIMPLE[name] for name in ("abs", "ceil", "floor", "sqrt", "sgn")}}
)


class Scalars:
    """One scalar a line."""

    def __init__(self, nodes: Sequence[Node], fixed: Sequence[float] | None) -> None:
        """`fixed` are their values where they are plain numbers."""
        self._nodes = tuple(nodes)
        self._fixed = None if fixed is None else self._column(fixed)

    @staticmethod
    def _column(values: Sequence[float]) -> Floats | float:
        """A column, or one number where all lines have the same."""
        column = np.array(values, dtype=np.float64)
        return float(column[0]) if len({value.hex() for value in values}) == 1 else column[:, None]

    def at(self, now: Pass) -> Floats | float:
        """Their values at the pass."""
        return self._column([node.scalar(now) for node in self._nodes]) if self._fixed is None else self._fixed


class WithScalars(SheetNode):
    """A vector and a scalar, on whichever side it stands."""

    def __init__(
        self, op: str, vectors: SheetNode, scalars: Scalars, *, scalar_left: bool, bool_modifier: bool
    ) -> None:
        super().__init__((vectors,))
        self._vectors, self._scalars = vectors, scalars
        self._scalar_left, self._bool = scalar_left, bool_modifier
        self._arithmetic, self._comparison = EXACT.get(op), COMPARISON.get(op)

    def compute(self, now: Pass) -> Sheet | None:
        sheet = self._vectors.evaluate(now)
        if sheet is None:
            return None
        scalars = self._scalars.at(now)
        left, right = (scalars, sheet.values) if self._scalar_left else (sheet.values, scalars)
        if self._arithmetic is not None:
            return sheet.with_values(self._arithmetic(left, right))
        assert self._comparison is not None
        holds = self._comparison(left, right)
        return sheet.with_values(holds.astype(np.float64)) if self._bool else sheet.where(holds)


class OfOne(SheetNode):
    """A function of each value alone."""

    def __init__(self, function: str, inner: SheetNode) -> None:
        super().__init__((inner,))
        self._inner, self._function = inner, OF_ONE[function]

    def compute(self, now: Pass) -> Sheet | None:
        sheet = self._inner.evaluate(now)
        return None if sheet is None else sheet.with_values(self._function(sheet.values))
