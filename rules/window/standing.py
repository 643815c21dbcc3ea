"""Which streams' newest samples count at a time, and a mark that stays one object for as long as nothing about it changes.

Whoever derives from it which rows are present compares the mark by identity, and in the common case derives nothing: all
devices answer, and what is there stays there.
"""

from dataclasses import dataclass

from rules.arrays import Bools, every, some
from rules.window.streams import Streams


@dataclass(slots=True, eq=False)
class Standing:
    """Presence at a time, as far as streams and holes decide it; equal ones are one object."""

    structure: int
    """Of the window: where rows lie."""
    deaths: int
    """Of the board: which rows' newest samples are not good."""
    fresh: Bools
    """Streams whose newest sample counts."""
    everyone: bool
    """Whether those are all that have rows."""
    ahead: Bools | None
    """Streams whose newest sample is of a time still to come; None: there are none."""

    @property
    def lasting(self) -> bool:
        """Whether what was derived from it holds as long as it is the same object."""
        return self.ahead is None

    def same(self, other: "Standing") -> bool:
        """Whether everything that is derived from either holds for both."""
        return (
            self.structure == other.structure
            and self.deaths == other.deaths
            and self.lasting
            and other.lasting
            and ((self.everyone and other.everyone) or self.fresh.tobytes() == other.fresh.tobytes())
        )


def standing(streams: Streams, structure: int, deaths: int, at_ms: int, lookback_ms: int) -> Standing:
    """How the streams stand at a time."""
    size = streams.size
    newest = streams.times_at(streams.heads[:size])
    ahead = newest > at_ms
    fresh = newest > at_ms - lookback_ms
    early = some(ahead)
    if early:
        fresh &= ~ahead
    return Standing(structure, deaths, fresh, every(fresh | (streams.rows[:size] == 0)), ahead if early else None)
