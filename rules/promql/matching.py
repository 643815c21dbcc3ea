"""Which element of one vector meets which of the other: join indexes, kept while both sides' label tables stay.

That signatures are unique on the "one" side is checked when it counts, at every evaluation: when a job changes, the old
and the new info series overlap until the old one is stale.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from rules.arrays import Bools, Floats, Hashes, Rows
from rules.labels import METADATA, LabelTable
from rules.promql.errors import EvaluationError
from rules.promql.tree import Card, Matching
from rules.promql.vector import Vector

AnyArray = TypeVar("AnyArray", Floats, Bools)

MANY_TO_MANY = (
    "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{first}, {second}]"
    ";many-to-many matching not allowed: matching labels must be unique on one side"
)


@dataclass(slots=True, eq=False)
class Signatures:
    """Both sides' rows with the number of the signature that they match on."""

    left: Rows
    right: Rows
    count: int

    @classmethod
    def of(cls, left: LabelTable, right: LabelTable, matching: Matching) -> "Signatures":
        """Number the signatures of both tables together."""
        both = [table.signatures(matching.labels, on=matching.on) for table in (left, right)]
        if set(matching.labels) & set(METADATA):
            return cls._of(both)
        known = left.nameless.derived.setdefault(
            ("matches", matching.on, frozenset(matching.labels)), WeakKeyDictionary()
        )
        found: Signatures | None = known.get(right.nameless)
        if found is None:
            found = known[right.nameless] = cls._of(both)
        return found

    @classmethod
    def _of(cls, both: list[Hashes]) -> "Signatures":
        distinct, numbers = np.unique(np.concatenate(both), return_inverse=True)
        size = len(both[0])
        return cls(numbers[:size], numbers[size:], len(distinct))

    def seen(self, rows: Rows, present: Bools | None) -> Bools:
        """For each signature whether a present row has it."""
        table = np.zeros(self.count, dtype=np.bool_)
        table[rows if present is None else rows[present]] = True
        return table


@dataclass(slots=True, eq=False)
class Pairs:
    """Rows of the "many" side with their partners on the "one" side, and the label sets of the results."""

    many: Rows | None
    """None where it is every row of the many side, in order."""
    one: Rows
    signature: Rows
    labels: LabelTable
    distinct: bool
    """No two pairs may clash: a one-to-one match has no signature twice, a grouped one no label set."""

    def same(self, other: "Pairs") -> bool:
        """Whether the same rows meet."""
        if self is other:
            return True
        if (self.many is None) is not (other.many is None) or not np.array_equal(self.one, other.one):
            return False
        return self.many is None or other.many is None or np.array_equal(self.many, other.many)


def picked(array: AnyArray, rows: Rows | None) -> AnyArray:
    """The rows of an array; the array itself for all of them."""
    return array if rows is None else array[rows]


def signature_labels(labels: LabelTable, matching: Matching) -> LabelTable:
    """The labels of each row that a match looks at."""
    names = matching.labels
    return labels.keep(set(names)) if matching.on else labels.drop({*METADATA, *names})


def shown_labels(labels: Mapping[str, str]) -> str:
    """A label set as Prometheus writes it in its messages."""
    return "{" + ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items()) + "}"


def many_to_many(labels: LabelTable, matching: Matching, first: int, second: int) -> str:
    """What Prometheus says where two rows of the "one" side match the same elements."""
    shown = sorted(shown_labels(labels.row(row)) for row in (first, second))
    group = shown_labels(signature_labels(labels, matching).row(second))
    side = "left" if matching.card is Card.ONE_TO_MANY else "right"
    return MANY_TO_MANY.format(group=group, side=side, first=shown[0], second=shown[1])


def result_labels(many: LabelTable, one: LabelTable, matching: Matching) -> LabelTable:
    """The label sets of pairs, row by row."""
    if matching.card is Card.ONE_TO_ONE:
        many = many.keep(set(matching.labels)) if matching.on else many.drop(matching.labels)
    return many.put({name: one.codes(name) for name in matching.include})


