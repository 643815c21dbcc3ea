"""Why a selector finds nothing: no such metric, no such labels, or samples that are too old or not good."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from fleet.quality import Quality
from rules.arrays import Rows
from rules.explain.target import Target
from rules.files.durations import duration_text
from rules.labels import NAME
from rules.promql.passes import LOOKBACK_MS
from rules.promql.selectors import Selection, matching_rows
from rules.promql.tree import Matcher, Select
from rules.testing.notation import quoted
from rules.window.board import Block
from rules.window.ring import GOOD_MASK, STALE
from rules.window.window import Window

SHOWN: Final = 5
"""Values of a label that are named."""


def why_absent(select: Select, target: Target, window: Window, at_ms: int) -> str:
    """One sentence on why the selector has no element about the target at that time."""
    selection = Selection(select)
    blocks = [block for block in window.blocks.values() if selection.takes(block.name)]
    if not blocks:
        return f"nothing named {select.name} was received" if select.name else "no metric of such a name was received"
    matchers = [each for each in select.matchers if each.name != NAME]
    for block in blocks:
        rows = np.flatnonzero(matching_rows(block.labels, matchers))
        mine = np.array([row for row in rows.tolist() if target.meets(block.labels.row(row))], dtype=np.int64)
        if len(mine):
            return _why_silent(window, block, mine, at_ms - select.offset_ms)
        if len(rows):
            return f"{len(rows)} series of {block.name} match, none of them of {target.text}"
    return _why_unmatched(blocks[0], matchers)


def _why_unmatched(block: Block, matchers: Sequence[Matcher]) -> str:
    for matcher in matchers:
        if not matching_rows(block.labels, [matcher]).any():
            codes = np.unique(block.labels.codes(matcher.name)).tolist()
            values = sorted(block.labels.strings.values[code] for code in codes)
            shown = ", ".join(quoted(value) for value in values[:SHOWN]) + (", …" if len(values) > SHOWN else "")
            wanted = f"{matcher.name}{matcher.match}{quoted(matcher.value)}"
            return f"no series of {block.name} has {wanted}: there it is {shown}"
    return f"no series of {block.name} meets all matchers at once"


def _why_silent(window: Window, block: Block, rows: Rows, at_ms: int) -> str:
    """The series are known: their newest sample at the time was too old, or not good."""
    row = int(rows[0])
    stream, cell = int(window.board.stream[block.start + row]), int(window.board.cell[block.start + row])
    number = int(window.streams.last_at_or_before(at_ms)[stream])
    held = number >= 0 and number > int(window.streams.heads[stream]) - block.ring.slots
    if not held:
        return "the window holds no sample of it at that time"
    age_ms = at_ms - window.streams.time_of(stream, number)
    state = int(block.ring.states[number & (block.ring.slots - 1), cell])
    if state == STALE:
        return f"it ended: marked stale {duration_text(age_ms)} before"
    if state & GOOD_MASK:
        return f"its newest sample is {Quality(state & GOOD_MASK).name.lower()}, and only good ones count"
    if age_ms >= LOOKBACK_MS:
        return f"its newest sample was {duration_text(age_ms)} old, and {duration_text(LOOKBACK_MS)} is the limit"
    return "its samples of that time are not held any more"
