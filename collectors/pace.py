"""When each signal of a target is due: intervals, spread, back-off, incidents. Pure: time is an argument, in ms.

Back-off follows additive increase, multiplicative decrease: each failed poll halves a target's rate, down to one try a
minute; each answered one gives a quarter of the full rate back.
"""

from collections.abc import Mapping
from zlib import crc32

BACKOFF_SECONDS = 60.0
"""A device that stays silent is asked at least this often."""
REGAIN = 0.25
"""Part of the full rate that one answer gives back (default to tune)."""
UNHURRIED = frozenset({"energy", "sel", "node"})
"""Signals that an incident does not hurry: nothing is proven by them."""


class Pace:
    """The timetable of one target."""

    __slots__ = (
        "_due_ms",
        "_intervals_ms",
        "_normal_ms",
        "_not_before_ms",
        "_rate",
        "_spread",
        "fastest",
        "shortest_ms",
    )

    def __init__(self, name: str, intervals: Mapping[str, float], start_ms: int) -> None:
        """`intervals` in seconds by signal. Starts are spread by the target's name over its shortest interval."""
        self._spread = crc32(name.encode())
        self._normal_ms = {signal: max(int(seconds * 1000), 1) for signal, seconds in intervals.items()}
        self._intervals_ms = dict(self._normal_ms)
        self.shortest_ms = min(self._normal_ms.values())
        self.fastest = min(self._normal_ms, key=lambda signal: (self._normal_ms[signal], signal))
        """The signal that is read most often; an incident does not change which it is."""
        first = start_ms + (self._spread - start_ms) % self.shortest_ms
        self._due_ms = dict.fromkeys(intervals, first)
        self._not_before_ms = first
        self._rate = 1.0

    @property
    def next_ms(self) -> int:
        """When to poll again."""
        return max(min(self._due_ms.values()), self._not_before_ms)

    def due(self, now_ms: int) -> frozenset[str]:
        """The signals that are due."""
        return frozenset(signal for signal, due_ms in self._due_ms.items() if due_ms <= now_ms)

    def started(self, signals: frozenset[str], now_ms: int) -> None:
        """These signals are being asked: their next turns lie on their own grid, slow ones spread over their interval."""
        for signal in signals:
            interval = self._intervals_ms[signal]
            self._due_ms[signal] = now_ms + interval - (now_ms - self._spread) % interval

    def answered(self) -> None:
        self._rate = min(self._rate + REGAIN, 1.0)

    def failed(self) -> None:
        self._rate = max(self._rate / 2, self.shortest_ms / (BACKOFF_SECONDS * 1000))

    def finished(self, now_ms: int, *, longest_seconds: float = BACKOFF_SECONDS) -> None:
        """A poll is over: with a lowered rate the next one waits from now on."""
        wait_ms = min(self.shortest_ms / self._rate, longest_seconds * 1000)
        self._not_before_ms = now_ms + int(wait_ms) if self._rate < 1.0 else 0

    def hurry(self, seconds: float | None, now_ms: int) -> None:
        """Read at least this often while an incident is open on the asset; None: as usual again."""
        for signal, normal in self._normal_ms.items():
            fast = normal if seconds is None or signal in UNHURRIED else min(normal, int(seconds * 1000))
            self._intervals_ms[signal] = fast
            self._due_ms[signal] = min(self._due_ms[signal], now_ms + fast)
        self.shortest_ms = min(self._intervals_ms.values())
        if seconds is not None:
            self._not_before_ms = min(self._not_before_ms, now_ms + int(seconds * 1000))
