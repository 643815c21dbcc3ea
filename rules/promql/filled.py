"""Binary operators with `fill`, `fill_left`, `fill_right`: what one side lacks has a value given in the expression."""

import numpy as np

from rules.arrays import Rows
from rules.labels import METADATA, LabelTable
from rules.promql.binary import ARITHMETIC, COMPARISON
from rules.promql.errors import EvaluationError
from rules.promql.matching import Signatures, many_to_many, result_labels, signature_labels
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.tree import Card, Matching, Number
from rules.promql.vector import Vector


class Filled(Node):
    """Two vectors matched by labels; rows of the result are all those of both sides, present where an operation took place."""

    def __init__(self, op: str, left: Node, right: Node, matching: Matching, *, bool_modifier: bool) -> None:
        super().__init__((left, right))
        self._left, self._right = left, right
        self._matching, self._bool = matching, bool_modifier
        self._swapped = matching.card is Card.ONE_TO_MANY
        self._operation = ARITHMETIC[op] if op in ARITHMETIC else COMPARISON[op]
        self._compares = op in COMPARISON
        self._signatures: tuple[LabelTable, LabelTable, Signatures] | None = None
        self._labels: tuple[Rows, LabelTable] | None = None

    def compute(self, now: Pass) -> Vector:
        left, right = self._left.vector(now), self._right.vector(now)
        many, one = (right, left) if self._swapped else (left, right)
        fills = self._matching.fill_left, self._matching.fill_right
        fill_many, fill_one = fills[::-1] if self._swapped else fills
        many_signs, one_signs = self._numbered(left, right)
        partner = self._partners(one, many_signs, one_signs)
        met = np.isin(one_signs, many_signs[many.mask])
        there = many.mask & ((partner >= 0) | (fill_one is not None))
        alone = one.mask & ~met & (fill_many is not None)
        values = np.concatenate([many.values, np.full(one.labels.size, _value(fill_many))])
        others = np.concatenate(
            [np.where(partner >= 0, one.values[partner] if one.labels.size else 0.0, _value(fill_one)), one.values]
        )
        present = np.concatenate([there, alone])
        labels = self._result_labels(many.labels, one.labels, partner, keeps_name=now.delays_names)
        self._check(labels, np.concatenate([many_signs, one_signs]), present)
        return self._result(now, labels, (values, others), present)

    def _numbered(self, left: Vector, right: Vector) -> tuple[Rows, Rows]:
        known = self._signatures
        if known is None or known[0] is not left.labels or known[1] is not right.labels:
            found = Signatures.of(left.labels, right.labels, self._matching)
            known = self._signatures = left.labels, right.labels, found
            self._labels = None
        return (known[2].right, known[2].left) if self._swapped else (known[2].left, known[2].right)

    def _partners(self, one: Vector, many_signs: Rows, one_signs: Rows) -> Rows:
        """For each row of the many side the present row of the other, or -1."""
        assert self._signatures is not None
        rows = np.flatnonzero(one.mask)
        table = np.full(self._signatures[2].count, -1, dtype=np.int64)
        table[one_signs[rows]] = rows
        clashing = table[one_signs[rows]] != rows
        if clashing.any():
            row = int(rows[clashing.argmax()])
            raise EvaluationError(many_to_many(one.labels, self._matching, row, int(table[one_signs[row]])))
        return table[many_signs]

    def _result_labels(self, many: LabelTable, one: LabelTable, partner: Rows, *, keeps_name: bool) -> LabelTable:
        if self._labels is None or not np.array_equal(self._labels[0], partner):
            strings = many.strings
            all_many = LabelTable.concat(strings, [many, signature_labels(one, self._matching)])
            all_one = LabelTable.concat(strings, [one, signature_labels(many, self._matching)])
            others = np.where(partner >= 0, partner, one.size + np.arange(many.size))
            chosen = all_one.take(np.concatenate([others, np.arange(one.size)]))
            drops = not self._compares or (self._bool and not keeps_name)
            named = all_many.drop(METADATA) if drops else all_many
            self._labels = partner, result_labels(named, chosen, self._matching)
        return self._labels[1]

    def _check(self, labels: LabelTable, signs: Rows, present: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> None:
        met = signs[present]
        if self._matching.card is Card.ONE_TO_ONE:
            if len(np.unique(met)) != len(met):
                raise EvaluationError(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                )
        elif np.unique(np.stack([met.astype(np.uint64), labels.hashes[present]]), axis=1).shape[1] != len(met):
            raise EvaluationError("multiple matches for labels: grouping labels must ensure unique matches")

    def _result(
        self,
        now: Pass,
        labels: LabelTable,
        operands: tuple["np.ndarray[tuple[int], np.dtype[np.float64]]", "np.ndarray[tuple[int], np.dtype[np.float64]]"],
        present: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
    ) -> Vector:
        left, right = operands[::-1] if self._swapped else operands
        outcome = self._operation(left, right)
        if not self._compares:
            return Vector(labels, outcome, present).checked()
        if self._bool:
            return Vector(labels, outcome.astype(np.float64), present, now.delays_names).checked()
        return Vector(labels, left, present & outcome).checked()


def _value(fill: Number | None) -> float:
    return 0.0 if fill is None else fill.value
