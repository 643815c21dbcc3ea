"""One byte says how good a sample is and why: quality in the low two bits, reason in the upper six."""

from collections.abc import Mapping
from enum import IntEnum

QUALITY_MASK = 0b11
"""`byte & QUALITY_MASK` is the quality; works on numpy arrays of uint8 too."""
REASON_SHIFT = 2
"""`byte >> REASON_SHIFT` is the reason."""


class Quality(IntEnum):
    """How far a sample may be trusted; only good is evidence."""

    GOOD = 0
    UNCERTAIN = 1
    BAD = 2


class Reason(IntEnum):
    """Why a sample is not good; numbers are on the wire and never change their meaning."""

    NONE = 0
    RANGE = 1
    RATE = 2
    SENTINEL = 3
    AGE = 4
    STUCK = 5
    BALANCE = 6
    DISAGREES = 7
    NO_INTEGRITY = 8
    CLOCK = 9
    COUNTER_RESET = 10
    UNKNOWN = 63


MEANING: Mapping[Reason, str] = {
    Reason.NONE: "nothing to object",
    Reason.RANGE: "outside the plausible range of its metric",
    Reason.RATE: "changed faster than its metric can",
    Reason.SENTINEL: "a number by which the device says that it has no value",
    Reason.AGE: "older than evidence may be",
    Reason.STUCK: "has not moved while what drives it has",
    Reason.BALANCE: "does not add up with its neighbours (sum of children, heat balance)",
    Reason.DISAGREES: "another instrument for the same quantity says something else",
    Reason.NO_INTEGRITY: "came over a wire without authentication",
    Reason.CLOCK: "the clock that stamped it is unsynchronised or of unknown offset",
    Reason.COUNTER_RESET: "its counter went backwards: restart, reset or wrap",
    Reason.UNKNOWN: "a reason that this version does not know",
}


def pack(quality: Quality, reason: Reason = Reason.NONE) -> int:
    """The byte for a quality and its reason, 0 to 255."""
    return (int(reason) << REASON_SHIFT) | int(quality)


def quality_of(byte: int) -> Quality:
    """The quality in a packed byte; the unused fourth value counts as bad."""
    low = byte & QUALITY_MASK
    return Quality(low) if low <= Quality.BAD else Quality.BAD


def reason_of(byte: int) -> Reason:
    """The reason in a packed byte; `Reason.UNKNOWN` for a code of a newer version."""
    code = (byte & 0xFF) >> REASON_SHIFT
    return Reason(code) if code in _CODES else Reason.UNKNOWN


_CODES = frozenset(int(reason) for reason in Reason)
