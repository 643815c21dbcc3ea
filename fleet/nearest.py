"""The name that was probably meant."""

from bisect import bisect_left
from collections.abc import Sequence
from difflib import get_close_matches

FEW = 200
"""So many names are all compared; of more only the neighbours in sorted order, 10 microseconds each add up."""
NEIGHBOURS = 20


def nearest(word: str, names: Sequence[str], *, cutoff: float = 0.6) -> str | None:
    """The known name most like a word, or None; of many names (which must then be sorted) those that begin like it."""
    if len(names) > FEW:
        at = bisect_left(names, word)
        names = names[max(at - NEIGHBOURS, 0) : at + NEIGHBOURS]
    return next(iter(get_close_matches(word, names, n=1, cutoff=cutoff)), None)
