"""Which sample of every stream was the newest at a time, found without looking at all of them."""

import numpy as np
import pytest

from rules.arrays import Times
from rules.window.streams import Streams


def _counted(streams: Streams, at: int) -> Times:
    """What it is by definition: the head, less the samples that are later."""
    counted: Times = streams.heads[: streams.size] - np.count_nonzero(streams.times[:, : streams.size] > at, axis=0)
    return counted


@pytest.mark.parametrize("slots", [8, 32, 256])
@pytest.mark.parametrize("even", [True, False], ids=["even pace", "uneven pace"])
def test_the_newest_sample_at_a_time_is_the_one_that_counting_the_later_ones_gives(slots: int, even: bool) -> None:
    random = np.random.default_rng(slots)
    streams = Streams()
    streams.deepen(slots)
    for _ in range(30):
        stream, at = streams.add("rack/pdu"), 1_000
        for _ in range(int(random.integers(0, 3 * slots))):
            at += 1_000 if even else int(random.integers(1, 3_000))
            streams.advance(stream, at)
    for at in random.integers(0, 4_000 * slots, 60).tolist():
        assert streams.last_at_or_before(at).tolist() == _counted(streams, at).tolist()
