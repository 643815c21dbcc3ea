"""What each stage of a replay costs, in seconds of a clock that is handed in: measured beside the report, never in it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager


class Stages:
    """Seconds by stage; without a clock nothing is measured."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """What is done inside belongs to the stage."""
        if self._clock is None:
            yield
            return
        began = self._clock()
        try:
            yield
        finally:
            self._seconds[stage] += self._clock() - began

    @property
    def seconds(self) -> Mapping[str, float]:
        """What each has cost so far, the dearest first."""
        return dict(sorted(self._seconds.items(), key=lambda item: -item[1]))
