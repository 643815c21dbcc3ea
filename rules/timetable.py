"""When which group is evaluated: soon after what it reads has come, not more often than its spacing, at least once an interval.

What is due is given in slices, the most urgent groups first and never much longer than `SLICE_MS`, so that a frame that
trips a protective or critical group does not wait for the rest. Pure: times are milliseconds of a clock that never jumps,
given by the caller, and so is what a slice has cost.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rules.files.model import RuleGroup
from rules.urgency import urgencies

SPACING_MS: Final = 40
"""Between the beginnings of two passes over a group, at most (design section 4)."""
PROTECTIVE_SPACING_MS: Final = 10
"""The same for protective groups."""
AIM_MS: Final = 37.0
"""A frame's longest wait is the spacing, and its pass comes after it: both together are to take so long. 13 of the 50 ms from
frame to alert are left for the bus on both sides …"""
SHARE: Final = 1.5
"""… as long as passes take two thirds of the time at most. Defaults of ours."""
SLICE_MS: Final = 50.0
"""What is judged at a time, by what it has cost before: so long a critical group may stand behind others."""
LATE_MS: Final = 1_000
"""A group that has been due for so long takes turns with those that are more urgent: nobody starves."""
NEWEST: Final = 0.25
"""Weight of the newest cost in a group's mean."""


@dataclass(slots=True)
class _Turn:
    interval_ms: int
    spacing_ms: int | None
    """None where it follows what all passes cost."""
    urgency: int
    begun_ms: int | None = None
    woken: bool = False
    cost_ms: float | None = None

    def next_ms(self, spacing_ms: int) -> int:
        """When its next pass is due; 0 before the first."""
        if self.begun_ms is None:
            return 0
        if self.woken:
            return self.begun_ms + (spacing_ms if self.spacing_ms is None else self.spacing_ms)
        return self.begun_ms + self.interval_ms


class Timetable:
    """The turns of all groups."""

    def __init__(self, groups: Mapping[str, RuleGroup]) -> None:
        urgency = urgencies(list(groups.values()))
        self._turns = {
            uid: _Turn(interval_ms=group.interval_ms, spacing_ms=_spacing(group), urgency=urgency[group.uid])
            for uid, group in groups.items()
        }
        self._spacing_ms = SPACING_MS
        self._last: int | None = None
        """The urgency of the last slice."""

    def wake(self, uids: Iterable[str]) -> None:
        """Something that these groups read has come."""
        for uid in uids:
            self._turns[uid].woken = True

    def due(self, now_ms: int) -> list[str]:
        """The next slice of the groups whose time has come, in the order of their files; they begin now.

        Whoever asks again once it is judged gets the next slice, until nothing is due.
        """
        waiting = [(uid, turn) for uid, turn in self._turns.items() if turn.next_ms(self._spacing_ms) <= now_ms]
        if not waiting:
            return []
        whose = self._whose(waiting, now_ms)
        chosen = _slice([(uid, turn) for uid, turn in waiting if turn.urgency == whose or turn.begun_ms is None])
        for uid in chosen:
            turn = self._turns[uid]
            turn.begun_ms, turn.woken = now_ms, False
        return chosen

    def took(self, uids: Sequence[str], milliseconds: float) -> None:
        """Judging these groups together took so long."""
        for uid in uids:
            turn = self._turns.get(uid)
            if turn is not None:
                before, newest = turn.cost_ms, milliseconds / len(uids)
                turn.cost_ms = newest if before is None else before + NEWEST * (newest - before)
        woken = [turn for turn in self._turns.values() if turn.spacing_ms is None]
        if all(turn.cost_ms is not None for turn in woken):
            whole = sum([turn.cost_ms or 0.0 for turn in woken])
            self._spacing_ms = min(round(max(AIM_MS - whole, SHARE * whole)), SPACING_MS)

    def seconds_until_next(self, now_ms: int) -> float:
        """How long nothing is due."""
        following = min(
            [turn.next_ms(self._spacing_ms) for turn in self._turns.values()],
            default=now_ms + 1_000,
        )
        return max(following - now_ms, 0) / 1000.0

    def _whose(self, waiting: Sequence[tuple[str, _Turn]], now_ms: int) -> int:
        """The urgency whose turn it is: the highest, and after it once that of whoever has waited for long."""
        highest = min([turn.urgency for _, turn in waiting])
        since = [(turn.next_ms(self._spacing_ms), turn.urgency) for _, turn in waiting if turn.urgency != highest]
        longest, other = min(since, default=(now_ms, highest))
        yields = self._last == highest and now_ms - longest >= LATE_MS
        self._last = other if yields else highest
        return self._last


def _slice(turns: Sequence[tuple[str, _Turn]]) -> list[str]:
    """The first of them, as many as fit."""
    chosen: list[str] = []
    cost_ms = 0.0
    for uid, turn in turns:
        cost_ms += turn.cost_ms or 0.0
        if chosen and cost_ms > SLICE_MS:
            break
        chosen.append(uid)
    return chosen


def _spacing(group: RuleGroup) -> int | None:
    if group.paced:
        return group.interval_ms
    return PROTECTIVE_SPACING_MS if group.protective else None
