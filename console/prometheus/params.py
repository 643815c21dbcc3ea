"""What a request says: query string and form, times, durations and limits, read as Prometheus reads them."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from console.prometheus.errors import invalid
from rules.files.durations import milliseconds

MOST_BYTES: Final = 1 << 20
"""Of a form: a longer one is refused (a default of ours; the longest queries of dashboards are some kilobytes)."""
_NUMBER: Final = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_FARTHEST_MS: Final = 1 << 53
"""Times beyond are cut: JSON's numbers end there."""
_FRACTION: Final = re.compile(r"(\.\d{6})\d+")
_BOUNDS: Final = {"-292273086-05-16T16:47:06Z": -_FARTHEST_MS, "292277025-08-18T07:12:54.999999999Z": _FARTHEST_MS}
"""How Prometheus's clients write the earliest and the latest time."""


class Params:
    """The parameters of one request; where one is there several times, the form's first counts."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = list(pairs)

    def text(self, name: str) -> str:
        """A parameter; empty where it is absent."""
        return next((value for key, value in self._pairs if key == name), "")

    def all(self, name: str) -> list[str]:
        """Every value of a parameter."""
        return [value for key, value in self._pairs if key == name]

    def time_ms(self, name: str, default: int | None = None) -> int:
        """Unix seconds or RFC 3339, as Unix milliseconds. Raises `ApiError`."""
        text = self.text(name)
        if not text and default is not None:
            return default
        try:
            return time_ms(text)
        except ValueError as error:
            prefix = "" if default is None else f"invalid time value for '{name}': "
            raise invalid(name, f"{prefix}{error}") from None

    def duration_ms(self, name: str) -> int:
        """Seconds or a duration such as 5m. Raises `ApiError`."""
        try:
            return duration_ms(self.text(name))
        except ValueError as error:
            raise invalid(name, error) from None

    def limit(self, name: str = "limit") -> int:
        """How many at most; 0 where nothing is said. Raises `ApiError`."""
        text = self.text(name)
        if not text:
            return 0
        if not re.fullmatch(r"[-+]?\d+", text):
            raise invalid(name, f'strconv.Atoi: parsing "{text}": invalid syntax')
        if int(text) < 0:
            raise invalid(name, "limit must be non-negative")
        return int(text)


async def params_of(request: Request) -> Params:
    """The parameters of a request: those of its form first. Raises `ApiError`."""
    pairs: list[tuple[str, str]] = []
    if request.method == "POST":
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                raise invalid("query", f"the form is longer than {MOST_BYTES} bytes")
        pairs += parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    pairs += parse_qsl(request.url.query, keep_blank_values=True)
    return Params(pairs)


def time_ms(text: str) -> int:
    """Unix milliseconds. Raises `ValueError`."""
    if _NUMBER.fullmatch(text):
        return round(min(max(float(text) * 1000.0, -_FARTHEST_MS), _FARTHEST_MS))
    if text in _BOUNDS:
        return _BOUNDS[text]
    try:
        at = datetime.fromisoformat(_FRACTION.sub(r"\1", text))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or "T" not in text.upper():
        raise ValueError(f'cannot parse "{text}" to a valid timestamp')
    return int(at.timestamp() * 1000 // 1)


def duration_ms(text: str) -> int:
    """Milliseconds. Raises `ValueError`."""
    if _NUMBER.fullmatch(text):
        if abs(float(text)) >= 2**63 / 1e9:
            raise ValueError(f'cannot parse "{text}" to a valid duration. It overflows int64')
        return int(float(text) * 1000)
    try:
        return milliseconds(text)
    except ValueError:
        raise ValueError(f'cannot parse "{text}" to a valid duration') from None
