"""Instant vector selectors: matchers resolve to rows once, and again only when rows came or went."""

from collections.abc import Callable, Sequence

import numpy as np

from rules.arrays import Bools, Floats, Rows, Times
from rules.labels import NAME, LabelTable, Strings
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.regex import compiled
from rules.promql.tree import Match, Matcher, Select
from rules.promql.vector import Vector
from rules.window.board import Block
from rules.window.standing import Standing


def predicate(matcher: Matcher) -> Callable[[str], bool]:
    """Whether a label's value satisfies the matcher."""
    if matcher.match is Match.EQUAL:
        return lambda value: value == matcher.value
    if matcher.match is Match.NOT_EQUAL:
        return lambda value: value != matcher.value
    pattern = compiled(matcher.value)
    if matcher.match is Match.REGEX:
        return lambda value: pattern.fullmatch(value) is not None
    return lambda value: pattern.fullmatch(value) is None


class Selected:
    """The rows of one metric that a selector takes, kept while the metric's rows stay the same."""

    __slots__ = ("_source", "labels", "rows", "run")

    def __init__(self) -> None:
        self._source: LabelTable | None = None
        self.labels: LabelTable | None = None
        self.rows: Rows | None = None
        """None where it takes all of them."""
        self.run: Rows | slice | None = None
        """The rows as a slice where they lie side by side: reading them copies nothing."""

    def refresh(self, block: Block, matchers: Sequence[Matcher]) -> LabelTable:
        """The selected rows' labels; the same object as long as nothing changed."""
        source = block.labels
        if source is self._source and self.labels is not None:
            return self.labels
        chosen = matching_rows(source, matchers)
        self._source = source
        if chosen.all():
            self.rows, self.run, self.labels = None, slice(None), source
        else:
            self.rows = self.run = np.flatnonzero(chosen)
            if len(self.rows) and self.rows[-1] - self.rows[0] == len(self.rows) - 1:
                self.run = slice(int(self.rows[0]), int(self.rows[-1]) + 1)
            self.labels = source.take(self.rows)
        return self.labels

    def all_rows(self, block: Block) -> Rows:
        """The rows as an array."""
        return np.arange(block.size) if self.rows is None else self.rows


def matching_rows(labels: LabelTable, matchers: Sequence[Matcher]) -> Bools:
    """Rows that satisfy every matcher; each distinct value of a label is looked at once."""
    chosen = np.ones(labels.size, dtype=np.bool_)
    for matcher in matchers:
        if matcher.name == NAME:
            continue
        codes, strings = labels.codes(matcher.name), labels.strings
        if matcher.match in {Match.EQUAL, Match.NOT_EQUAL}:
            same = codes == strings.known(matcher.value)
            chosen &= same if matcher.match is Match.EQUAL else ~same
            continue
        satisfied = predicate(matcher)
        wanted = np.zeros(len(strings.values), dtype=np.bool_)
        distinct = np.flatnonzero(np.bincount(codes))
        wanted[distinct] = [satisfied(strings.values[code]) for code in distinct.tolist()]
        chosen &= wanted[codes]
    return chosen


class Selection:
    """A selector's metrics and rows."""

    def __init__(self, select: Select) -> None:
        self.select = select
        self._names = [predicate(matcher) for matcher in select.matchers if matcher.name == NAME]
        self._only = Selected()
        self._selected: dict[str, Selected] = {}
        self._joined: tuple[tuple[LabelTable, ...], LabelTable] | None = None

    @property
    def reads(self) -> frozenset[str] | None:
        """The metric it names, or None where a pattern finds it."""
        return None if self.select.name is None else frozenset({self.select.name})

    def takes(self, name: str) -> bool:
        """Whether it reads that metric."""
        if self.select.name is not None and name != self.select.name:
            return False
        return all(satisfied(name) for satisfied in self._names)

    def blocks(self, now: Pass) -> list[tuple[Block, Selected]]:
        """The metrics it reads that have rows, with the rows that it takes."""
        if self.select.name is not None:
            block = now.window.blocks.get(self.select.name)
            if block is None or (self._names and not self.takes(block.name)):
                return []
            return [(block, self._only)]
        found = [block for name, block in now.window.blocks.items() if self.takes(name)]
        return [(block, self._selected.setdefault(block.name, Selected())) for block in found]

    def joined(self, now: Pass, pieces: Sequence[Vector]) -> Vector:
        """The metrics' vectors as one."""
        labels = self.join(now.window.strings, [piece.labels for piece in pieces])
        values = np.concatenate([piece.values for piece in pieces]) if pieces else np.empty(0)
        complete = all(piece.present is None for piece in pieces)
        return Vector(labels, values, None if complete else np.concatenate([piece.mask for piece in pieces]))

    def join(self, strings: Strings, tables: Sequence[LabelTable]) -> LabelTable:
        """The metrics' label tables as one, the same object while they stay the same."""
        if len(tables) == 1:
            return tables[0]
        key = tuple(tables)
        if (
            self._joined is None
            or len(self._joined[0]) != len(key)
            or any(old is not new for old, new in zip(self._joined[0], key, strict=True))
        ):
            self._joined = key, LabelTable.concat(strings, key)
        return self._joined[1]


class InstantSelector(Node):
    """`metric{…} offset …`: each series' newest good sample within the lookback."""

    def __init__(self, select: Select) -> None:
        self.selection = Selection(select)
        self._standing: Standing | None = None
        self._view: Vector | None = None
        """A view of the board: for as long as the streams stand as they did, the same vector shows the newest values."""
        super().__init__(reads=self.selection.reads)

    def compute(self, now: Pass) -> Vector:
        if self._view is not None and self._standing is now.standing():
            return self._view
        self._view = None
        found = self.selection.blocks(now)
        if len(found) != 1:
            return self.selection.joined(now, [self._piece(now, *one) for one in found])
        vector = self._piece(now, *found[0])
        select = self.selection.select
        if not select.offset_ms and select.at is None and isinstance(found[0][1].run, slice):
            self._standing, self._view = now.standing(), vector
        return vector

    def _piece(self, now: Pass, block: Block, selected: Selected) -> Vector:
        labels = selected.refresh(block, self.selection.select.matchers)
        select = self.selection.select
        if select.offset_ms or select.at is not None:
            at = now.moment(select.at, select.offset_ms)
            values, present, _ = now.past(block, selected.all_rows(block), at)
            return Vector(labels, values, present)
        values, visible = now.instant(block)
        return Vector(labels, values[selected.run], None if visible is None else visible[selected.run])


class SampleTimes(Node):
    """`timestamp(metric{…})`: when each series' sample was measured, in seconds."""

    def __init__(self, select: Select) -> None:
        self.selection = Selection(select)
        super().__init__(reads=self.selection.reads)

    def compute(self, now: Pass) -> Vector:
        select = self.selection.select
        at = now.moment(select.at, select.offset_ms)
        labels: list[LabelTable] = []
        seconds: list[Floats] = [np.empty(0)]
        present: list[Bools] = [np.empty(0, dtype=np.bool_)]
        for block, selected in self.selection.blocks(now):
            labels.append(selected.refresh(block, self.selection.select.matchers))
            _, there, times = now.past(block, selected.all_rows(block), at)
            seconds.append(_seconds(times))
            present.append(there)
        joined = self.selection.join(now.window.strings, labels)
        vector = Vector(joined, np.concatenate(seconds), np.concatenate(present))
        return now.nameless(vector)


def _seconds(times: Times) -> Floats:
    seconds: Floats = times / 1000.0
    return seconds
