"""Strict reading of a YAML node: every field named, every mistake with its place, nothing guessed."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final, TypeVar

from fleet.document import MERGE
from fleet.errors import ConfigurationError, Problem
from fleet.nearest import nearest
from fleet.nodes import Mapping, Node, Scalar, Sequence
from rules.files.durations import milliseconds
from rules.files.model import Place

T = TypeVar("T")
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})


class RuleFileError(ConfigurationError):
    """Rule files that cannot be used: all mistakes of all files at once."""


@dataclass(slots=True)
class Mistakes:
    """The mistakes of one file so far."""

    file: str
    problems: list[Problem] = field(default_factory=list)

    def add(self, node: Node, path: str, message: str, suggestion: str = "") -> None:
        """One more, at a node."""
        line, column = node.mark
        self.problems.append(
            Problem(file=self.file, line=line, column=column, path=path, message=message, suggestion=suggestion)
        )

    def place(self, node: Node) -> Place:
        """Where a node stands."""
        return Place(file=self.file, line=node.mark[0], column=node.mark[1])


class Fields:
    """One mapping of a file, read field by field."""

    def __init__(self, node: Node, path: str, mistakes: Mistakes, allowed: Collection[str]) -> None:
        """A field that is not allowed is a mistake, with the nearest allowed one as a suggestion."""
        self.node, self.path, self._mistakes = node, path, mistakes
        self._found: dict[str, Node] = {}
        if not isinstance(node, Mapping):
            mistakes.add(node, path, "must be a mapping", "`key: value` lines below it")
            return
        for key, value in merged(node):
            name = key.text if isinstance(key, Scalar) else ""
            if name not in allowed:
                near = nearest(name, sorted(allowed))
                mistakes.add(
                    key, path, f"unknown field {name!r}", repr(near) if near else f"one of {', '.join(sorted(allowed))}"
                )
            else:
                self._found[name] = value

    def at(self, name: str) -> str:
        """The field's path."""
        return f"{self.path}.{name}" if self.path else name

    def node_of(self, name: str) -> Node | None:
        """The field's node, or None where it is absent or empty."""
        node = self._found.get(name)
        return None if isinstance(node, Scalar) and node.plain and node.text in _NULL else node

    def text(self, name: str, *, required: bool = False) -> str:
        """A scalar as it is written; numbers and words alike are text, as Prometheus reads them."""
        node = self.node_of(name)
        if isinstance(node, Scalar):
            return node.text
        if node is not None:
            self._mistakes.add(node, self.at(name), "must be text", "one value")
        elif required:
            self._mistakes.add(self.node, self.path, f"`{name}` is missing", f"adding `{name}:`")
        return ""

    def duration_ms(self, name: str, default: int = 0) -> int:
        """A duration."""
        text = self.text(name)
        if not text:
            return default
        return self._read(name, text, milliseconds, default, "such as 30s, 5m, 1h30m")

    def whole(self, name: str) -> int:
        """A whole number that is not negative."""
        text = self.text(name)
        if not text:
            return 0
        if not text.isdecimal():
            self._mistakes.add(self._found[name], self.at(name), f"must be a whole number, is {text!r}", "digits")
            return 0
        return int(text)

    def _read(self, name: str, text: str, reader: Callable[[str], T], default: T, suggestion: str) -> T:
        try:
            return reader(text)
        except ValueError as error:
            self._mistakes.add(self._found[name], self.at(name), str(error), suggestion)
            return default

    def texts(self, name: str) -> dict[str, tuple[str, Node]]:
        """A mapping of text to text, with the values' nodes."""
        node = self.node_of(name)
        if node is None:
            return {}
        if not isinstance(node, Mapping):
            self._mistakes.add(node, self.at(name), "must be a mapping", "`key: value` lines below it")
            return {}
        found: dict[str, tuple[str, Node]] = {}
        for key, value in merged(node):
            if isinstance(key, Scalar) and isinstance(value, Scalar):
                found[key.text] = ("" if value.plain and value.text in _NULL else value.text), value
            else:
                self._mistakes.add(value, self.at(name), "must be text", "quotes around the value")
        return found

    def items(self, name: str) -> list[Node]:
        """A list."""
        node = self.node_of(name)
        if node is None:
            return []
        if not isinstance(node, Sequence):
            self._mistakes.add(node, self.at(name), "must be a list", "`- ` before each item")
            return []
        return list(node.items)

    def entries(self) -> list[tuple[str, Node]]:
        """The mapping's own entries."""
        return list(self._found.items())

    def mapping(self, name: str) -> list[tuple[str, Node]]:
        """A mapping's entries by name."""
        node = self.node_of(name)
        if node is None:
            return []
        if not isinstance(node, Mapping):
            self._mistakes.add(node, self.at(name), "must be a mapping", "`key: value` lines below it")
            return []
        return [(key.text, value) for key, value in merged(node) if isinstance(key, Scalar)]


def merged(node: Mapping) -> list[tuple[Node, Node]]:
    """A mapping's entries with those that `<<` merges into it; its own come first and win."""
    own = [(key, value) for key, value in node.items if not _merges(key)]
    names = {key.text for key, _ in own if isinstance(key, Scalar)}
    for key, value in node.items:
        if not _merges(key):
            continue
        for source in value.items if isinstance(value, Sequence) else [value]:
            inherited = merged(source) if isinstance(source, Mapping) else []
            fresh = [entry for entry in inherited if isinstance(entry[0], Scalar) and entry[0].text not in names]
            names |= {entry[0].text for entry in fresh if isinstance(entry[0], Scalar)}
            own += fresh
    return own


def _merges(key: Node) -> bool:
    return isinstance(key, Scalar) and key.plain and key.text == MERGE