class Join:
    """The state of one vector match between evaluations."""

    def __init__(self, matching: Matching, *, drops_name: bool) -> None:
        self.matching = matching
        self.swapped = self.swaps(matching)
        self._drops_name = drops_name
        self._tables: tuple[LabelTable, LabelTable] | None = None
        self._many = self._one = np.empty(0, dtype=np.int64)
        self._signatures = 0
        self._static = True
        self._partners: Rows | None = None
        self._pairs: Pairs | None = None

    @staticmethod
    def swaps(matching: Matching) -> bool:
        """Whether the left side is the "one" side."""
        return matching.card is Card.ONE_TO_MANY

    def lasting(self, left: LabelTable, right: LabelTable) -> Pairs | None:
        """The pairs where they are the same whatever is present, and none can clash; else None."""
        self._prepare(left, right)
        if not self._static:
            return None
        if self._pairs is None:
            many, one = (right, left) if self.swapped else (left, right)
            self._find_partners(np.arange(one.size), many, one)
        return self._pairs if self._pairs is not None and self._pairs.distinct else None

    def pairs(self, left: Vector, right: Vector) -> Pairs:
        """Who meets whom now. Raises `EvaluationError` where Prometheus refuses the match."""
        many, one = (right, left) if self.swapped else (left, right)
        if self._tables is None or self._tables[0] is not left.labels or self._tables[1] is not right.labels:
            self._prepare(left.labels, right.labels)
        if self._pairs is None and self._static:
            self._find_partners(np.arange(one.labels.size), many.labels, one.labels)
        elif not self._static and not many.empty and not one.empty:  # nothing on one side: nothing can clash
            self._find_partners(np.flatnonzero(one.mask), many.labels, one.labels)
        if self._pairs is None:
            self._pairs = self._paired(many.labels, one.labels, np.full(many.labels.size, -1, dtype=np.int64))
        if not self._pairs.distinct:
            self._check(self._pairs, many, one)
        return self._pairs

    def _prepare(self, left: LabelTable, right: LabelTable) -> None:
        signatures = Signatures.of(left, right, self.matching)
        self._many, self._one = signatures.left, signatures.right
        if self.swapped:
            self._many, self._one = self._one, self._many
        self._signatures = signatures.count
        self._static = bool((np.bincount(self._one, minlength=1) < 2).all())
        self._tables, self._partners, self._pairs = (left, right), None, None
        if self._static and self._drops_name and not set(self.matching.include) & set(METADATA):
            self._pairs = self._shared(left, right)

    def _shared(self, left: LabelTable, right: LabelTable) -> Pairs:
        """The pairs where every signature has one partner at most: the same for all metrics with the same series."""
        many, one = (right, left) if self.swapped else (left, right)
        known = many.nameless.derived.setdefault(("pairs", self.matching), WeakKeyDictionary())
        found: Pairs | None = known.get(one.nameless)
        if found is None:
            self._find_partners(np.arange(one.size), many.nameless, one.nameless)
            assert self._pairs is not None
            found = known[one.nameless] = self._pairs
        return found

    def _find_partners(self, rows: Rows, many: LabelTable, one: LabelTable) -> None:
        """Match the many side with these rows of the one side."""
        table = np.full(self._signatures, -1, dtype=np.int64)
        table[self._one[rows]] = rows
        clashing = table[self._one[rows]] != rows
        if clashing.any():
            row = int(rows[clashing.argmax()])
            raise EvaluationError(many_to_many(one, self.matching, row, int(table[self._one[row]])))
        partners = table[self._many]
        if self._partners is None or not np.array_equal(partners, self._partners):
            self._partners = partners
            self._pairs = self._paired(many, one, partners)

    def _paired(self, many: LabelTable, one: LabelTable, partners: Rows) -> Pairs:
        rows = np.flatnonzero(partners >= 0)
        found = partners[rows]
        signature = self._many[rows]
        kept = many.take(rows)
        labels = result_labels(kept.drop(METADATA) if self._drops_name else kept, one.take(found), self.matching)
        if self.matching.card is Card.ONE_TO_ONE:
            distinct = bool((np.bincount(signature, minlength=1) < 2).all())
        else:
            distinct = labels.unique
        return Pairs(None if len(rows) == many.size else rows, found, signature, labels, distinct and labels.unique)

    def _check(self, pairs: Pairs, many: Vector, one: Vector) -> None:
        """Clashes among pairs that are present, compared before any comparison filters them."""
        met = picked(many.mask, pairs.many) & one.mask[pairs.one]
        signature = pairs.signature[met]
        if self.matching.card is Card.ONE_TO_ONE:
            if len(np.unique(signature)) != len(signature):
                raise EvaluationError(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                )
            return
        keys = np.stack([signature.astype(np.uint64), pairs.labels.hashes[met]])
        if np.unique(keys, axis=1).shape[1] != len(signature):
            raise EvaluationError("multiple matches for labels: grouping labels must ensure unique matches")
