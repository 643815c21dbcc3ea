"""What one evaluation of a rule's expression gave, and what its sidecar's expressions say of it."""

from collections.abc import Container
from dataclasses import dataclass

import numpy as np

from rules.alerts.alert import Finding
from rules.alerts.naming import Around
from rules.labels import LabelTable
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.vector import Vector


@dataclass(frozen=True, slots=True)
class Element:
    """One element that is there."""

    key: int
    row: int
    row_hash: int
    labels: dict[str, str] | None = None
    """The alert's, where templates make them."""


class Look:
    """What one evaluation gave."""

    def __init__(self, named: LabelTable, vector: Vector, around: Around) -> None:
        self.named, self.vector, self.around = named, vector, around
        self._rows: dict[int, int] | None = None

    def value(self, row: int) -> float:
        """The value of a row."""
        return float(self.vector.values[row])

    def value_of(self, row_hash: int, before: float) -> float:
        """The value of the row with that hash; the one of before where it is not there."""
        if self._rows is None:
            rows = np.flatnonzero(self.vector.mask)
            self._rows = dict(zip(self.vector.labels.hashes[rows].tolist(), rows.tolist(), strict=True))
        row = self._rows.get(row_hash)
        return before if row is None else self.value(row)


class Judged:
    """Label sets that the sidecar's expressions yield."""

    def __init__(self, *, cleared: frozenset[int], known: frozenset[int] | None) -> None:
        self._cleared, self._known = cleared, known

    def finding(self, key: int) -> Finding:
        """What that says of an alert whose expression does not hold."""
        return Finding(holds=False, cleared=key in self._cleared, known=self._known is None or key in self._known)


def bounded(
    begun: list[tuple[int, int]], open_: Container[int], most: int | None
) -> tuple[list[tuple[int, int]], list[int]]:
    """Keys and rows that begin now, and the rows that are left to the next evaluation; what is open already goes on now."""
    if most is None or len(begun) <= most:
        return begun, []
    known = [one for one in begun if one[0] in open_]
    fresh = [one for one in begun if one[0] not in open_]
    return known + fresh[:most], [row for _, row in fresh[most:]]


def hashes_of(node: Node, now: Pass) -> frozenset[int]:
    """The label sets that an expression yields, without the metric's name."""
    value = node.evaluate(now)
    if not isinstance(value, Vector):
        return frozenset()
    return frozenset(value.labels.nameless.hashes[value.mask].tolist())
