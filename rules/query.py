"""The public way to ask the live window: what was measured, and what a PromQL expression says about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from bus.frames import Frame, SeriesTable, encode_table
from rules.labels import LabelTable
from rules.promql.demands import SPARE_MS
from rules.promql.node import Node, Value
from rules.promql.parse import parse
from rules.promql.passes import Pass
from rules.promql.plan import Planner
from rules.promql.selectors import matching_rows
from rules.promql.tree import Match, Matcher, Select, SelectRange, Subquery, Tree, walk
from rules.promql.vector import Vector
from rules.window.board import Block
from rules.window.needs import Need, Needs, PatternNeed
from rules.window.ring import ABSENT, STALE
from rules.window.window import LIMIT_BYTES, Window


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series."""

    labels: Mapping[str, str]
    """With `__name__` where the series has one."""
    value: float
    at_ms: int
    """When the device measured it (Unix ms); for an expression's result the time of the evaluation."""
    quality: int = 0
    """Packed quality and reason as in the frame (`fleet.quality`); 0 is good."""


class LiveWindow:
    """The newest samples of the metrics that somebody named, in bounded memory."""

    def __init__(
        self, *, depth_seconds: float, names: frozenset[str] | None = None, limit_bytes: int = LIMIT_BYTES
    ) -> None:
        """Keep at least `depth_seconds` of every metric in `names` (None: of every metric)."""
        need = Need(depth_ms=round(depth_seconds * 1000) + SPARE_MS, counter=True)
        self._depth_ms = need.depth_ms
        self.window = Window(
            Needs(dict.fromkeys(names or (), need), [PatternNeed(lambda _: True, need)] if names is None else []),
            limit_bytes=limit_bytes,
        )

    def append(self, record_value: bytes | Frame | SeriesTable) -> None:
        """Take what travelled on `telemetry.frames`. Raises `Malformed` for bytes that are neither frame nor table."""
        if isinstance(record_value, Frame):
            self.window.append_frame(record_value)
        elif isinstance(record_value, SeriesTable):
            self.window.append_table(encode_table(record_value))
        else:
            self.window.append(record_value)

    def collect(self, at_ms: int) -> int:
        """Drop series that were silent for longer than the window is deep; how many went."""
        return self.window.collect(at_ms, self._depth_ms)

    def latest(self, name: str, matchers: Mapping[str, str]) -> list[Sample]:
        """The newest sample of each series of that name whose labels equal the matchers; ended series are left out."""
        found = self._rows(name, matchers)
        if found is None:
            return []
        block, rows = found
        return self._samples(block, rows, 0)

    def since(self, name: str, matchers: Mapping[str, str], since_ms: int) -> list[Sample]:
        """Every sample newer than `since_ms` that the window still holds, oldest first, of whatever quality."""
        found = self._rows(name, matchers)
        if found is None:
            return []
        block, rows = found
        samples = [sample for back in range(block.ring.slots) for sample in self._samples(block, rows, back)]
        return sorted((sample for sample in samples if sample.at_ms > since_ms), key=lambda sample: sample.at_ms)

    def _rows(
        self, name: str, matchers: Mapping[str, str]
    ) -> tuple[Block, "np.ndarray[tuple[int], np.dtype[np.int64]]"] | None:
        block = self.window.blocks.get(name)
        if block is None:
            return None
        wanted = [Matcher(label, Match.EQUAL, value) for label, value in matchers.items()]
        return block, np.flatnonzero(matching_rows(block.labels, wanted))

    def _samples(self, block: Block, rows: "np.ndarray[tuple[int], np.dtype[np.int64]]", back: int) -> list[Sample]:
        """The samples that lie so many behind each row's newest."""
        board, ring, streams = self.window.board, block.ring, self.window.streams
        samples = []
        for row in rows.tolist():
            stream, cell = int(board.stream[block.start + row]), int(board.cell[block.start + row])
            number = int(streams.heads[stream]) - back
            slot = number & (ring.slots - 1)
            state = int(ring.states[slot, cell])
            if number >= 0 and state not in {ABSENT, STALE}:
                value, at = float(ring.values[slot, cell]), streams.time_of(stream, number)
                samples.append(Sample(block.labels.row(row), value, at, state))
        return samples


class Query:
    """A PromQL expression, compiled once."""

    def __init__(self, expr: str, tree: Tree, node: Node, names: frozenset[str] | None, depth_seconds: float) -> None:
        self.expr = expr
        self.tree = tree
        """The parsed expression."""
        self.names = names
        """The metrics it reads; None where a pattern finds them."""
        self.depth_seconds = depth_seconds
        """How deep a window must be for it."""
        self._node = node

    @classmethod
    def compile(cls, expr: str) -> Self:
        """Parse and check. Raises `ExpressionError` with what is wrong and where."""
        Planner().compile(expr)
        return cls.of(expr, parse(expr))

    @classmethod
    def of(cls, expr: str, tree: Tree) -> Self:
        """The same of what was parsed and checked already. Raises `ExpressionError`."""
        planner = Planner()
        node = planner.node(tree)
        return cls(expr, tree, node, node.reads, planner.needs.deepest_ms / 1000.0)

    @property
    def looks_ahead(self) -> bool:
        """Whether it may read samples newer than its evaluation: by `@`, or by an offset into the future."""
        return any(_looks_ahead(tree) for tree in walk(self.tree))

    def evaluate(self, window: LiveWindow, at_ms: int) -> list[Sample]:
        """The instant vector at that time, exactly Prometheus 3.x; a scalar is one sample without labels.

        Raises `EvaluationError` where Prometheus would (many-to-many matches, doubled label sets).
        """
        return self.over(window.window, at_ms)

    def over(self, window: Window, at_ms: int) -> list[Sample]:
        """The same over a window that something else keeps, such as an engine's."""
        now = Pass(window, at_ms)
        try:
            with np.errstate(all="ignore"):
                return samples_of(self._node.evaluate(now), at_ms)
        finally:
            now.finish()


def _looks_ahead(tree: Tree) -> bool:
    match tree:
        case Select() | Subquery():
            return tree.at is not None or tree.offset_ms < 0
        case SelectRange():
            return _looks_ahead(tree.select)
        case _:
            return False


def samples_of(value: Value, at_ms: int) -> list[Sample]:
    """A value as samples."""
    if not isinstance(value, Vector):
        assert isinstance(value, float)
        return [Sample({}, value, at_ms)]
    labels: LabelTable = value.labels
    return [Sample(labels.row(row), float(value.values[row]), at_ms) for row in np.flatnonzero(value.mask).tolist()]
