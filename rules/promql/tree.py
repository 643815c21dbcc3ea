"""The parsed expression as plain, comparable facts: equal subexpressions are equal values, so plans can share them."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias


class Match(StrEnum):
    """How a label matcher compares."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


class Card(StrEnum):
    """Which side of a vector match may have several elements a signature."""

    ONE_TO_ONE = "one-to-one"
    MANY_TO_ONE = "many-to-one"
    ONE_TO_MANY = "one-to-many"
    MANY_TO_MANY = "many-to-many"


class Type(StrEnum):
    """What an expression evaluates to."""

    SCALAR = "scalar"
    VECTOR = "vector"
    MATRIX = "matrix"
    STRING = "string"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label matcher."""

    name: str
    match: Match
    value: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number."""

    value: float = field(compare=False)
    text: str
    """How it is told apart from others: NaN is not equal to itself, and minus zero is."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string literal."""

    value: str


@dataclass(frozen=True, slots=True)
class Select:
    """An instant vector selector."""

    name: str | None
    """The metric, where exactly one is named."""
    matchers: tuple[Matcher, ...]
    """All others, those on `__name__` included."""
    offset_ms: int = 0


@dataclass(frozen=True, slots=True)
class SelectRange:
    """A range vector selector."""

    select: Select
    range_ms: int


@dataclass(frozen=True, slots=True)
class Negate:
    """Unary minus."""

    inner: "Tree"


@dataclass(frozen=True, slots=True)
class Matching:
    """How two vectors find each other."""

    card: Card = Card.ONE_TO_ONE
    on: bool = False
    labels: tuple[str, ...] = ()
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Binary:
    """A binary operation."""

    op: str
    left: "Tree"
    right: "Tree"
    matching: Matching
    bool_modifier: bool = False


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregation."""

    op: str
    inner: "Tree"
    parameter: "Tree | None"
    labels: tuple[str, ...]
    without: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A function call."""

    function: str
    arguments: tuple["Tree", ...]


Tree: TypeAlias = Number | Text | Select | SelectRange | Negate | Binary | Aggregate | Call
