"""Recording rules: an expression's elements become a frame of the group, for the window and for the bus."""

import numpy as np

from bus.frames import FrameWriter
from bus.port import Message
from rules.files.model import RecordingRule
from rules.labels import LabelTable
from rules.promql.errors import EvaluationError
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.plan import Planner, reads_silence
from rules.promql.vector import Vector
from rules.publication import Publication


class Recorder:
    """One recording rule and the series that it has published."""

    def __init__(self, rule: RecordingRule, group: str, planner: Planner) -> None:
        self.rule = rule
        self.reads_silence = reads_silence(rule.tree)
        self.node: Node = planner.node(rule.tree)
        self._publication = Publication(f"rules/{group}", rule.name, rule.labels)

    def evaluate(self, now: Pass, at_ms: int, limit: int, writer: FrameWriter) -> list[Message]:
        """The frame of this evaluation, behind its table when that is due; nothing where there never was an element.

        Raises `EvaluationError`.
        """
        value = self.node.evaluate(now)
        if not isinstance(value, Vector):
            value = Vector(LabelTable(now.window.strings, {}, 1), np.array([value]), None)
        vector = self._publication.named(value)
        if limit and vector.count > limit:
            raise EvaluationError(f"{self.rule.uid}: {vector.count} series are over the group's limit of {limit}")
        return self._publication.messages(vector, at_ms, writer)
