"""Groups of rows as rectangles: aggregations become arithmetic down columns, however uneven the groups are.

Groups of similar size share one rectangle `[member][group]`, so that one group of thousands beside thousands of single
ones costs no more cells than there are rows, twice at most.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from rules.arrays import Bools, Floats, Rows
from rules.labels import METADATA, LabelTable
from rules.promql.vector import Vector


@dataclass(slots=True, eq=False)
class Rectangle:
    """Groups of similar size."""

    groups: Rows
    rows: Rows
    """`[member][group]`; any row stands where a group has fewer members."""
    filled: Bools | None
    """Cells that hold a member; None where all do."""
    counts: Rows
    """Members of each group."""
    adjacent: bool
    """Whether the groups' members lie side by side, group after group, from the first row to the last."""

    def read(self, vector: Vector) -> tuple[Floats, Bools | None]:
        """The members' values, and which are present (None: all)."""
        if self.adjacent:
            values = np.ascontiguousarray(vector.values.reshape(self.rows.shape[::-1]).T)
        else:
            values = vector.values[self.rows]
        if vector.present is None:
            return values, self.filled
        present = vector.present.reshape(self.rows.shape[::-1]).T if self.adjacent else vector.present[self.rows]
        return values, present if self.filled is None else present & self.filled


@dataclass(slots=True, eq=False)
class Grouping:
    """How the rows of one label table fall into groups."""

    labels: LabelTable
    """One row a group."""
    group_of: Rows
    """For each row its group."""
    rectangles: list[Rectangle]


def grouped(labels: LabelTable, names: Collection[str], *, without: bool) -> Grouping:
    """Group by these labels, or by all others but the metric's name; once for all metrics with the same series."""
    if not set(names) & set(METADATA):
        labels = labels.nameless
    key = ("grouping", without, frozenset(names))
    if key not in labels.derived:
        labels.derived[key] = _grouped(labels, names, without=without)
    found: Grouping = labels.derived[key]
    return found


def _grouped(labels: LabelTable, names: Collection[str], *, without: bool) -> Grouping:
    keys = labels.signatures(names, on=not without)
    _, first, found = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)  # groups in the order of their first rows: members side by side stay so
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    first, group_of = first[order], place[found]
    members = labels.take(first)
    out = members.drop({*METADATA, *names}) if without else members.keep(set(names))
    return Grouping(out, group_of, rectangles(group_of, len(first)))


def rectangles(group_of: Rows, groups: int) -> list[Rectangle]:
    """Groups of similar size side by side, members in their order."""
    counts = np.bincount(group_of, minlength=groups)
    order = np.argsort(group_of, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]) if groups else np.empty(0, dtype=np.int64)
    sizes = np.frexp(np.maximum(counts - 1, 0))[1]  # 1, 2, 3–4, 5–8, … members share a rectangle
    found = []
    for size in np.unique(sizes).tolist():
        chosen = np.flatnonzero(sizes == size)
        member = np.arange(int(counts[chosen].max()))[:, None]
        filled = member < counts[chosen]
        rows = order[np.minimum(starts[chosen] + member, len(order) - 1)]
        adjacent = rows.size == len(order) and bool((rows.T.ravel() == np.arange(rows.size)).all())
        full = bool(filled.all())
        found.append(Rectangle(chosen, rows, None if full else filled, counts[chosen], adjacent and full))
    return found


def justified(values: Floats, there: Bools | None) -> tuple[Floats, Rows]:
    """Each column's present values moved to the top in their order, and how many they are."""
    if there is None:
        return values, np.full(values.shape[1], len(values), dtype=np.int64)
    counts = np.count_nonzero(there, axis=0)
    order = np.argsort(~there, axis=0, kind="stable")
    return np.take_along_axis(values, order, axis=0), counts
