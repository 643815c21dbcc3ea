"""When which group is evaluated: soon after what it reads has come, not more often than its spacing, at least once an interval.

Pure: times are milliseconds of a clock that never jumps, given by the caller.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from rules.files.model import RuleGroup

SPACING_MS: Final = 40
"""Between the beginnings of two passes over a group (design section 4)."""
PROTECTIVE_SPACING_MS: Final = 10
"""The same for protective groups."""


@dataclass(slots=True)
class _Turn:
    interval_ms: int
    spacing_ms: int
    begun_ms: int | None = None
    woken: bool = False

    @property
    def next_ms(self) -> int:
        """When its next pass is due; 0 before the first."""
        if self.begun_ms is None:
            return 0
        return self.begun_ms + (self.spacing_ms if self.woken else self.interval_ms)


class Timetable:
    """The turns of all groups."""

    def __init__(self, groups: Mapping[str, RuleGroup]) -> None:
        self._turns = {
            uid: _Turn(interval_ms=group.interval_ms, spacing_ms=_spacing(group)) for uid, group in groups.items()
        }

    def wake(self, uids: Iterable[str]) -> None:
        """Something that these groups read has come."""
        for uid in uids:
            self._turns[uid].woken = True

    def due(self, now_ms: int) -> list[str]:
        """Groups whose time has come, in the order of their files; they begin now."""
        due = [uid for uid, turn in self._turns.items() if turn.next_ms <= now_ms]
        for uid in due:
            turn = self._turns[uid]
            turn.begun_ms, turn.woken = now_ms, False
        return due

    def seconds_until_next(self, now_ms: int) -> float:
        """How long nothing is due."""
        following = min((turn.next_ms for turn in self._turns.values()), default=now_ms + 1_000)
        return max(following - now_ms, 0) / 1000.0


def _spacing(group: RuleGroup) -> int:
    if group.paced:
        return group.interval_ms
    return PROTECTIVE_SPACING_MS if group.protective else SPACING_MS
