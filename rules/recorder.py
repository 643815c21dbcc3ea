"""Recording rules: an expression's elements become a frame of the group, for the window and for the bus."""

import numpy as np

from bus.frames import STALE, FrameWriter, SeriesLayout, SeriesName
from bus.port import Message
from rules.arrays import Bools
from rules.files.model import RecordingRule
from rules.labels import NAME, LabelTable
from rules.promql.errors import EvaluationError
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.plan import Planner, reads_silence
from rules.promql.vector import Vector

ZONE = 0
"""The partition of what the engine itself publishes: it belongs to no zone."""
STALE_FLOAT = float(np.array([STALE], dtype="<u8").view("<f8")[0])


class Recorder:
    """One recording rule and the series that it has published."""

    def __init__(self, rule: RecordingRule, group: str, planner: Planner) -> None:
        self.rule = rule
        self.source = f"rules/{group}"
        self.reads_silence = reads_silence(rule.tree)
        self.node: Node = planner.node(rule.tree)
        self._from: LabelTable | None = None
        self._labels: LabelTable | None = None
        self._published: Bools = np.zeros(0, dtype=np.bool_)
        self._layout: SeriesLayout | None = None
        self._series: dict[int, SeriesName] = {}
        """What the frame carries, by hash."""
        self._ended: list[SeriesName] = []

    def evaluate(self, now: Pass, at_ms: int, limit: int, writer: FrameWriter) -> list[Message]:
        """The frame of this evaluation, behind its table when that is due; nothing where there never was an element.

        Raises `EvaluationError`.
        """
        vector = self._elements(now)
        if limit and vector.count > limit:
            raise EvaluationError(f"{self.rule.uid}: {vector.count} series are over the group's limit of {limit}")
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

    def _elements(self, now: Pass) -> Vector:
        value = self.node.evaluate(now)
        if not isinstance(value, Vector):
            value = Vector(LabelTable(now.window.strings, {}, 1), np.array([value]), None)
        if self._from is not value.labels or self._labels is None:
            self._relabel(value.labels)
        assert self._labels is not None
        return Vector(self._labels, value.values, value.present).checked()

    def _relabel(self, labels: LabelTable) -> None:
        """Other rows than before: series that can come no more end, the others go on."""
        self._from = labels
        self._labels = labels.constant({**self.rule.labels, NAME: self.rule.name})
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
                known = self.rule.name, tuple((name, text) for name, text in pairs.items() if name != NAME)
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
