"""Two sheets matched by labels, line by line with the same pairs."""

from collections.abc import Sequence

import numpy as np

from rules.arrays import Bools, Rows
from rules.labels import LabelTable
from rules.promql.binary import COMPARISON
from rules.promql.matching import AnyArray, Join, Pairs, Signatures
from rules.promql.passes import Pass
from rules.promql.sheets.arithmetic import EXACT
from rules.promql.sheets.sheet import Sheet, SheetNode, same_tables
from rules.promql.tree import Matching


class MatchSheet(SheetNode):
    """Arithmetic and comparisons between vectors, where who meets whom does not depend on who is there."""

    def __init__(self, op: str, left: SheetNode, right: SheetNode, matching: Matching, *, bool_modifier: bool) -> None:
        super().__init__((left, right))
        self._left, self._right, self._matching = left, right, matching
        self._bool = bool_modifier
        self._arithmetic, self._comparison = EXACT.get(op), COMPARISON.get(op)
        self._tables: tuple[tuple[LabelTable, ...], tuple[LabelTable, ...]] | None = None
        self._pairs: Pairs | None = None
        self._labels: tuple[LabelTable, ...] = ()

    def compute(self, now: Pass) -> Sheet | None:
        left, right = self._left.evaluate(now), self._right.evaluate(now)
        if left is None or right is None or not self._met(left, right):
            return None
        assert self._pairs is not None
        many, one = self._pairs.many, self._pairs.one
        left_rows, right_rows = (one, many) if Join.swaps(self._matching) else (many, one)
        values, others = _picked(left.values, left_rows), _picked(right.values, right_rows)
        present = _both(left, left_rows, right, right_rows)
        if self._arithmetic is not None:
            return Sheet(self._labels, self._arithmetic(values, others), present)
        assert self._comparison is not None
        holds = self._comparison(values, others)
        if self._bool:
            return Sheet(self._labels, holds.astype(np.float64), present)
        return Sheet(self._labels, values, present).where(holds)

    def _met(self, left: Sheet, right: Sheet) -> bool:
        """Whether all lines have the same pairs, whatever is there."""
        known = self._tables
        if known is None or not (same_tables(known[0], left.labels) and same_tables(known[1], right.labels)):
            self._tables = left.labels, right.labels
            self._pairs = self._found(left.labels, right.labels)
        return self._pairs is not None

    def _found(self, left: Sequence[LabelTable], right: Sequence[LabelTable]) -> Pairs | None:
        lines = max(len(left), len(right))
        drops = self._bool or self._arithmetic is not None
        all_pairs: list[Pairs] = []
        for number in range(lines):
            join = Join(self._matching, drops_name=drops)
            pairs = join.lasting(left[number % len(left)], right[number % len(right)])
            if pairs is None or (all_pairs and not pairs.same(all_pairs[0])):
                return None
            all_pairs.append(pairs)
        self._labels = tuple(pairs.labels for pairs in all_pairs)
        if all(pairs is all_pairs[0] for pairs in all_pairs):
            self._labels = self._labels[:1]
        return all_pairs[0] if len({id(table.nameless) for table in self._labels}) == 1 else None


def _picked(cells: AnyArray, rows: Rows | None) -> AnyArray:
    return cells if rows is None else cells.take(rows, axis=1)


def _both(left: Sheet, left_rows: Rows | None, right: Sheet, right_rows: Rows | None) -> Bools | None:
    """Pairs of which both are present."""
    if right.present is None:
        return None if left.present is None else _picked(left.present, left_rows)
    there = _picked(right.present, right_rows)
    return there if left.present is None else _picked(left.present, left_rows) & there


class SetSheet(SheetNode):
    """`and` and `unless`."""

    def __init__(self, op: str, left: SheetNode, right: SheetNode, matching: Matching) -> None:
        super().__init__((left, right))
        self._without, self._matching = op == "unless", matching
        self._left, self._right = left, right
        self._tables: tuple[tuple[LabelTable, ...], tuple[LabelTable, ...]] | None = None
        self._signatures: Signatures | None = None

    def compute(self, now: Pass) -> Sheet | None:
        left, right = self._left.evaluate(now), self._right.evaluate(now)
        if left is None or right is None:
            return None
        met = self._seen(self._numbered(left, right), right)
        return left.where(~met if self._without else met)

    def _numbered(self, left: Sheet, right: Sheet) -> Signatures:
        known = self._tables
        if (
            self._signatures is None
            or known is None
            or not (same_tables(known[0], left.labels) and same_tables(known[1], right.labels))
        ):
            self._tables = left.labels, right.labels
            self._signatures = Signatures.of(left.labels[0], right.labels[0], self._matching)
        return self._signatures

    @staticmethod
    def _seen(signatures: Signatures, right: Sheet) -> Bools:
        """For each cell of the left side whether the right one has its signature."""
        if right.present is None:
            return signatures.seen(signatures.right, None)[signatures.left][None]
        table = np.zeros((len(right.present), signatures.count), dtype=np.bool_)
        lines, rows = np.nonzero(right.present)
        table[lines, signatures.right[rows]] = True
        return table.take(signatures.left, axis=1)
