"""What a node of a plan yields: every row that could be there, its value, and whether it is there now."""

from dataclasses import dataclass

import numpy as np

from rules.arrays import Bools, Floats, Rows, distinct, some
from rules.labels import METADATA, LabelTable
from rules.promql.errors import EvaluationError


@dataclass(slots=True, eq=False)
class Vector:
    """An instant vector over a fixed universe of label sets; rows that are not present carry any value."""

    labels: LabelTable
    values: Floats
    present: Bools | None
    """None where every row is present."""
    marked: Bools | bool = False
    """Rows whose metric name goes at the end, where a pass delays that."""
    order: Rows | None = None
    """Rows as a sort put them; None where nobody did."""

    @property
    def mask(self) -> Bools:
        """Presence as an array."""
        return np.ones(self.labels.size, dtype=np.bool_) if self.present is None else self.present

    @property
    def empty(self) -> bool:
        """Whether no row is present."""
        return not self.labels.size if self.present is None else not some(self.present)

    @property
    def count(self) -> int:
        """Rows that are present."""
        return self.labels.size if self.present is None else int(np.count_nonzero(self.present))

    def with_values(self, values: Floats) -> "Vector":
        """The same rows with other values."""
        return Vector(self.labels, values, self.present, self.marked, self.order)

    def where(self, kept: Bools) -> "Vector":
        """Only the rows that are kept too."""
        present = kept if self.present is None else self.present & kept
        return Vector(self.labels, self.values, present, self.marked, self.order)

    def nothing(self) -> "Vector":
        """None of its rows."""
        return Vector(self.labels, self.values, np.zeros(self.labels.size, dtype=np.bool_))

    def relabelled(self, labels: LabelTable) -> "Vector":
        """The same values under other label sets. Raises `EvaluationError` where two present rows become one."""
        renamed = Vector(labels, self.values, self.present, self.marked, self.order)
        return renamed if labels is self.labels else renamed.checked()

    def checked(self) -> "Vector":
        """Itself. Raises `EvaluationError` where two present rows carry the same label set."""
        if not self.labels.unique:
            hashes = self.labels.hashes if self.present is None else self.labels.hashes[self.present]
            if not distinct(hashes):
                raise EvaluationError("vector cannot contain metrics with the same labelset")
        return self

    def nameless(self) -> "Vector":
        """Without the metric's name, as everything that changes a value's meaning leaves it."""
        return self.relabelled(self.labels.nameless)

    def marked_nameless(self) -> "Vector":
        """The same rows, to lose the metric's name at the end."""
        return Vector(self.labels, self.values, self.present, marked=True, order=self.order)

    def named_to_the_end(self) -> "Vector":
        """Marked rows without their names. Raises `EvaluationError` where two present rows become one."""
        if self.marked is False:
            return self
        if self.marked is True:
            return Vector(self.labels.nameless, self.values, self.present, order=self.order).checked()
        renamed = self.labels.put(
            {name: np.where(self.marked, 0, self.labels.codes(name)).astype(np.int32) for name in METADATA}
        )
        return Vector(renamed, self.values, self.present, order=self.order).checked()

    @property
    def marks(self) -> Bools:
        """Which rows lose their names at the end, as an array."""
        return np.full(self.labels.size, self.marked) if isinstance(self.marked, bool) else self.marked

    @property
    def rows(self) -> Rows:
        """The rows that are present, in the order in which they are to be shown."""
        if self.order is None:
            return np.flatnonzero(self.mask)
        return self.order if self.present is None else self.order[self.present[self.order]]

    def dense(self) -> "Vector":
        """Only the rows that are present."""
        if self.present is None:
            return self
        rows = np.flatnonzero(self.present)
        marked = self.marked if isinstance(self.marked, bool) else self.marked[rows]
        return Vector(self.labels.take(rows), self.values[rows], None, marked)
