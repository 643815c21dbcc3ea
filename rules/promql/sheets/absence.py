"""`absent` of every line at once."""

from collections.abc import Mapping

import numpy as np

from rules.arrays import Bools
from rules.labels import LabelTable
from rules.promql.passes import Pass
from rules.promql.sheets.sheet import Sheet, SheetNode


class AbsentSheet(SheetNode):
    """1 under the labels that the selector fixes, in lines where nothing is there."""

    def __init__(self, inner: SheetNode, labels: Mapping[str, str], lines: int) -> None:
        super().__init__((inner,))
        self._inner, self._given, self._lines = inner, dict(labels), lines
        self._seen: tuple[Bools | None, int] | None = None
        self._sheet: Sheet | None = None
        self._labels: LabelTable | None = None

    def compute(self, now: Pass) -> Sheet | None:
        inner = self._inner.evaluate(now)
        if inner is None:
            return None
        seen = inner.present, inner.rows
        if self._sheet is None or self._seen is None or self._seen[0] is not seen[0] or self._seen[1] != seen[1]:
            self._seen, self._sheet = seen, self._judged(now, inner)
        return self._sheet

    def _judged(self, now: Pass, inner: Sheet) -> Sheet:
        strings = now.window.strings
        if self._labels is None or self._labels.strings is not strings:
            self._labels = LabelTable.of(strings, [self._given.items()])
        there: Bools = (
            np.array([inner.rows > 0]) if inner.present is None else np.logical_or.reduce(inner.present, axis=1)
        )
        absent = np.broadcast_to(~there[:, None], (self._lines, 1))
        return Sheet((self._labels,), np.ones((1, 1)), absent)
