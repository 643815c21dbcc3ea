"""The parsed expression as plain, comparable facts: equal subexpressions are equal values, so plans can share them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

SCALAR_FUNCTIONS: Final = frozenset({"time", "scalar", "pi", "start", "end", "range", "step", "max_of", "min_of"})
"""Functions whose value is a scalar."""


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


class Bound(StrEnum):
    """A time that the query itself names: its first evaluation and its last, the same where there is one."""

    START = "start()"
    END = "end()"


At: TypeAlias = int | Bound
"""What stands behind `@`: Unix milliseconds, or an end of the query."""


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
    at: At | None = None


@dataclass(frozen=True, slots=True)
class SelectRange:
    """A range vector selector."""

    select: Select
    range_ms: int


@dataclass(frozen=True, slots=True)
class Subquery:
    """An expression evaluated again and again over a range."""

    inner: "Tree"
    range_ms: int
    step_ms: int | None
    """None for the default step."""
    offset_ms: int = 0
    at: At | None = None


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
    fill_left: Number | None = None
    """The value of what the left side lacks; None where such elements have no match."""
    fill_right: Number | None = None


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


Tree: TypeAlias = Number | Text | Select | SelectRange | Subquery | Negate | Binary | Aggregate | Call


def children(tree: Tree) -> tuple[Tree, ...]:
    """The subexpressions that a tree is made of."""
    match tree:
        case SelectRange():
            return (tree.select,)
        case Subquery() | Negate():
            return (tree.inner,)
        case Binary():
            return (tree.left, tree.right)
        case Aggregate():
            return (tree.inner,) if tree.parameter is None else (tree.inner, tree.parameter)
        case Call():
            return tree.arguments
        case _:
            return ()


def walk(tree: Tree) -> Iterator[Tree]:
    """The tree and everything below it."""
    yield tree
    for child in children(tree):
        yield from walk(child)


def type_of(tree: Tree) -> Type:
    """What a tree evaluates to."""
    match tree:
        case Number():
            return Type.SCALAR
        case Text():
            return Type.STRING
        case SelectRange() | Subquery():
            return Type.MATRIX
        case Negate():
            return type_of(tree.inner)
        case Binary():
            both_scalar = type_of(tree.left) is Type.SCALAR and type_of(tree.right) is Type.SCALAR
            return Type.SCALAR if both_scalar else Type.VECTOR
        case Call():
            return Type.SCALAR if tree.function in SCALAR_FUNCTIONS else Type.VECTOR
        case _:
            return Type.VECTOR
