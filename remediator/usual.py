"""What each outlet usually draws: a slow mean over the time in which its node lives, so that a change stands out."""

import math
from collections.abc import Iterable

from fleet.model import AssetId

TIME_CONSTANT_SECONDS = 900.0
"""A quarter of an hour: longer than a fault takes to be noticed, shorter than a job (default to tune)."""
SETTLED_SECONDS = 20.0
"""Before so much has been seen there is no usual."""


class UsualDraw:
    """Mean watts per outlet; fed while the node shows life, left alone while it does not."""

    def __init__(self) -> None:
        self._means: dict[AssetId, tuple[float, int, int]] = {}
        """Mean, first and last moment it was fed."""

    def feed(self, outlet: AssetId, watts: float, at_ms: int) -> None:
        """Take one reading of a living node's outlet."""
        mean, first_ms, last_ms = self._means.get(outlet, (watts, at_ms, at_ms))
        gone = max(0.0, (at_ms - last_ms) / 1000)
        weight = 1 - math.exp(-gone / TIME_CONSTANT_SECONDS)
        settled = at_ms - first_ms >= TIME_CONSTANT_SECONDS * 1000
        if not settled and gone > 0:  # at first a plain mean, or the start-up value would stay for long
            weight = max(weight, gone * 1000 / max(1, at_ms - first_ms))
        self._means[outlet] = (mean + weight * (watts - mean), first_ms, max(at_ms, last_ms))

    def __call__(self, outlet: AssetId) -> float | None:
        """The usual draw in watts; None until enough was seen."""
        found = self._means.get(outlet)
        if found is None or found[2] - found[1] < SETTLED_SECONDS * 1000:
            return None
        return found[0]

    def forget(self, outlets: Iterable[AssetId]) -> None:
        """The machine behind them changed."""
        for outlet in outlets:
            self._means.pop(outlet, None)
