"""What a window must keep: which metrics, how far back, and whether as counters."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

RAW_MS: Final = 905_000
"""How far back a live engine keeps raw samples: a quarter of an hour (design, section 4) and five seconds to spare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """How one metric is read."""

    depth_ms: int = 0
    """How far back samples are read; 0 when only the newest is."""
    counter: bool = False
    """Whether `rate`, `increase` or another function that corrects for resets reads it."""

    def joined(self, other: "Need") -> "Need":
        """What serves both."""
        return Need(depth_ms=max(self.depth_ms, other.depth_ms), counter=self.counter or other.counter)

    def within(self, longest_ms: int) -> "Need":
        """The same, no further back than that."""
        return Need(depth_ms=min(self.depth_ms, longest_ms), counter=self.counter)


@dataclass(frozen=True, slots=True)
class PatternNeed:
    """A need of every metric whose name matches."""

    matches: Callable[[str], bool]
    need: Need


class Needs:
    """The needs of all readers of one window."""

    def __init__(self, names: Mapping[str, Need] | None = None, patterns: Iterable[PatternNeed] = ()) -> None:
        self._names: dict[str, Need] = dict(names or {})
        self._patterns: list[PatternNeed] = list(patterns)
        self._known: dict[str, Need | None] = {}

    def of(self, name: str) -> Need | None:
        """How the metric is read, or None when nobody does."""
        if name not in self._known:
            found = [pattern.need for pattern in self._patterns if pattern.matches(name)]
            exact = self._names.get(name)
            if exact is not None:
                found.append(exact)
            joined = found[0] if found else None
            for need in found[1:]:
                joined = need.joined(joined) if joined is not None else need
            self._known[name] = joined
        return self._known[name]

    def within(self, longest_ms: int | None) -> "Needs":
        """The same needs, none further back than that; what looks further sees only so much."""
        if longest_ms is None:
            return self
        names = {name: need.within(longest_ms) for name, need in self._names.items()}
        patterns = [PatternNeed(pattern.matches, pattern.need.within(longest_ms)) for pattern in self._patterns]
        return Needs(names, patterns)

    @property
    def deepest_ms(self) -> int:
        """The furthest that anybody looks back."""
        needs = [*self._names.values(), *(pattern.need for pattern in self._patterns)]
        return max((need.depth_ms for need in needs), default=0)

    @property
    def names(self) -> frozenset[str]:
        """Metrics named one by one."""
        return frozenset(self._names)


EVERYTHING: Final[Callable[[str], bool]] = lambda _: True  # noqa: E731 - a constant predicate reads best as one line
"""Matches every name."""
