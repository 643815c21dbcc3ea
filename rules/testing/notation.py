"""How series are written in unit tests: `metric{label="value"}`, and the expanding notation of their values."""

import re
from collections.abc import Iterator
from typing import Final

from rules.labels import NAME
from rules.publication import STALE_FLOAT

Labels = tuple[tuple[str, str], ...]
"""A label set with its `__name__`, sorted by label; no empty values."""

MOST_SAMPLES: Final = 10_000_000
"""Of one series: a repetition beyond is a typing error."""

_SPACE: Final = re.compile(r"\s*")
_METRIC: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUOTED: Final = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|`[^`]*`')
_NUMBER: Final = r"(?:(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|(?i:inf|nan)(?![A-Za-z0-9_:]))"
_ITEM: Final = re.compile(
    rf"(?P<blank>_)(?:x(?P<blanks>\d+))?"
    rf"|(?P<start>stale(?![A-Za-z0-9_:])|[-+]?{_NUMBER})(?:(?P<step>[-+]{_NUMBER})?x(?P<times>\d+))?"
)
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)
_PLAIN_ESCAPES: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "'": "'",
}  # fmt: skip


class NotationError(ValueError):
    """What is written is no series; the message says where and what was expected."""


def metric_of(text: str) -> Labels:
    """The label set of a series as it is written; `{}` and nothing at all are the empty one. Raises `NotationError`."""
    return _Metric(text).read()


class _Metric:
    """One pass over the text."""

    def __init__(self, text: str) -> None:
        self._text, self._place = text, 0

    def read(self) -> Labels:
        found: dict[str, str] = {}
        name = self._take(_METRIC)
        if name is not None:
            found[NAME] = name
        if self._char("{"):
            self._set(found)
        if self._rest():
            raise self._refusal("the end of the series")
        return tuple(sorted((label, value) for label, value in found.items() if value))

    def _set(self, found: dict[str, str]) -> None:
        """Labels up to the closing brace."""
        while not self._char("}"):
            label, value = self._pair()
            if label in found:
                raise NotationError(f"label {label!r} is there twice in {self._text!r}")
            found[label] = value
            if not self._char(","):
                if not self._char("}"):
                    raise self._refusal("',' or '}'")
                return

    def _pair(self) -> tuple[str, str]:
        quoted = self._take(_QUOTED)
        label = unquoted(quoted) if quoted is not None else self._take(_LABEL)
        if label is None:
            raise self._refusal("a label or '}'")
        if not self._char("="):
            if quoted is not None:  # a metric's name in quotes
                return NAME, label
            raise self._refusal("'='")
        value = self._take(_QUOTED)
        if value is None:
            raise self._refusal("a value in quotes")
        return label, unquoted(value)

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        self._skip()
        found = pattern.match(self._text, self._place)
        if found is None:
            return None
        self._place = found.end()
        return found.group()

    def _char(self, wanted: str) -> bool:
        self._skip()
        if not self._text.startswith(wanted, self._place):
            return False
        self._place += 1
        return True

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._place)
        assert found is not None
        self._place = found.end()

    def _rest(self) -> str:
        self._skip()
        return self._text[self._place :]

    def _refusal(self, expected: str) -> NotationError:
        rest = self._rest()[:20]
        return NotationError(f"expected {expected}, found {repr(rest) if rest else 'the end'} in {self._text!r}")


def unquoted(text: str) -> str:
    """What a literal in quotes stands for, with Go's escapes. Raises `NotationError`."""
    if text[0] == "`":
        return text[1:-1]
    return _ESCAPE.sub(_unescaped, text[1:-1])


def _unescaped(found: re.Match[str]) -> str:
    byte, short, long, octal, plain = found.groups()
    if plain is not None:
        if plain not in _PLAIN_ESCAPES:
            raise NotationError(f"unknown escape {found.group()!r}")
        return _PLAIN_ESCAPES[plain]
    return chr(int(octal, 8) if octal else int(byte or short or long, 16))


def values_of(text: str) -> list[float | None]:
    """The samples of the expanding notation; None is a missing one. Raises `NotationError`.

    `a+bxn` adds b again and again, as promtool does: its sums, not the products, decide the last bit.
    """
    values: list[float | None] = []
    for word in text.split():
        values += _item(word, MOST_SAMPLES - len(values))
    return values


def _item(word: str, room: int) -> Iterator[float | None]:
    found = _ITEM.fullmatch(word)
    if found is None:
        if "{{" in word or "}}" in word:
            raise NotationError("native histograms are not supported")
        raise NotationError(f"{word!r} is no sample")
    if int(found["times"] or found["blanks"] or 0) >= room:
        raise NotationError(f"{word!r} makes more than {MOST_SAMPLES} samples")
    return _expanded(found)


def _expanded(found: re.Match[str]) -> Iterator[float | None]:
    if found["blank"]:
        yield from [None] * int(found["blanks"] if found["blanks"] is not None else 1)
        return
    value = STALE_FLOAT if found["start"] == "stale" else float(found["start"])
    step = 0.0 if found["step"] is None else float(found["step"])
    for number in range(int(found["times"] or 0) + 1):
        if number and found["step"] is not None:
            value += step
        yield value


def series_text(labels: Labels) -> str:
    """A label set as Prometheus writes it."""
    named = dict(labels)
    name = named.pop(NAME, "")
    inner = ", ".join(f"{label}={quoted(value)}" for label, value in named.items())
    return f"{name}{{{inner}}}" if inner or not name else name


def quoted(value: str) -> str:
    """A string literal."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def value_text(value: float) -> str:
    """A number as short as it reads back."""
    if value != value:  # noqa: PLR0124 - NaN
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "+Inf" if value > 0 else "-Inf"
    return repr(value).removesuffix(".0")
