"""One evaluation at one time: what all nodes share of the window while it lasts."""

from dataclasses import dataclass
from typing import Final, Protocol, Self

import numpy as np

from rules.arrays import Bools, Floats, Rows, Times, every, some
from rules.promql.tree import At, Bound
from rules.promql.vector import Vector
from rules.window.board import Block
from rules.window.ring import GOOD_MASK
from rules.window.standing import Standing
from rules.window.window import Window

LOOKBACK_MS: Final = 300_000
"""Prometheus's default: how old a series' newest sample may be to be its value."""


class Forgetful(Protocol):
    """Keeps something for the length of a pass."""

    def forget(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """The query that a pass is part of: its first evaluation, its last, and what lies between two."""

    start_ms: int
    end_ms: int
    step_ms: int = 0


class Pass:
    """Evaluation time and, computed at most once, where each stream stands at it."""

    def __init__(self, window: Window, at_ms: int, bounds: Bounds | None = None, *, delays_names: bool = False) -> None:
        """Without `bounds` it is a query of its own.

        With `delays_names` metric names are dropped at the end (Prometheus's `promql-delayed-name-removal`).
        """
        self.window = window
        self.at_ms = at_ms
        self.bounds = Bounds(at_ms, at_ms) if bounds is None else bounds
        self.delays_names = delays_names
        self.inner = False
        """Whether it is a step of a subquery: what several expressions share is kept for the outer time alone."""
        self._others: dict[int, Self] = {}
        self.writes = 0
        """How often something was recorded into the window during the pass."""
        self._written: dict[str, int] = {}
        self._numbers: dict[int, Times] = {}
        self._standing: Standing | None = None
        self.keepers: list[Forgetful] = []
        """Nodes that keep their value until the pass is over."""
        self.ranges: dict[tuple[int, int], object] = {}
        """What range functions share per range and offset."""

    def wrote(self, name: str) -> None:
        """A series of that name was recorded: what was computed from it holds no more."""
        self.writes += 1
        self._written[name] = self.writes
        self._numbers.clear()
        self._standing = None
        self.ranges.clear()
        self._others.clear()

    def touched(self, names: frozenset[str] | None, since: int) -> bool:
        """Whether one of the metrics (None: any) was recorded since that many writes."""
        if names is None:
            return self.writes > since
        return any(self._written.get(name, 0) > since for name in names)

    def finish(self) -> None:
        """Let go of everything that was kept for the pass."""
        for keeper in self.keepers:
            keeper.forget()
        self.keepers.clear()

    def at(self, at_ms: int) -> Self:
        """The same query at another time, as subqueries evaluate what they hold."""
        found = self._others.get(at_ms)
        if found is None:
            found = self._others[at_ms] = type(self)(self.window, at_ms, self.bounds, delays_names=self.delays_names)
            found.inner = True
        return found

    def moment(self, at: At | None, offset_ms: int) -> int:
        """The time that a selector with `@` and `offset` stands at."""
        match at:
            case None:
                return self.at_ms - offset_ms
            case Bound.START:
                return self.bounds.start_ms - offset_ms
            case Bound.END:
                return self.bounds.end_ms - offset_ms
            case _:
                return at - offset_ms

    def nameless(self, vector: Vector) -> Vector:
        """Without the metric's name, now or at the end. Raises `EvaluationError` where two rows become one."""
        return vector.marked_nameless() if self.delays_names else vector.nameless()

    def numbers(self, at: int) -> Times:
        """For each stream the number of its newest sample at or before a time."""
        found = self._numbers.get(at)
        if found is None:
            found = self._numbers[at] = self.window.streams.last_at_or_before(at)
        return found

    def standing(self) -> Standing:
        """Which streams count now; the same object from pass to pass while what is present stays the same."""
        if self._standing is None:
            self._standing = self.window.standing(self.at_ms, LOOKBACK_MS)
        return self._standing

    def instant(self, block: Block) -> tuple[Floats, Bools | None]:
        """Each row's value now, as a view of the board, and which rows have one (None: all)."""
        standing, kept = self.standing(), block.kept
        if kept is None or kept[0] is not standing:
            kept = block.kept = (standing, *self._newest(block, standing))
        return kept[1], kept[2]

    def _newest(self, block: Block, standing: Standing) -> tuple[Floats, Bools | None]:
        board, span = self.window.board, block.span
        dead = board.dead[span]
        values = board.current[span]
        if standing.everyone:
            return values, ~dead if some(dead) else None
        owners = board.stream[span]
        present = standing.fresh[owners] & ~dead
        if standing.ahead is not None:
            early = np.flatnonzero(standing.ahead[owners])
            if len(early):  # the newest sample is of a time still to come: the one before counts
                values = values.copy()
                values[early], present[early], _ = self.past(block, early, self.at_ms)
        return values, None if every(present) else present

    def past(self, block: Block, rows: Rows, at: int) -> tuple[Floats, Bools, Times]:
        """Each row's value at a time that may lie back, whether it has one, and when it was measured."""
        board, ring, streams = self.window.board, block.ring, self.window.streams
        owners, columns = board.stream[block.start + rows], board.cell[block.start + rows]
        numbers = self.numbers(at)[owners]
        slots = numbers & (ring.slots - 1)
        times = streams.times[numbers & (streams.slots - 1), owners]
        held = numbers > streams.heads[owners] - ring.slots
        good = ring.states[slots, columns] & GOOD_MASK == 0
        present = held & good & (times > at - LOOKBACK_MS) & (times <= at)
        return ring.values[slots, columns], present, times
