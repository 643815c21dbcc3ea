"""What a node of a plan yields for a range: rows with the samples of each, oldest first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rules.arrays import Bools, Floats, Times
from rules.labels import LabelTable
from rules.promql.ranges import Samples
from rules.promql.vector import Vector


@dataclass(slots=True, eq=False)
class Span:
    """A range vector; rows without samples are no elements of it."""

    labels: LabelTable
    read: Samples
    marked: Bools | bool = False
    """Rows whose metric name goes at the end (`Vector.marked`)."""

    def named_to_the_end(self) -> "Span":
        """Marked rows without their names. Raises `EvaluationError` where two rows with samples become one."""
        if self.marked is False:
            return self
        there = Vector(self.labels, np.zeros(self.labels.size), self.read.counts > 0, self.marked)
        return Span(there.named_to_the_end().labels, self.read)


def packed(values: Floats, there: Bools, times: Times) -> Samples:
    """Samples out of `[step][row]`: those that are there move to the top of their row."""
    all_times = np.broadcast_to(times[:, None], values.shape)
    counts = np.count_nonzero(there, axis=0)
    if there.all():
        return Samples(values, all_times, counts)
    order = np.argsort(~there, axis=0, kind="stable")
    return Samples(np.take_along_axis(values, order, axis=0), np.take_along_axis(all_times, order, axis=0), counts)


class Stack:
    """Vectors of several times as one span; the joined label table is kept while the vectors' tables stay."""

    def __init__(self) -> None:
        self._tables: list[LabelTable] = []
        self._joined: LabelTable | None = None
        self._places: dict[int, tuple[int, ...] | np.ndarray[tuple[int], np.dtype[np.int64]]] = {}

    def span(self, pieces: Sequence[Vector], times: Times) -> Span:
        """One row a label set, whichever of the vectors it occurs in."""
        labels = self._label_table(pieces)
        values = np.zeros((len(pieces), labels.size))
        there = np.zeros((len(pieces), labels.size), dtype=np.bool_)
        marked: Bools | bool = False
        if any(piece.marked is not False for piece in pieces):
            marked = np.zeros(labels.size, dtype=np.bool_)
        for step in range(len(pieces) - 1, -1, -1):  # a series has the mark of its first sample: it is written last
            piece = pieces[step]
            rows = slice(None) if piece.present is None else np.flatnonzero(piece.present)
            place = self._places[id(piece.labels)]
            columns = np.asarray(place)[rows]
            values[step, columns], there[step, columns] = piece.values[rows], True
            if not isinstance(marked, bool):
                marked[columns] = piece.marks[rows]
        return Span(labels, packed(values, there, times), marked)

    def _label_table(self, pieces: Sequence[Vector]) -> LabelTable:
        tables = list({id(piece.labels): piece.labels for piece in pieces}.values())
        same = len(tables) == len(self._tables) and all(a is b for a, b in zip(tables, self._tables, strict=True))
        if self._joined is None or not same:
            together = LabelTable.concat(tables[0].strings, tables)
            _, first, inverse = np.unique(together.hashes, return_index=True, return_inverse=True)
            order = np.argsort(first)  # label sets in the order in which they were first seen
            rank = np.empty_like(order)
            rank[order] = np.arange(len(order))
            self._tables, self._joined, self._places = tables, together.take(first[order]), {}
            begin = 0
            for table in tables:
                self._places[id(table)] = rank[inverse[begin : begin + table.size]]
                begin += table.size
        return self._joined
