"""Host ranges such as `dgx-[001-064]` and the templates that go with them: expand, fold, fill in."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise, product

MAX_NAMES = 20_000
"""Names of one range; a larger one is a slip of the finger."""

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z")
"""What an asset may be called: no blank, slash, `#` or control byte, which keys and labels use as separators."""

_PIECE = re.compile(r"\[([^\[\]]*)\]|([^\[\]]+)")
_SPAN = re.compile(r"([0-9]{1,15})(?:-([0-9]{1,15}))?\Z")
_NUMBERED = re.compile(r"(.*?)([0-9]{1,15})([^0-9]*)\Z", re.DOTALL)
_PLACE = re.compile(r"\{(name|index|number)([+-][0-9]{1,9})?\}|\{[^{}]*\}|[{}]")


class BadRange(ValueError):
    """Not a range; says what is wrong and what to try."""

    def __init__(self, message: str, suggestion: str) -> None:
        super().__init__(message)
        self.message, self.suggestion = message, suggestion


def expand(text: str) -> tuple[str, ...]:
    """The names that a range stands for, in its order. Raises `BadRange`.

    `a-[1-3,7]`, several brackets (`r[1-2]-n[01-16]`, the last runs fastest), and comma lists (`a-[1-2],b-1`). A number
    with leading zeros keeps its width.
    """
    names: list[str] = []
    for part in _at_commas(text):
        names.extend(_expand_one(part.strip(), MAX_NAMES - len(names)))
    if len(set(names)) != len(names):
        raise BadRange("names something twice", "ranges that do not overlap")
    return tuple(names)


def fold(names: Iterable[str]) -> str:
    """The shortest common way to write these names: `dgx-[001-004,007],gpu-1`; each once, `expand` gives them back."""
    families: dict[tuple[str, str], set[str]] = defaultdict(set)
    plain: set[str] = set()
    for name in names:
        match = _NUMBERED.match(name)
        if match is None:
            plain.add(name)
        else:
            families[match[1], match[3]].add(match[2])
    folded = [
        (prefix, text) for (prefix, suffix), numbers in families.items() for text in _fold(prefix, suffix, numbers)
    ]
    return ",".join(text for _, text in sorted([*folded, *((name, name) for name in plain)]))


def fill(template: str, *, name: str, index: int) -> str:
    """A template with its places filled in. Raises `BadRange` for braces that are no place.

    `{name}`; `{index}`, the position in the range from 1; `{number}`, the last number in the name; the latter two with
    an offset where wanted: `127.0.0.1:{index+31000}`.
    """

    def value(match: re.Match[str]) -> str:
        what, offset = match[1], int(match[2] or 0)
        if what == "index":
            return str(index + offset)
        number = _NUMBERED.match(name)
        if what == "number" and number is not None:
            return str(int(number[2]) + offset)
        if what == "name" and not match[2]:
            return name
        raise BadRange(f"{match[0]} means nothing here", "{name}, {index}, {number}, {index+31000}")

    return _PLACE.sub(value, template)


def has_places(template: str) -> bool:
    """Whether a template gives a different text for each name."""
    return any(match[1] is not None for match in _PLACE.finditer(template))


def _at_commas(text: str) -> list[str]:
    """The text cut at commas outside brackets."""
    return re.split(r",(?![^\[\]]*\])", text)


def _expand_one(text: str, room: int) -> Iterator[str]:
    pieces = list(_PIECE.finditer(text))
    if not text or "".join(piece[0] for piece in pieces) != text:
        raise BadRange(f"{text[:60]!r} has a bracket without its partner, or is empty", "dgx-[001-064]")
    choices = [[piece[2]] if piece[1] is None else _numbers(piece[1], room) for piece in pieces]
    total = 1
    for choice in choices:
        total *= len(choice)
    if total > room:
        raise BadRange(f"stands for more than {MAX_NAMES} names", "several smaller ranges")
    return ("".join(parts) for parts in product(*choices))


def _numbers(text: str, room: int) -> list[str]:
    """The numbers between two brackets."""
    numbers: list[str] = []
    for span in text.split(","):
        match = _SPAN.match(span.strip())
        if match is None:
            raise BadRange(f"[{text[:60]}] is not a list of numbers", "[001-064] or [1-3,7]")
        first, last = match[1], match[2] or match[1]
        padded = len(first) > 1 and first.startswith("0")
        if int(last) < int(first):
            raise BadRange(f"[{span}] runs backwards", f"[{last}-{first}]")
        if (padded or last.startswith("0")) and len(first) != len(last) and last != "0":
            raise BadRange(
                f"[{span}] has ends of different width", f"[{first.zfill(len(last))}-{last.zfill(len(first))}]"
            )
        if int(last) - int(first) >= room - len(numbers):
            raise BadRange(f"stands for more than {MAX_NAMES} names", "several smaller ranges")
        width = len(first) if padded else 0
        numbers.extend(str(number).zfill(width) for number in range(int(first), int(last) + 1))
    return numbers


def _fold(prefix: str, suffix: str, numbers: set[str]) -> Iterator[str]:
    """One text per width of number: padded ones of equal width, and the unpadded ones together."""
    padded_widths = {len(number) for number in numbers if len(number) > 1 and number.startswith("0")}
    groups: dict[int, list[int]] = defaultdict(list)
    for number in numbers:
        groups[len(number) if len(number) in padded_widths else 0].append(int(number))
    for width, members in sorted(groups.items()):
        spans = [f"{a:0{width}d}" if a == b else f"{a:0{width}d}-{b:0{width}d}" for a, b in _spans(sorted(members))]
        one = len(spans) == 1 and "-" not in spans[0]
        yield f"{prefix}{spans[0]}{suffix}" if one else f"{prefix}[{','.join(spans)}]{suffix}"


def _spans(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Runs of consecutive numbers, first and last of each."""
    breaks = [index for index, (a, b) in enumerate(pairwise(numbers), 1) if b != a + 1]
    for start, stop in pairwise([0, *breaks, len(numbers)]):
        yield numbers[start], numbers[stop - 1]
