"""Series of our own: the elements of one metric become a frame, for the window and for the bus; what goes ends stale."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from bus.frames import STALE, FrameWriter, SeriesLayout, SeriesName
from bus.port import Message
from rules.arrays import Bools
from rules.labels import NAME, LabelTable
from rules.promql.vector import Vector

ZONE: Final = 0
"""The partition of what the engine itself publishes: it belongs to no zone."""
STALE_FLOAT: Final = float(np.array([STALE], dtype="<u8").view("<f8")[0])


class Publication:
    """One metric under one source, with constant labels, and the series of it that were published."""

    def __init__(self, source: str, name: str, labels: Mapping[str, str]) -> None:
        self.source = source
        self.name = name
        self._constant = {**labels, NAME: name}
        self._from: LabelTable | None = None
        self._labels: LabelTable | None = None
        self._published: Bools = np.zeros(0, dtype=np.bool_)
        self._layout: SeriesLayout | None = None
        self._series: dict[int, SeriesName] = {}
        """What the frame carries, by hash."""
        self._ended: list[SeriesName] = []

    def named(self, vector: Vector) -> Vector:
        """The elements under their final labels, the same table as long as theirs is. Raises `EvaluationError`."""
        if self._from is not vector.labels or self._labels is None:
            self._relabel(vector.labels)
        assert self._labels is not None
        return Vector(self._labels, vector.values, vector.present).checked()

    def messages(self, vector: Vector, at_ms: int, writer: FrameWriter) -> list[Message]:
        """The frame of what `named` gave, behind its table when that is due; nothing where there never was an element."""
        present = vector.mask
        if bool((present & ~self._published).any()):
            self._publish(vector.labels, self._published | present)
        messages = self._ends(writer, at_ms)
        if self._layout is None:
            return messages
        values = np.where(present, vector.values, np.nan)[self._published]
        gone = ~present[self._published]
        if gone.any():
            values.view(np.uint64)[gone] = STALE
        return messages + writer.messages(self.source, ZONE, self._layout, at_ms, values)

    def _relabel(self, labels: LabelTable) -> None:
        """Other rows than before: series that can come no more end, the others go on."""
        self._from = labels
        self._labels = labels.constant(self._constant)
        hashes = self._labels.hashes.tolist()
        for row_hash in self._series.keys() - set(hashes):
            self._ended.append(self._series.pop(row_hash))
        self._publish(self._labels, np.array([row_hash in self._series for row_hash in hashes], dtype=np.bool_))

    def _publish(self, labels: LabelTable, rows: Bools) -> None:
        """From now on the frame carries these rows."""
        self._published = rows
        hashes = labels.hashes
        series = []
        for row in np.flatnonzero(rows).tolist():
            known = self._series.get(int(hashes[row]))
            if known is None:
                pairs = labels.row(row)
                known = self.name, tuple((label, text) for label, text in pairs.items() if label != NAME)
                self._series[int(hashes[row])] = known
            series.append(known)
        self._layout = SeriesLayout.of(series) if series else None

    def _ends(self, writer: FrameWriter, at_ms: int) -> list[Message]:
        """A last frame for series that ended."""
        if not self._ended:
            return []
        layout = SeriesLayout.of(self._ended)
        self._ended = []
        return writer.messages(self.source, ZONE, layout, at_ms, np.full(len(layout.series), STALE_FLOAT))
