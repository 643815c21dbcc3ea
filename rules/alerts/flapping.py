"""Alerts that come and go: from a number of firings on, one stays until it has been calm for long enough."""

from collections.abc import Mapping, Sequence
from typing import Final

from rules.files.model import FlapDamping

REMEMBERED: Final = 100_000
"""Alerts of one rule whose firings are remembered at most; the oldest go first."""


class Flapping:
    """The latest firings of each of a rule's alerts."""

    def __init__(self, damping: FlapDamping | None) -> None:
        self._damping = damping
        self._fired: dict[str, list[int]] = {}

    def fired(self, identity: str, at_ms: int) -> int:
        """It fired; how long its expression must not hold before it ends, 0 where it does not flap."""
        damping = self._damping
        if damping is None:
            return 0
        times = [at for at in self._fired.pop(identity, ()) if at > at_ms - damping.within_ms]
        times.append(at_ms)
        self._fired[identity] = times[-damping.times :]
        if len(self._fired) > REMEMBERED:
            del self._fired[next(iter(self._fired))]
        return damping.calm_ms if len(times) >= damping.times else 0

    def state(self, now_ms: int) -> dict[str, list[int]]:
        """What survives a restart: firings that still count."""
        if self._damping is None:
            return {}
        since = now_ms - self._damping.within_ms
        return {identity: times for identity, times in self._fired.items() if times[-1] > since}

    def restore(self, fired: Mapping[str, Sequence[int]]) -> None:
        """Go on from there."""
        if self._damping is not None:
            self._fired.update({identity: list(times) for identity, times in fired.items()})

    def adopt(self, other: "Flapping") -> None:
        """Take over what the same rule saw before a reload."""
        self.restore(other._fired)  # noqa: SLF001 - its own kind
