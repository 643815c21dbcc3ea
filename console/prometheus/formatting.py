"""`/api/v1/format_query`: an expression as Prometheus would lay it out."""

import re
from typing import Final

import promql_parser
from starlette.responses import Response

from console.prometheus.encode import success
from console.prometheus.errors import invalid
from console.prometheus.params import Params

_STRING: Final = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)""")
_GROUPING: Final = re.compile(r"\b((?:by|without|on|ignoring|group_left|group_right) \([^()]*\))\(")


def format_query(params: Params) -> Response:
    """The expression, laid out. Raises `ApiError` for one that cannot be parsed."""
    return success(formatted(params.text("query")))


def formatted(expr: str) -> str:
    """The expression, over several lines where it is long; what stands in strings stays as it is."""
    try:
        laid_out = promql_parser.parse(expr).prettify()
    except ValueError as error:
        raise invalid("query", error) from None
    parts = _STRING.split(laid_out)
    return "".join(part if place % 2 else _spaced(part) for place, part in enumerate(parts))


def _spaced(text: str) -> str:
    """As Prometheus writes what the parser's own layout writes a little differently."""
    return _GROUPING.sub(r"\1 (", text.replace("{}", ""))
