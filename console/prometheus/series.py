"""`/api/v1/series`, `/labels`, `/label/<name>/values`: what the window holds."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from starlette.responses import Response

from console.prometheus.encode import success
from console.prometheus.errors import ApiError, Kind, invalid
from console.prometheus.params import Params
from console.prometheus.window import QueryWindow
from rules.arrays import Rows
from rules.labels import NAME
from rules.promql.errors import ExpressionError
from rules.promql.parse import parse
from rules.promql.selectors import Selection, matching_rows, predicate
from rules.promql.tree import Matcher, Select
from rules.window.board import Block
from rules.window.window import Window

_ALWAYS: Final = 1 << 53
_TRUNCATED: Final = "results truncated due to limit"


async def series(params: Params, window: QueryWindow) -> Response:
    """Label sets of the series that match."""
    if not params.all("match[]"):
        raise ApiError(Kind.BAD_DATA, "no match[] parameter provided")
    limit = params.limit()
    start, end = params.time_ms("start", -_ALWAYS), params.time_ms("end", _ALWAYS)
    selects = _selects(params)

    def ask(held: Window) -> list[dict[str, str]]:
        found = {
            tuple(sorted(labels.items())): labels
            for block, rows in _rows(held, selects, start, end)
            for labels in (block.labels.row(row) for row in rows.tolist())
        }
        return [found[key] for key in sorted(found)]

    return _answer(await window.ask(ask), limit)


async def label_names(params: Params, window: QueryWindow) -> Response:
    """Names of labels, those of the matching series where matchers are given."""

    def names(block: Block, rows: Rows) -> set[str]:
        return {name for name, codes in block.labels.columns.items() if codes[rows].any()}

    return await _collected(params, window, names)


async def label_values(name: str, params: Params, window: QueryWindow) -> Response:
    """Values of a label."""
    if not name:
        raise ApiError(Kind.BAD_DATA, 'invalid label name: ""')

    def values(block: Block, rows: Rows) -> set[str]:
        if not len(rows):
            return set()
        codes = np.unique(block.labels.codes(name)[rows])
        return {block.labels.strings.values[code] for code in codes.tolist() if code}

    return await _collected(params, window, values)


async def _collected(params: Params, window: QueryWindow, of: Callable[[Block, Rows], set[str]]) -> Response:
    limit = params.limit()
    start, end = params.time_ms("start", -_ALWAYS), params.time_ms("end", _ALWAYS)
    selects = _selects(params, plain=True) or [Select(None, ())]

    def ask(held: Window) -> list[str]:
        return sorted(set().union(*[of(block, rows) for block, rows in _rows(held, selects, start, end)]))

    return _answer(await window.ask(ask), limit)


def _answer(found: Sequence[object], limit: int) -> Response:
    if limit and len(found) > limit:
        return success(found[:limit], [_TRUNCATED])
    return success(found)


def _selects(params: Params, *, plain: bool = False) -> list[Select]:
    """The selectors of `match[]`. Raises `ApiError`; `plain` as those endpoints do that name no parameter."""
    found = []
    for text in params.all("match[]"):
        try:
            found.append(_select(text))
        except ExpressionError as error:
            raise ApiError(Kind.BAD_DATA, str(error)) if plain else invalid("match[]", error) from None
    return found


def _select(text: str) -> Select:
    tree = parse(text)
    if not isinstance(tree, Select) or tree.offset_ms or tree.at is not None:
        raise ExpressionError('a series selector is expected, such as up{job="node"}', expr=text)
    matchers: tuple[Matcher, ...] = tree.matchers
    if not tree.name and all(predicate(each)("") for each in matchers):
        raise ExpressionError("match[] must contain at least one non-empty matcher")
    return tree


def _rows(window: Window, selects: Sequence[Select], start: int, end: int) -> Iterator[tuple[Block, Rows]]:
    """The rows that selectors take and that have a sample between two times, as far as the window still knows."""
    streams = window.streams
    for select in selects:
        selection = Selection(select)
        for block in window.blocks.values():
            if not selection.takes(block.name):
                continue
            rows = np.flatnonzero(matching_rows(block.labels, [each for each in select.matchers if each.name != NAME]))
            owners = window.board.stream[block.start + rows]
            heads = streams.heads[owners]
            newest = streams.times[heads & (streams.slots - 1), owners]
            first = np.maximum(heads - (min(streams.slots, block.ring.slots) - 1), 0)
            oldest = streams.times[first & (streams.slots - 1), owners]
            yield block, rows[(heads >= 0) & (newest >= start) & (oldest <= end)]
