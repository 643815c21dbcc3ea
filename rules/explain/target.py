"""What an operator means by a target: an asset's name, `kind/name`, or matchers."""

from collections.abc import Mapping, Sequence
from typing import Self

from rules.promql.errors import ExpressionError
from rules.promql.parse import parse
from rules.promql.selectors import predicate
from rules.promql.tree import Matcher, Select


class Target:
    """Tells which label sets are about it."""

    def __init__(self, text: str, names: frozenset[str], matchers: Sequence[Matcher]) -> None:
        self.text = text
        self._names = names
        self._matchers = [(matcher.name, predicate(matcher)) for matcher in matchers]

    @classmethod
    def of(cls, text: str) -> Self:
        """A name (any label's value), `kind/name`, or matchers such as `rack="r1",node=~"n.*"`; empty is everything.

        Raises `ExpressionError` for matchers that cannot be read.
        """
        if not text or ("=" not in text and "~" not in text):
            return cls(text, frozenset({text, text.partition("/")[2]} - {""}), ())
        inner = text if text.startswith("{") else f"{{{text}}}"
        tree = parse(f"target{inner}")  # with a name, so that matchers may all be negative
        if not isinstance(tree, Select):
            raise ExpressionError(f"{text!r} is no target, try a name or label matchers", expr=text)
        return cls(text, frozenset(), tree.matchers)

    def meets(self, labels: Mapping[str, str]) -> bool:
        """Whether a label set is about it."""
        if self._matchers:
            return all(satisfied(labels.get(name, "")) for name, satisfied in self._matchers)
        return not self._names or not self._names.isdisjoint(labels.values())

    def may_meet(self, labels: Mapping[str, str]) -> bool:
        """Whether nothing in a label set says that it is about something else: labels may have been aggregated away."""
        return all(satisfied(labels[name]) for name, satisfied in self._matchers if name in labels)
