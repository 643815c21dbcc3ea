"""The expression as text: where words stand, and spellings that the parser library does not know."""

import re
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<comment>\#[^\n]*)
      | (?P<double>"(?:\\.|[^"\\])*")
      | (?P<single>'(?:\\.|[^'\\])*')
      | (?P<raw>`[^`]*`)
      | (?P<number>\d[\w.]*)
      | (?P<word>[A-Za-z_:][\w:]*)""",
    re.VERBOSE | re.DOTALL,
)
_UNDERSCORE: Final = re.compile(r"(?<=[0-9a-fA-F])_(?=[0-9a-fA-F])")
_NOTHING: Final = re.compile(r"0+(?:\.0+)?(?:ms|[smhdwy])?")
"""A duration of zero."""


def _tokens(expr: str) -> Iterator[tuple[str, str, int, int]]:
    for found in _TOKEN.finditer(expr):
        assert found.lastgroup is not None
        yield found.lastgroup, found.group(), found.start(), found.end()


def plainly_spelled(expr: str) -> str:
    """The same expression without what promql-parser 0.12 reads wrongly: raw strings, underscores in numbers, no offset."""
    pieces: list[str] = []
    done = 0
    word = ""
    for kind, text, start, end in _tokens(expr):
        if kind == "raw":
            text = '"' + text[1:-1].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'  # noqa: PLW2901
        elif kind == "number":
            text = _UNDERSCORE.sub("", text)  # noqa: PLW2901
        before = expr[done:start]
        if kind == "number" and word == "offset" and before.strip() in {"", "-", "+"} and _NOTHING.fullmatch(text):
            pieces[-1], before, text = "", "", ""  # noqa: PLW2901 - an offset of nothing, which the parser refuses
        pieces += [before, text]
        done, word = end, text
    return "".join(pieces) + expr[done:]


def position_of_negative_at(expr: str) -> int | None:
    """Where `@` is followed by a negative number, which promql-parser 0.12 reads as 0."""
    bare = expr
    for kind, text, start, end in _tokens(expr):
        if kind in {"comment", "double", "single", "raw"}:
            bare = bare[:start] + " " * len(text) + bare[end:]
    found = re.search(r"@\s*-", bare)
    return None if found is None else found.start()


def position_of_word(expr: str, word: str) -> int | None:
    """Where a word stands first outside strings and comments, preferably before a parenthesis."""
    places = [(start, end) for kind, text, start, end in _tokens(expr) if kind == "word" and text == word]
    for start, end in places:
        if expr[end:].lstrip().startswith("("):
            return start
    return places[0][0] if places else None


def position_of_string(expr: str, value: str) -> int | None:
    """Where a string literal of that content stands first."""
    for kind, text, start, _ in _tokens(expr):
        if kind in {"double", "single", "raw"} and value in {text[1:-1], text[1:-1].replace("\\\\", "\\")}:
            return start
    return None
