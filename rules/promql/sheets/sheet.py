"""Vectors of the same label sets, one a line, and the nodes that yield them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rules.arrays import Bools, Floats
from rules.labels import LabelTable
from rules.promql.passes import Pass
from rules.promql.vector import Vector


@dataclass(slots=True, eq=False)
class Sheet:
    """Instant vectors whose label sets are, metric names aside, the same one table.

    Whatever has one line stands for every line.
    """

    labels: tuple[LabelTable, ...]
    """One a line, or one for all; their `nameless` is one object."""
    values: Floats
    """`[line][row]`; rows that are not present carry any value."""
    present: Bools | None
    """`[line][row]`; None where every row of every line is present."""

    @property
    def nameless(self) -> LabelTable:
        """The label sets without metric names."""
        return self.labels[0].nameless

    @property
    def rows(self) -> int:
        """Rows of a line."""
        return self.labels[0].size

    def line(self, number: int) -> Vector:
        """One rule's vector."""
        labels, values = self.labels, self.values
        present = self.present
        if present is not None:
            present = present[number if len(present) > 1 else 0]
        return Vector(labels[number if len(labels) > 1 else 0], values[number if len(values) > 1 else 0], present)

    def with_values(self, values: Floats) -> "Sheet | None":
        """Other values, which mean something else: metric names go. None where two rows may become one."""
        nameless = self.nameless
        return Sheet((nameless,), values, self.present) if nameless.unique else None

    def where(self, kept: Bools) -> "Sheet":
        """Only the rows that are kept too."""
        return Sheet(self.labels, self.values, kept if self.present is None else self.present & kept)

    def mask(self, lines: int) -> Bools:
        """Presence as an array of so many lines, contiguous."""
        if self.present is None:
            return np.ones((lines, self.rows), dtype=np.bool_)
        if len(self.present) == lines:
            return np.ascontiguousarray(self.present)
        return np.repeat(self.present, lines, axis=0)


class SheetNode:
    """A subexpression of several rules at once."""

    def __init__(self, children: Sequence["SheetNode"] = ()) -> None:
        self.children = tuple(children)
        self.shared = False
        """Whether several sheets are made of it, so that it is worth keeping during a pass."""
        self._kept: tuple[Pass, int, Sheet | None] | None = None

    def evaluate(self, now: Pass) -> Sheet | None:
        """Its value at the pass; None where the rules have to be evaluated alone. Raises `EvaluationError`."""
        if not self.shared:
            return self.compute(now)
        kept = self._kept
        if kept is not None and kept[0] is now and kept[1] == now.writes:
            return kept[2]
        sheet = self.compute(now)
        self._kept = now, now.writes, sheet
        now.keepers.append(self)
        return sheet

    def forget(self) -> None:
        """The pass is over."""
        self._kept = None

    def compute(self, now: Pass) -> Sheet | None:
        """Its value, anew."""
        raise NotImplementedError


def same_tables(some: Sequence[LabelTable], others: Sequence[LabelTable]) -> bool:
    """Whether two lists hold the same objects."""
    return some is others or (
        len(some) == len(others) and all(one is other for one, other in zip(some, others, strict=True))
    )
