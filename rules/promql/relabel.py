"""`label_replace` and `label_join`: label sets rewritten once per label table, never per evaluation."""

import re
from typing import Final

import numpy as np

from rules.arrays import Bools
from rules.labels import NAME, LabelTable
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.regex import compiled
from rules.promql.vector import Vector

_REFERENCE: Final = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)


class Relabelled(Node):
    """The inner vector under rewritten labels."""

    def __init__(self, inner: Node) -> None:
        super().__init__((inner,))
        self._inner = inner
        self._known: tuple[LabelTable, LabelTable] | None = None

    def compute(self, now: Pass) -> Vector:
        vector = self._inner.vector(now)
        if self._known is None or self._known[0] is not vector.labels:
            self._known = vector.labels, self.rewritten(vector.labels)
        vector = Vector(vector.labels, vector.values, vector.present, self.kept_marks(vector), vector.order)
        return vector.relabelled(self._known[1])

    def kept_marks(self, vector: Vector) -> Bools | bool:
        """Rows that lose their names at the end: not those that were just given one."""
        raise NotImplementedError

    def rewritten(self, labels: LabelTable) -> LabelTable:
        """The new label sets, row by row."""
        raise NotImplementedError


class LabelReplace(Relabelled):
    """`label_replace(v, target, replacement, source, pattern)`."""

    def __init__(self, inner: Node, target: str, replacement: str, source: str, pattern: str) -> None:
        super().__init__(inner)
        self._target, self._source = target, source
        self._replacement, self._pattern = replacement, compiled(pattern)

    def rewritten(self, labels: LabelTable) -> LabelTable:
        strings = labels.strings
        distinct, inverse = np.unique(labels.codes(self._source), return_inverse=True)
        found = [self._pattern.fullmatch(strings.values[code]) for code in distinct.tolist()]
        codes = [0 if match is None else strings.code(expanded(self._replacement, match)) for match in found]
        matched = np.array([match is not None for match in found], dtype=np.bool_)[inverse]
        new = np.array(codes, dtype=np.int32)[inverse]
        return labels.put({self._target: np.where(matched, new, labels.codes(self._target))})

    def _matched(self, labels: LabelTable) -> Bools:
        distinct, inverse = np.unique(labels.codes(self._source), return_inverse=True)
        values = labels.strings.values
        return np.array([self._pattern.fullmatch(values[code]) is not None for code in distinct], np.bool_)[inverse]

    def kept_marks(self, vector: Vector) -> Bools | bool:
        if vector.marked is False or self._target != NAME:
            return vector.marked
        return vector.marks & ~self._matched(vector.labels)


class LabelJoin(Relabelled):
    """`label_join(v, target, separator, source, …)`."""

    def __init__(self, inner: Node, target: str, separator: str, sources: tuple[str, ...]) -> None:
        super().__init__(inner)
        self._target, self._separator, self._sources = target, separator, sources

    def rewritten(self, labels: LabelTable) -> LabelTable:
        strings = labels.strings
        columns = [labels.codes(source).tolist() for source in self._sources]
        if not columns:
            return labels.constant({self._target: ""})
        joined = [
            strings.code(self._separator.join(strings.values[code] for code in codes))
            for codes in zip(*columns, strict=True)
        ]
        return labels.put({self._target: np.array(joined, dtype=np.int32)})

    def kept_marks(self, vector: Vector) -> Bools | bool:
        return vector.marked if self._target != NAME else False


def expanded(replacement: str, match: re.Match[str]) -> str:
    """Go's Regexp.Expand: `$1`, `$name`, `${name}`, `$$`; a group that is not there is empty, a lone `$` stays."""

    def value(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        try:
            return match[int(name) if name.isdigit() else name] or ""
        except IndexError:
            return ""

    return _REFERENCE.sub(value, replacement)
