"""Binary operators between scalars and vectors, and unary minus."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from rules.labels import LabelTable
from rules.promql.matching import Join, Signatures, picked
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.tree import Matching, Type
from rules.promql.vector import Vector

Operation = Callable[[Any, Any], Any]

ARITHMETIC: Final[Mapping[str, Operation]] = MappingProxyType(
    {
        "+": np.add,
        "-": np.subtract,
        "*": np.multiply,
        "/": np.divide,
        "%": np.fmod,
        "^": np.float_power,  # numpy's power takes square roots where the exponent is a half: NaN for minus infinity
        "atan2": np.arctan2,
    }
)
COMPARISON: Final[Mapping[str, Operation]] = MappingProxyType(
    {
        "==": np.equal,
        "!=": np.not_equal,
        ">": np.greater,
        "<": np.less,
        ">=": np.greater_equal,
        "<=": np.less_equal,
    }
)


class ScalarOperation(Node):
    """Two scalars; a comparison yields 1 or 0."""

    type = Type.SCALAR

    def __init__(self, op: str, left: Node, right: Node) -> None:
        super().__init__((left, right))
        self._left, self._right = left, right
        self._operation = ARITHMETIC[op] if op in ARITHMETIC else COMPARISON[op]

    def compute(self, now: Pass) -> float:
        left, right = np.float64(self._left.scalar(now)), np.float64(self._right.scalar(now))
        return float(self._operation(left, right))


class WithScalar(Node):
    """A vector and a scalar, on whichever side it stands."""

    def __init__(self, op: str, vector: Node, scalar: Node, *, scalar_left: bool, bool_modifier: bool) -> None:
        super().__init__((vector, scalar))
        self._vector, self._scalar = vector, scalar
        self._scalar_left, self._bool = scalar_left, bool_modifier
        self._arithmetic = ARITHMETIC.get(op)
        self._comparison = COMPARISON.get(op)

    def compute(self, now: Pass) -> Vector:
        vector, scalar = self._vector.vector(now), self._scalar.scalar(now)
        left, right = (scalar, vector.values) if self._scalar_left else (vector.values, scalar)
        if self._arithmetic is not None:
            return now.nameless(vector.with_values(self._arithmetic(left, right)))
        assert self._comparison is not None
        holds = self._comparison(left, right)
        if self._bool:
            return now.nameless(vector.with_values(holds.astype(np.float64)))
        return vector.where(holds)


class BetweenVectors(Node):
    """Two vectors matched by labels."""

    def __init__(self, op: str, left: Node, right: Node, matching: Matching, *, bool_modifier: bool) -> None:
        super().__init__((left, right))
        self._left, self._right = left, right
        self._bool = bool_modifier
        self._arithmetic = ARITHMETIC.get(op)
        self._comparison = COMPARISON.get(op)
        self._join = Join(matching, drops_name=bool_modifier or op in ARITHMETIC)
        self._delayed = Join(matching, drops_name=False) if bool_modifier else self._join

    def compute(self, now: Pass) -> Vector:
        left, right = self._left.vector(now), self._right.vector(now)
        join = self._delayed if now.delays_names else self._join
        pairs = join.pairs(left, right)
        left_rows, right_rows = (pairs.one, pairs.many) if join.swapped else (pairs.many, pairs.one)
        present = None if left.present is None else picked(left.present, left_rows)
        if right.present is not None:
            there = picked(right.present, right_rows)
            present = there if present is None else present & there
        values, others = picked(left.values, left_rows), picked(right.values, right_rows)
        if self._arithmetic is not None:
            result = Vector(pairs.labels, self._arithmetic(values, others), present)
        else:
            assert self._comparison is not None
            holds = self._comparison(values, others)
            if self._bool:
                result = Vector(pairs.labels, holds.astype(np.float64), present, now.delays_names)
            else:
                result = Vector(pairs.labels, values, present).where(holds)
        return result if pairs.distinct else result.checked()


class SetOperation(Node):
    """`and`, `or`, `unless`."""

    def __init__(self, op: str, left: Node, right: Node, matching: Matching) -> None:
        super().__init__((left, right))
        self._op, self._matching = op, matching
        self._left, self._right = left, right
        self._known: tuple[LabelTable, LabelTable, Signatures] | None = None
        self._joined: LabelTable | None = None

    def compute(self, now: Pass) -> Vector:
        left, right = self._left.vector(now), self._right.vector(now)
        signatures = self._signatures(left.labels, right.labels)
        if self._op == "or":
            return self._either(left, right, signatures)
        met = signatures.seen(signatures.right, right.present)[signatures.left]
        return left.where(met if self._op == "and" else ~met)

    def _signatures(self, left: LabelTable, right: LabelTable) -> Signatures:
        if self._known is None or self._known[0] is not left or self._known[1] is not right:
            self._known = left, right, Signatures.of(left, right, self._matching)
            self._joined = None
        return self._known[2]

    def _either(self, left: Vector, right: Vector, signatures: Signatures) -> Vector:
        if self._joined is None:
            self._joined = LabelTable.concat(left.labels.strings, [left.labels, right.labels])
        taken = signatures.seen(signatures.left, left.present)[signatures.right]
        return Vector(
            self._joined,
            np.concatenate([left.values, right.values]),
            np.concatenate([left.mask, right.mask & ~taken]),
            False if left.marked is False and right.marked is False else np.concatenate([left.marks, right.marks]),
        )


class Negated(Node):
    """Unary minus."""

    def __init__(self, inner: Node) -> None:
        super().__init__((inner,))
        self.type = inner.type
        self._inner = inner

    def compute(self, now: Pass) -> Vector | float:
        value = self._inner.evaluate(now)
        if isinstance(value, Vector):
            return now.nameless(value.with_values(-value.values))
        assert isinstance(value, float)
        return -value
