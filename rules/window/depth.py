"""Whether rings are deep enough: a look every few samples, before one is lost that somebody still reads. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from rules.window.layouts import Part
from rules.window.streams import FIRST_SLOTS, Streams

LOOK_EVERY: Final = 4
"""Samples between two looks; as many are kept in reserve."""
SHORTEST_INTERVAL_MS: Final = 100
"""A source that sends faster than this does not get deeper rings for it: a runaway must not eat the memory of all."""
GUESSED_INTERVAL_MS: Final = 5_000
"""Interval from which the first number of slots follows; a stream that is faster deepens its rings as it goes."""


def first_slots(depth_ms: int, interval_ms: int = GUESSED_INTERVAL_MS) -> int:
    """A power of two that holds the depth at the guessed interval, and twice what comes between two looks at it."""
    slots = FIRST_SLOTS
    while depth_ms and slots < max(depth_ms // interval_ms + 2, 2 * LOOK_EVERY):
        slots *= 2
    return slots


def shallow(streams: Streams, stream: int, parts: Sequence[Part], at: int) -> Iterator[tuple[Part, int]]:
    """Parts whose ring would soon have lost a sample that is still read when the stream's next comes at `at`; its time."""
    number = streams.newest[stream] + 1
    if number & (LOOK_EVERY - 1):
        return
    for part in parts:
        slots = part.ring.slots
        if part.depth_ms and number >= slots - LOOK_EVERY:
            oldest = streams.time_of(stream, max(number - slots + LOOK_EVERY, 0))
            if oldest > at - part.depth_ms:
                yield part, oldest
