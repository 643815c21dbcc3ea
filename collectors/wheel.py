"""Turns in groups: what is due within the same tenth of a second is started together.

Waking an idle process is what polling costs: 256 targets with a timer each cost three times as much to fetch as 20
groups a second. Pure: time is an argument, in ms.
"""

from typing import Generic, TypeVar

T = TypeVar("T")

GROUP_MS = 100
"""Ten groups a second."""


class Wheel(Generic[T]):
    """Who is to be started in which group."""

    def __init__(self, now_ms: int) -> None:
        self._turns: dict[int, list[T]] = {}
        self._reached = now_ms // GROUP_MS

    def put(self, entry: T, at_ms: int) -> None:
        """Into the first group at or after a time; what is overdue goes into the next."""
        turn = max(-(-at_ms // GROUP_MS), self._reached + 1)
        self._turns.setdefault(turn, []).append(entry)

    def take(self, now_ms: int) -> list[T]:
        """Everything whose group has come, oldest first; after a stall several groups at once."""
        before, self._reached = self._reached, now_ms // GROUP_MS
        if self._reached - before > len(self._turns):
            turns = sorted(turn for turn in self._turns if turn <= self._reached)
        else:
            turns = [turn for turn in range(before + 1, self._reached + 1) if turn in self._turns]
        return [entry for turn in turns for entry in self._turns.pop(turn)]

    def seconds_to_next(self, now_ms: int) -> float:
        """Until the next group begins."""
        return (GROUP_MS - now_ms % GROUP_MS) / 1000
