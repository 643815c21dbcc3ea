"""Which frames were seen: by source, boot and sequence, in memory that does not grow with time."""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Final

_RUNS: Final = 64
"""Gaps remembered per boot: the spool delivers current frames first and older ones after, in a few runs."""
_BOOTS: Final = 4
"""Boots remembered per source: a collector that restarted, and the spool of the one before."""


class _Seen:
    """Sequences of one boot as sorted, disjoint, inclusive runs."""

    __slots__ = ("firsts", "lasts")

    def __init__(self, sequence: int) -> None:
        self.firsts = [sequence]
        self.lasts = [sequence]

    def add(self, sequence: int) -> bool:
        """Whether it is new."""
        if sequence == self.lasts[-1] + 1:
            self.lasts[-1] = sequence
            return True
        run = bisect_right(self.firsts, sequence) - 1
        if run >= 0 and sequence <= self.lasts[run]:
            return False
        self._insert(run, sequence)
        return True

    def _insert(self, run: int, sequence: int) -> None:
        firsts, lasts = self.firsts, self.lasts
        joins_left = run >= 0 and lasts[run] == sequence - 1
        joins_right = run + 1 < len(firsts) and firsts[run + 1] == sequence + 1
        if joins_left and joins_right:
            lasts[run] = lasts.pop(run + 1)
            firsts.pop(run + 1)
        elif joins_left:
            lasts[run] = sequence
        elif joins_right:
            firsts[run + 1] = sequence
        else:
            firsts.insert(run + 1, sequence)
            lasts.insert(run + 1, sequence)
        if len(firsts) > _RUNS:  # the oldest gap counts as seen: its frames are too late for the window anyway
            lasts[0] = lasts.pop(1)
            firsts.pop(1)


class Sequences:
    """The frames seen so far."""

    def __init__(self) -> None:
        self._sources: dict[str, dict[int, _Seen]] = {}

    def add(self, source: str, boot: int, sequence: int) -> bool:
        """Note a frame; False when it was here before."""
        boots = self._sources.get(source)
        if boots is None:
            boots = self._sources[source] = {}
        seen = boots.get(boot)
        if seen is not None:
            return seen.add(sequence)
        boots[boot] = _Seen(sequence)
        if len(boots) > _BOOTS:
            boots.pop(next(iter(boots)))
        return True

    def forget(self, source: str) -> None:
        """The source is gone."""
        self._sources.pop(source, None)

    def restore(self, sources: Mapping[str, Mapping[int, tuple[list[int], list[int]]]]) -> None:
        """What another process has seen: by source and boot, the first and the last sequence of each run."""
        for source, boots in sources.items():
            mine = self._sources[source] = {}
            for boot, (firsts, lasts) in boots.items():
                seen = mine[boot] = _Seen(0)
                seen.firsts, seen.lasts = firsts, lasts
