"""Answers as Prometheus writes them: numbers as text, times in seconds, one envelope for all."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import numpy as np
from starlette.responses import Response

from console.prometheus.errors import ApiError
from rules.promql.asking import Element, MatrixResult, Result, ScalarResult, Series, StringResult, VectorResult

JSON = "application/json"


def success(data: object, warnings: Sequence[str] = ()) -> Response:
    """An answer."""
    body: dict[str, object] = {"status": "success", "data": data}
    if warnings:
        body["warnings"] = list(warnings)
    return Response(msgspec.json.encode(body), media_type=JSON)


def failure(error: ApiError) -> Response:
    """Why there is none."""
    body = {"status": "error", "errorType": error.kind.word, "error": str(error)}
    return Response(msgspec.json.encode(body), status_code=error.kind.status, media_type=JSON)


def data_of(result: Result) -> dict[str, object]:
    """The data of a query's answer."""
    match result:
        case ScalarResult():
            return {"resultType": "scalar", "result": [seconds(result.at_ms), number(result.value)]}
        case StringResult():
            return {"resultType": "string", "result": [seconds(result.at_ms), result.value]}
        case VectorResult():
            at = seconds(result.at_ms)
            return {"resultType": "vector", "result": [_sample(each, at) for each in result.elements]}
        case MatrixResult():
            return {"resultType": "matrix", "result": [_series(each) for each in result.series]}


def _sample(element: Element, at: float) -> dict[str, object]:
    return {"metric": dict(element.labels), "value": [at, number(element.value)]}


def _series(series: Series) -> dict[str, object]:
    pairs = zip(series.times.tolist(), series.values.tolist(), strict=True)
    return {"metric": dict(series.labels), "values": [[seconds(at), number(value)] for at, value in pairs]}


def seconds(at_ms: int) -> int | float:
    """Unix seconds, whole where they are."""
    return at_ms // 1000 if at_ms % 1000 == 0 else at_ms / 1000


def number(value: float) -> str:
    """The shortest decimal that reads back as the value; with an exponent only beyond 1e21 and below 1e-6."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if "e" not in text:
        return text.removesuffix(".0")
    if value != 0 and (abs(value) < 1e-6 or abs(value) >= 1e21):
        return text
    return np.format_float_positional(value, trim="-")


def exponential(value: float) -> str:
    """The same with an exponent always, as alerts carry their values."""
    if not math.isfinite(value):
        return number(value)
    digits = Decimal(repr(value)).normalize()
    exponent = digits.adjusted() if digits else 0
    mantissa = format(digits.scaleb(-exponent), "f")
    return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def moment(at_ms: int) -> str:
    """RFC 3339 in UTC, with as many digits as it has."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    fraction = f".{at_ms % 1000:03d}".rstrip("0").rstrip(".")
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z"
