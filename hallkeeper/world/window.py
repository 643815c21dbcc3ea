"""The remediator's own window, asked in array calls: what it answers is what `rules.query.LiveWindow` answers."""

from collections.abc import Mapping

from hallkeeper.replay.window import SharedWindow
from rules.query import LiveWindow, Sample


class QuickWindow(LiveWindow):
    """A live window of its own, read through the replay's view (a test compares both views)."""

    def __init__(self, *, depth_seconds: float, names: frozenset[str]) -> None:
        super().__init__(depth_seconds=depth_seconds, names=names)
        self._view = SharedWindow(self.window, dict.fromkeys(names, depth_seconds))

    def latest(self, name: str, matchers: Mapping[str, str]) -> list[Sample]:
        """The newest sample of each series of that name whose labels equal the matchers; ended series are left out."""
        return self._view.latest(name, matchers)

    def since(self, name: str, matchers: Mapping[str, str], since_ms: int) -> list[Sample]:
        """Every sample newer than `since_ms` that the window still holds, oldest first, of whatever quality."""
        return self._view.since(name, matchers, since_ms)
