"""The management network between us and the devices: what it does to one request and to its answer."""

from dataclasses import dataclass, field
from random import Random

ROUND_TRIP_SECONDS = 0.02
PATIENCE_SECONDS = 2.0
"""How long an answer is waited for before it counts as lost."""
READ_TRIES = 3
"""Reads may be repeated."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one request."""

    arrives: bool = True
    answered: bool = True
    copies: tuple[float, ...] = ()
    """Seconds after which copies of it arrive as well."""
    late_seconds: float = 0.0
    """By how much the request itself is late."""


@dataclass(slots=True)
class Network:
    """Shares of requests to which each thing happens, now; the seed decides which."""

    random: Random
    lost: float = 0.0
    """Of requests."""
    mute: float = 0.0
    """Of answers to commands: the device did it and nobody hears."""
    doubled: float = 0.0
    """Of datagrams: they arrive once more within a few seconds."""
    late: float = 0.0
    """Of requests: they arrive up to `late_seconds` later."""
    late_seconds: float = 20.0
    one_way: set[str] = field(default_factory=set)
    """Assets that hear us and whose answers never come back."""

    def command(self, asset: str) -> Fate:
        """Of one state-changing request."""
        draw = self.random.random
        copies = (self.random.uniform(0.05, 8.0),) if draw() < self.doubled else ()
        late = self.random.uniform(1.0, self.late_seconds) if draw() < self.late else 0.0
        return Fate(
            arrives=draw() >= self.lost,
            answered=draw() >= self.mute and asset not in self.one_way,
            copies=copies,
            late_seconds=late,
        )

    def read(self, asset: str) -> bool:
        """Whether one try of a read is answered."""
        return asset not in self.one_way and self.random.random() >= self.lost
