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
_BYTE: Final = re.compile(r"(?<!\\)(?:\\\\)*(\\(?:x[89a-fA-F]|[23][0-7]{2}))")
INFO_GUARD: Final = "__info__"
"""A label that nothing has, matched where the parser wants a matcher that does not match the empty string."""


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
        elif kind == "number" and _NOTHING.fullmatch(text) and not _in_brackets(expr, start):
            text = "0"  # noqa: PLW2901 - a duration of nothing as a number
        pieces += [before, text]
        done, word = end, text
    return "".join(pieces) + expr[done:]


def _in_brackets(expr: str, place: int) -> bool:
    """Whether the last bracket before a place is one that opens."""
    return expr.rfind("[", 0, place) > expr.rfind("]", 0, place)


def with_guarded_info(expr: str) -> str:
    """The same with one matcher more in every second argument of `info`: the parser refuses those that may match nothing."""
    bare, places = _without_strings(expr), []
    for call in re.finditer(r"\binfo\s*\(", bare):
        opening = _second_braces(bare, call.end())
        if opening is None:
            continue
        closing = bare.find("}", opening)
        if closing >= 0:
            inside = bare[opening + 1 : closing].rstrip()
            places.append((closing, f'{"" if not inside or inside.endswith(",") else ","}{INFO_GUARD}="1"'))
    for place, guard in sorted(places, reverse=True):  # calls nest: what stands last is put in first
        expr = expr[:place] + guard + expr[place:]
    return expr


def _second_braces(bare: str, start: int) -> int | None:
    """Where the label matchers begin that are the second argument of a call whose arguments begin there."""
    depth = 0
    for place in range(start, len(bare)):
        if bare[place] in "([{":
            depth += 1
        elif bare[place] in ")]}":
            depth -= 1
        elif bare[place] == "," and not depth:
            rest = bare[place + 1 :]
            return place + 1 + len(rest) - len(rest.lstrip()) if rest.lstrip().startswith("{") else None
        if depth < 0:
            return None
    return None


def _without_strings(expr: str) -> str:
    """The expression with blanks in place of strings and comments."""
    for kind, text, start, end in _tokens(expr):
        if kind in {"comment", "double", "single", "raw"}:
            expr = expr[:start] + ("_" if kind != "comment" else " ") * len(text) + expr[end:]
    return expr


def position_of_what_is_misread(expr: str) -> tuple[int, str] | None:
    """Where something stands that promql-parser 0.12 silently reads as something else, and what."""
    negative = re.search(r"@\s*-", _without_strings(expr))
    if negative is not None:
        return negative.start(), "a time before 1970 behind @ is not read by the parser"
    for kind, text, start, _ in _tokens(expr):
        if kind in {"double", "single"} and (byte := _BYTE.search(text)) is not None:
            return start + byte.start(1), "bytes beyond 7 bits in a string are read as characters, try the characters"
    return None


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
