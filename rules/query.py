"""The public way to ask the live window: what was measured, and what a PromQL expression says about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from bus.frames import Frame, SeriesTable


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series."""

    labels: Mapping[str, str]
    """With `__name__` where the series has one."""
    value: float
    at_ms: int
    """When the device measured it (Unix ms); for an expression's result the time of the evaluation."""
    quality: int = 0
    """Packed quality and reason as in the frame (`fleet.quality`); 0 is good."""


class LiveWindow:
    """The newest samples of the metrics that somebody named, in bounded memory."""

    def __init__(self, *, depth_seconds: float, names: frozenset[str] | None = None) -> None:
        """Keep at least `depth_seconds` of every metric in `names` (None: of every metric)."""
        raise NotImplementedError

    def append(self, record_value: bytes | Frame | SeriesTable) -> None:
        """Take what travelled on `telemetry.frames`. Raises `Malformed` for bytes that are neither frame nor table."""
        raise NotImplementedError

    def latest(self, name: str, matchers: Mapping[str, str]) -> list[Sample]:
        """The newest sample of each series of that name whose labels equal the matchers; ended series are left out."""
        raise NotImplementedError

    def since(self, name: str, matchers: Mapping[str, str], since_ms: int) -> list[Sample]:
        """Every sample newer than `since_ms` that the window still holds, oldest first, of whatever quality."""
        raise NotImplementedError


class Query:
    """A PromQL expression, compiled once."""

    @classmethod
    def compile(cls, expr: str) -> Self:
        """Parse and check. Raises `ExpressionError` with what is wrong and where."""
        raise NotImplementedError

    def evaluate(self, window: LiveWindow, at_ms: int) -> list[Sample]:
        """The instant vector at that time, exactly Prometheus 3.x; a scalar is one sample without labels."""
        raise NotImplementedError
