"""`/api/v1/query` and `/api/v1/query_range`: one expression over the window."""

from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Final

from starlette.responses import Response

from console.prometheus.encode import data_of, success
from console.prometheus.errors import ApiError, Kind, invalid
from console.prometheus.params import Params, duration_ms
from console.prometheus.window import QueryWindow
from fleet.errors import HallkeeperError
from rules.promql.asking import MOST_STEPS, MatrixResult, Question, Result, VectorResult
from rules.promql.errors import ExpressionError
from rules.promql.passes import LOOKBACK_MS
from rules.promql.tree import Type
from rules.window.window import Window

TIMEOUT_MS: Final = 30_000
"""Of one query (a default of ours: it covers 15 minutes at most; Prometheus has two minutes)."""
_TRUNCATED: Final = "results truncated due to limit"


async def instant(params: Params, window: QueryWindow, now_ms: int) -> Response:
    """What an expression says at a time."""
    limit = params.limit()
    at = params.time_ms("time", now_ms)
    _timeout(params)
    _lookback(params)
    question = _question(params)
    return _told(await _asked(window, lambda held: question.instant(held, at)), limit)


async def over_range(params: Params, window: QueryWindow) -> Response:
    """What an expression says at every step of a range."""
    limit = params.limit()
    start, end = params.time_ms("start"), params.time_ms("end")
    if end < start:
        raise invalid("end", "end timestamp must not be before start time")
    step = _step(params, end - start)
    check = _deadline(_timeout(params))
    _lookback(params)
    question = _question(params)
    if question.type not in {Type.SCALAR, Type.VECTOR}:
        kind = "range vector" if question.type is Type.MATRIX else "string"
        message = f'invalid expression type "{kind}" for range query, must be Scalar or instant Vector'
        raise invalid("query", message)
    return _told(await _asked(window, lambda held: question.range(held, start, end, step, before_step=check)), limit)


def _step(params: Params, length_ms: int) -> int:
    """The step, in milliseconds. Raises `ApiError` where it makes no sense over that length."""
    step = params.duration_ms("step")
    if step <= 0:
        message = "zero or negative query resolution step widths are not accepted. Try a positive integer"
        raise invalid("step", message)
    if length_ms // step > MOST_STEPS:
        message = "exceeded maximum resolution of 11,000 points per timeseries."
        raise ApiError(Kind.BAD_DATA, f"{message} Try decreasing the query resolution (?step=XX)")
    return step


def _question(params: Params) -> Question:
    try:
        return Question.compile(params.text("query"))
    except ExpressionError as error:
        raise invalid("query", error) from None


async def _asked(window: QueryWindow, question: Callable[[Window], Result]) -> Result:
    """An answer; what keeps it from being there in Prometheus's terms. Raises `ApiError`."""
    try:
        return await window.ask(question)
    except (HallkeeperError, ArithmeticError, ValueError, MemoryError) as error:
        raise ApiError(Kind.EXECUTION, str(error)) from None


def _timeout(params: Params) -> int:
    """How long the query may take, in milliseconds: what is asked for, up to our own limit."""
    return min(params.duration_ms("timeout"), TIMEOUT_MS) if params.text("timeout") else TIMEOUT_MS


def _lookback(params: Params) -> None:
    text = params.text("lookback_delta")
    if not text:
        return
    try:
        wanted = duration_ms(text)
    except ValueError as error:
        raise ApiError(Kind.BAD_DATA, f"error parsing lookback delta duration: {error}") from None
    if wanted != LOOKBACK_MS:
        raise invalid("lookback_delta", f"is always {LOOKBACK_MS // 60_000}m here, try leaving it out")


def _deadline(timeout_ms: int) -> Callable[[int], None]:
    ends = monotonic() + timeout_ms / 1000.0

    def check(_: int) -> None:
        if monotonic() > ends:
            raise ApiError(Kind.TIMEOUT, "query timed out in expression evaluation, try a larger step")

    return check


def _told(result: Result, limit: int) -> Response:
    """The answer, with at most so many elements and a warning where some were left out."""
    match result:
        case VectorResult() if limit and len(result.elements) > limit:
            return success(data_of(replace(result, elements=result.elements[:limit])), [_TRUNCATED])
        case MatrixResult() if limit and len(result.series) > limit:
            return success(data_of(replace(result, series=result.series[:limit])), [_TRUNCATED])
        case _:
            return success(data_of(result))
