"""Nodes of a plan: each knows what it reads and yields its value at a pass; shared ones compute it once."""

from collections.abc import Sequence
from typing import TypeAlias

from rules.promql.passes import Pass
from rules.promql.span import Span
from rules.promql.tree import Type
from rules.promql.vector import Vector

Value: TypeAlias = Vector | float | str | Span


class Node:
    """A compiled subexpression."""

    type: Type = Type.VECTOR

    def __init__(self, children: Sequence["Node"] = (), reads: frozenset[str] | None = frozenset()) -> None:
        """`reads` are the metrics of the node itself; None stands for metrics found by pattern."""
        self.children = tuple(children)
        known = [child.reads for child in self.children] + [reads]
        self.reads: frozenset[str] | None = None
        """Every metric below it, or None where patterns find some."""
        if all(names is not None for names in known):
            self.reads = frozenset().union(*[names for names in known if names is not None])
        self.shared = False
        """Whether several expressions hold it, so that its value is worth keeping during a pass."""
        self._kept: tuple[Pass, int, Value] | None = None

    def evaluate(self, now: Pass) -> Value:
        """Its value at the pass."""
        if not self.shared or now.inner:
            return self.compute(now)
        kept = self._kept
        if kept is not None and kept[0] is now and (kept[1] == now.writes or not now.touched(self.reads, kept[1])):
            return kept[2]
        value = self.compute(now)
        self._kept = now, now.writes, value
        now.keepers.append(self)
        return value

    def forget(self) -> None:
        """The pass is over."""
        self._kept = None

    def compute(self, now: Pass) -> Value:
        """Its value, anew."""
        raise NotImplementedError

    def vector(self, now: Pass) -> Vector:
        """Its value where it is a vector."""
        value = self.evaluate(now)
        assert isinstance(value, Vector)
        return value

    def scalar(self, now: Pass) -> float:
        """Its value where it is a scalar."""
        value = self.evaluate(now)
        assert isinstance(value, float)
        return value

    def span(self, now: Pass) -> Span:
        """Its value where it is a range vector."""
        value = self.evaluate(now)
        assert isinstance(value, Span)
        return value
