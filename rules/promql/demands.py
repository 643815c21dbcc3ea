"""What a window must keep so that an expression can be evaluated: how far back each of its selectors reads."""

from collections.abc import Iterator
from typing import Final

from rules.promql.info import info_select
from rules.promql.passes import LOOKBACK_MS
from rules.promql.rates import COUNTERS
from rules.promql.tree import At, Call, Select, SelectRange, Subquery, Tree, children
from rules.window.needs import Need

SPARE_MS: Final = 5_000
"""Kept beyond what is read: the pass runs a little behind the newest sample, and clocks differ by a second."""
FIXED_MS: Final = 900_000
"""Kept for a selector that `@` ties to a moment: as much as a window holds at most (a default of ours, docs/reference)."""


def demands(tree: Tree, past_ms: int = 0, *, counter: bool = False) -> Iterator[tuple[Select, Need]]:
    """Every selector of an expression that is evaluated up to `past_ms` ago, with how it is read."""
    match tree:
        case Select():
            back = _back(past_ms, tree.offset_ms, tree.at)
            yield tree, Need(depth_ms=back + LOOKBACK_MS + SPARE_MS if back > 0 else 0)
        case SelectRange():
            back = _back(past_ms, tree.select.offset_ms, tree.select.at)
            yield tree.select, Need(depth_ms=max(back + tree.range_ms, 0) + SPARE_MS, counter=counter)
        case Subquery():
            yield from demands(tree.inner, max(_back(past_ms, tree.offset_ms, tree.at) + tree.range_ms, 0))
        case Call(function="info"):
            yield from demands(tree.arguments[0], past_ms)
            yield from demands(info_select(tree), past_ms)
        case Call():
            for argument in tree.arguments:
                yield from demands(argument, past_ms, counter=tree.function in COUNTERS)
        case _:
            for child in children(tree):
                yield from demands(child, past_ms)


def _back(past_ms: int, offset_ms: int, at: At | None) -> int:
    return (FIXED_MS if isinstance(at, int) else past_ms) + offset_ms
