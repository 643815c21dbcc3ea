"""One window for both: the rules' own, made wide enough for what playbooks and gates read of it."""

from collections.abc import Mapping

from rules.query import LiveWindow
from rules.window.needs import Need, Needs
from rules.window.window import Window


class JoinedNeeds(Needs):
    """The needs of the rules, and of somebody else."""

    def __init__(self, first: Needs, own: Mapping[str, Need]) -> None:
        super().__init__(own)
        self._first = first

    def of(self, name: str) -> Need | None:
        """How the metric is read by either."""
        one, other = self._first.of(name), super().of(name)
        if one is None or other is None:
            return one or other
        return one.joined(other)

    @property
    def deepest_ms(self) -> int:
        """The furthest that anybody looks back."""
        return max(self._first.deepest_ms, super().deepest_ms)

    @property
    def names(self) -> frozenset[str]:
        """Metrics named one by one."""
        return self._first.names | super().names


class SharedWindow(LiveWindow):
    """The remediator's view of the engine's window: a frame is placed once and read by both."""

    def __init__(self, window: Window, names: Mapping[str, float]) -> None:
        """Widen `window` by metrics (name to seconds of depth)."""
        own = {name: Need(depth_ms=round(1000 * seconds), counter=True) for name, seconds in names.items()}
        super().__init__(depth_seconds=max(names.values(), default=0.0), names=frozenset())
        window.require(JoinedNeeds(window.needs, own))
        self.window = window
