"""A parsed template: text, pipelines, branches, loops."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias


class TemplateError(ValueError):
    """The template cannot be read; the message says what and at which character of it."""

    def __init__(self, message: str, offset: int) -> None:
        self.offset = offset
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Literal:
    """Text, a number, true, false or nil."""

    value: object


@dataclass(frozen=True, slots=True)
class Path:
    """`.A.B`, `$x.A` or `(…).A`: fields of the current value, of a variable, of an inner pipeline."""

    root: "str | Pipeline"
    """A variable's name (`$` is the data), `.` for the current value, or a pipeline in parentheses."""
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Invoke:
    """A function with its arguments."""

    function: str
    arguments: tuple["Operand", ...]


Operand: TypeAlias = Literal | Path | Invoke


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each given the result of the one before as its last argument."""

    commands: tuple[Operand, ...]
    names: tuple[str, ...] = ()
    """Variables that take the result; two where a loop names index and element."""
    declares: bool = True
    """`:=` makes the variable, `=` changes the one that is there."""


@dataclass(frozen=True, slots=True)
class Branch:
    """`if` or `with`, with its other side."""

    condition: Pipeline
    rebinds: bool
    then: "Items"
    otherwise: "Items"


@dataclass(frozen=True, slots=True)
class Loop:
    """`range`, with what stands for an empty one."""

    over: Pipeline
    body: "Items"
    otherwise: "Items"


@dataclass(frozen=True, slots=True)
class Include:
    """`template "name" value`."""

    name: str
    value: Pipeline | None


class Jump(Enum):
    """Out of a loop's turn, or out of the loop."""

    BREAK = "break"
    CONTINUE = "continue"


Item: TypeAlias = str | Pipeline | Branch | Loop | Include | Jump
Items: TypeAlias = tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A whole template, with what it defines by name."""

    items: Items
    defined: Mapping[str, Items] = field(default_factory=dict)
