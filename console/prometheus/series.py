"""`/api/v1/series`, `/labels`, `/label/<name>/values`: what the window holds."""

from collections.abc import Callable, Sequence
from typing import Final

from starlette.responses import Response

from console.prometheus.encode import success
from console.prometheus.errors import ApiError, Kind, invalid
from console.prometheus.params import Params
from console.prometheus.window import QueryWindow
from rules.holdings import Holdings, selector
from rules.promql.errors import ExpressionError
from rules.promql.tree import Select

_ALWAYS: Final = 1 << 53
_TRUNCATED: Final = "results truncated due to limit"


async def series(params: Params, window: QueryWindow) -> Response:
    """Label sets of the series that match."""
    if not params.all("match[]"):
        raise ApiError(Kind.BAD_DATA, "no match[] parameter provided")
    return await _found(params, window, Holdings.label_sets)


async def label_names(params: Params, window: QueryWindow) -> Response:
    """Names of labels, those of the matching series where matchers are given."""
    return await _found(params, window, Holdings.label_names)


async def label_values(name: str, params: Params, window: QueryWindow) -> Response:
    """Values of a label."""
    if not name:
        raise ApiError(Kind.BAD_DATA, 'invalid label name: ""')
    return await _found(params, window, lambda holdings: holdings.label_values(name))


async def _found(params: Params, window: QueryWindow, of: Callable[[Holdings], Sequence[object]]) -> Response:
    limit = params.limit()
    start, end = params.time_ms("start", -_ALWAYS), params.time_ms("end", _ALWAYS)
    selects = [_selector(text) for text in params.all("match[]")]
    found = await window.ask(lambda held: of(Holdings(held, selects, start, end)))
    if limit and len(found) > limit:
        return success(found[:limit], [_TRUNCATED])
    return success(found)


def _selector(text: str) -> Select:
    try:
        return selector(text)
    except ExpressionError as error:
        raise invalid("match[]", error) from None
