"""What a node of a plan yields: every row that could be there, its value, and whether it is there now."""

from dataclasses import dataclass

import numpy as np

from rules.arrays import Bools, Floats, some
from rules.labels import LabelTable
from rules.promql.errors import EvaluationError


@dataclass(slots=True, eq=False)
class Vector:
    """An instant vector over a fixed universe of label sets; rows that are not present carry any value."""

    labels: LabelTable
    values: Floats
    present: Bools | None
    """None where every row is present."""

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
        return Vector(self.labels, values, self.present)

    def where(self, kept: Bools) -> "Vector":
        """Only the rows that are kept too."""
        return Vector(self.labels, self.values, kept if self.present is None else self.present & kept)

    def relabelled(self, labels: LabelTable) -> "Vector":
        """The same values under other label sets. Raises `EvaluationError` where two present rows become one."""
        renamed = Vector(labels, self.values, self.present)
        return renamed if labels is self.labels else renamed.checked()

    def checked(self) -> "Vector":
        """Itself. Raises `EvaluationError` where two present rows carry the same label set."""
        if not self.labels.unique:
            hashes = self.labels.hashes if self.present is None else self.labels.hashes[self.present]
            if len(np.unique(hashes)) != len(hashes):
                raise EvaluationError("vector cannot contain metrics with the same labelset")
        return self

    def nameless(self) -> "Vector":
        """Without the metric's name, as everything that changes a value's meaning leaves it."""
        return self.relabelled(self.labels.nameless)

    def dense(self) -> "Vector":
        """Only the rows that are present."""
        if self.present is None:
            return self
        rows = np.flatnonzero(self.present)
        return Vector(self.labels.take(rows), self.values[rows], None)
