"""What an engine answers, in a form that two engines share, and what differs between two answers."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from rules.promql.asking import MatrixResult, Result, ScalarResult, StringResult, VectorResult
from rules.promql.span import Span
from rules.promql.vector import Vector

LabelSet = tuple[tuple[str, str], ...]
TOLERANCE: Final = 1e-12
_CLASSES: Final = (
    "same labelset",
    "found duplicate series for the match group",
    "many-to-one matching must be explicit",
    "grouping labels must ensure unique matches",
    "Parameter value is NaN",
    "Ratio value is NaN",
    "overflows int64",
    "invalid smoothing factor",
    "invalid trend factor",
    "conflicting label",
    "found duplicate series for info metric",
    "invalid expression type",
)
"""Words that tell the kinds of errors apart."""


@dataclass
class Answer:
    """Points by label set and time, or a string, or the error."""

    type: str = ""
    points: dict[LabelSet, dict[int, float]] = field(default_factory=dict)
    text: str | None = None
    error: str | None = None
    order: list[LabelSet] = field(default_factory=list)

    @property
    def error_class(self) -> str:
        """Which kind of error it is."""
        return next((words for words in _CLASSES if words in (self.error or "")), "parse error")


def label_set(labels: Mapping[str, str]) -> LabelSet:
    """Labels as a key."""
    return tuple(sorted(labels.items()))


def answer_of(value: Vector | Span | float | str, at_ms: int) -> Answer:
    """What a node yielded."""
    if isinstance(value, str):
        return Answer("string", text=value)
    if isinstance(value, Vector):
        rows = value.rows.tolist()
        keys = [label_set(value.labels.row(row)) for row in rows]
        assert len(set(keys)) == len(keys), "two elements with the same label set"
        pairs = zip(keys, rows, strict=True)
        return Answer("vector", {key: {at_ms: float(value.values[row])} for key, row in pairs}, order=keys)
    if isinstance(value, Span):
        read, points = value.read, {}
        for row in np.flatnonzero(read.counts).tolist():
            count = int(read.counts[row])
            times, values = read.times[:count, row].tolist(), read.values[:count, row].tolist()
            points[label_set(value.labels.row(row))] = dict(zip(times, values, strict=True))
        return Answer("matrix", points)
    return Answer("scalar", {(): {at_ms: value}})


def answer_of_result(result: Result) -> Answer:
    """What `Question` yielded."""
    match result:
        case StringResult():
            return Answer("string", text=result.value)
        case ScalarResult():
            return Answer("scalar", {(): {result.at_ms: result.value}})
        case VectorResult():
            keys = [label_set(each.labels) for each in result.elements]
            found = {key: {result.at_ms: each.value} for key, each in zip(keys, result.elements, strict=True)}
            return Answer("vector", found, order=keys)
        case MatrixResult():
            points = {
                label_set(each.labels): dict(zip(each.times.tolist(), each.values.tolist(), strict=True))
                for each in result.series
            }
            return Answer("matrix", points)


def difference(mine: Answer, theirs: Answer, largest: float, *, same_class: bool = True) -> str | None:
    """What differs, or None. `largest` is the largest input: 1e-12 of it counts as nothing."""
    if mine.error is not None or theirs.error is not None:
        alike = (mine.error is None) == (theirs.error is None)
        if alike and (not same_class or mine.error_class == theirs.error_class):
            return None
        return f"ours   {mine.error or mine.points}\n  theirs {theirs.error or theirs.points}"
    if mine.type != theirs.type or mine.text != theirs.text:
        return f"ours a {mine.type} {mine.text or ''}, theirs a {theirs.type} {theirs.text or ''}"
    if mine.points.keys() != theirs.points.keys():
        ours, others = mine.points.keys() - theirs.points.keys(), theirs.points.keys() - mine.points.keys()
        return f"only ours {sorted(ours)}\n  only theirs {sorted(others)}"
    for key, points in theirs.points.items():
        got = mine.points[key]
        if got.keys() != points.keys():
            return f"{key}: times ours {sorted(got)}, theirs {sorted(points)}"
        for at, value in points.items():
            if not close(got[at], value, largest):
                return f"{key} at {at}: ours {got[at]!r}, theirs {value!r}"
    return None


def close(mine: float, theirs: float, largest: float) -> bool:
    """Within 1e-12 of the value or of the largest input."""
    if math.isnan(mine) or math.isnan(theirs):
        return math.isnan(mine) and math.isnan(theirs)
    if mine == theirs:
        return True
    if math.isinf(mine) or math.isinf(theirs):
        return False
    return abs(mine - theirs) <= TOLERANCE * max(abs(theirs), largest)


def names_in(expr: str) -> set[str]:
    """Every word of an expression that could be a metric's name."""
    return set(re.findall(r"[a-zA-Z_:][\w:]*", expr))
