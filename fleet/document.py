"""A YAML file as plain data, with the line and column of everything in it.

Parsed once, by libyaml where it is compiled in (PyYAML's `CBaseLoader`); the pure-Python parsers take five to ten times
as long. Scalars are resolved here, by YAML 1.2's core schema, so `no`, `on` and `0123` stay what
they look like. Aliases and merge keys work; expansion, depth and size are bounded.
"""

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from fleet.errors import ConfigurationError, Problem
from fleet.nodes import MAX_DEPTH, STRING_TAG, Mapping, Mark, Node, Scalar, Sequence, Unreadable, compose

Loc = tuple[str | int, ...]
"""Place in a document: keys and indexes from the root."""

MAX_BYTES = 16 << 20
"""A site of 10,000 nodes written out in full is about 8 MB."""
MAX_ITEMS = 2_000_000
"""Values after aliases are expanded; stops nested aliases from growing without end."""
MAX_SHOWN = 500
"""Characters of a message; a key can be as long as the file."""
MERGE = "<<"

_TAGS = frozenset({None, "!", STRING_TAG, "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"})
_INT = re.compile(r"[-+]?[0-9]+\Z")
_OCTAL_OR_HEX = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_CONSTANTS: dict[str, object] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INFINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)\Z")
_NAN = frozenset({".nan", ".NaN", ".NAN"})
_MAX_DIGITS = 400
"""Longer numbers are text: Python refuses to read integers of more than 4,300 digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a file holds and where; `problems` are mistakes of YAML itself that did not stop the reading."""

    file: str
    data: object
    root: Node
    problems: tuple[Problem, ...] = ()

    def problem(self, loc: Loc, message: str, suggestion: str = "", *, key: bool = False) -> Problem:
        """A mistake at a place: its value, or with `key` its key; the nearest place around where it does not exist."""
        return _at(self.file, _mark(self.root, loc, key=key), message, suggestion, loc)


def path_text(loc: Loc) -> str:
    """A place as people write it: `halls[0].rows[1].zone`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_document(path: Path, error: type[ConfigurationError]) -> Document:
    """The document in a file. Raises the given error where there is nothing that could be looked at further."""
    text = _read_text(path, error)
    return parse_document(text, str(path), error)


def parse_document(text: str, file: str, error: type[ConfigurationError]) -> Document:
    """The document in a text; the file's name is for messages."""
    try:
        root = compose(text)
    except yaml.YAMLError as fault:
        raise error([_syntax_problem(fault, file)]) from None
    except Unreadable as fault:
        raise error([_at(file, fault.mark, fault.message, fault.suggestion)]) from None
    if root is None:
        raise error([_whole(file, "is empty", "a first line such as `site: …`")])
    reading = _Reading(file=file)
    data = reading.value(root, ())
    return Document(file=file, data=data, root=root, problems=tuple(reading.problems))


def _read_text(path: Path, error: type[ConfigurationError]) -> str:
    """The text of a file, or its one problem."""
    file = str(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():  # a pipe would be waited for without end
            raise error([_whole(file, "is not a file", "naming a file")])
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise error([_whole(file, "is absent", "another path, or creating it")]) from None
    except IsADirectoryError:
        raise error([_whole(file, "is a directory", "naming the file in it")]) from None
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else str(fault)
        raise error([_whole(file, f"cannot be read ({reason})", "giving it to this user")]) from None
    if len(content) > MAX_BYTES:
        raise error([_whole(file, f"is larger than {MAX_BYTES >> 20} MiB", "host ranges instead of one entry a node")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        column = fault.start - content.rfind(b"\n", 0, fault.start)
        what, suggestion = f"byte 0x{content[fault.start]:02x} is not UTF-8", "saving the file as UTF-8"
        raise error(
            [Problem(file=file, line=line, column=column, path="", message=what, suggestion=suggestion)]
        ) from None


def _whole(file: str, message: str, suggestion: str) -> Problem:
    return _at(file, (0, 0), message, suggestion)


def _syntax_problem(fault: yaml.YAMLError, file: str) -> Problem:
    """Where YAML itself ends; the file's text is never quoted, it may hold what nobody should see."""
    mark = getattr(fault, "problem_mark", None) or getattr(fault, "context_mark", None)
    what = str(getattr(fault, "problem", None) or getattr(fault, "reason", None) or "it cannot be parsed")
    message, suggestion = (
        f"not valid YAML: {what}",
        "checking indentation, quotes and brackets here and one line before",
    )
    return _at(file, (0, 0) if mark is None else (mark.line + 1, mark.column + 1), message, suggestion)


def _at(file: str, mark: Mark, message: str, suggestion: str, loc: Loc = ()) -> Problem:
    return Problem(
        file=file,
        line=mark[0],
        column=mark[1],
        path=_one_line(path_text(loc)),
        message=_one_line(message),
        suggestion=_one_line(suggestion),
    )


def _one_line(text: str) -> str:
    """Text of the file inside a message: control characters as escapes, so that it stays one line, and not without end."""
    shown = text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]}…"


@dataclass(slots=True, kw_only=True)
class _Reading:
    """One pass over the nodes: plain data out, problems aside."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    items: int = 0
    exhausted: bool = False
    open_nodes: set[int] = field(default_factory=set)

    def value(self, node: Node, loc: Loc) -> object:
        self.items += 1
        if node.tag not in _TAGS:
            self._object(node, loc, f"the tag {node.tag} means nothing here", "leaving it out")
        if isinstance(node, Scalar):
            return resolve(node.text) if node.plain else node.text
        if len(self.open_nodes) > MAX_DEPTH or self.items > MAX_ITEMS or id(node) in self.open_nodes:
            if not self.exhausted:
                self._object(node, loc, "is nested or repeated without end", "writing it out without aliases")
            self.exhausted = self.items > MAX_ITEMS
            return None
        self.open_nodes.add(id(node))
        try:
            if isinstance(node, Sequence):
                return [self.value(inner, (*loc, index)) for index, inner in enumerate(node.items)]
            return self._mapping(node, loc) if isinstance(node, Mapping) else None
        finally:
            self.open_nodes.discard(id(node))

    def _mapping(self, node: Mapping, loc: Loc) -> dict[str, object]:
        found: dict[str, object] = {}
        merged: list[Node] = []
        for key_node, value_node in node.items:
            if not isinstance(key_node, Scalar):
                self._object(key_node, loc, "a key must be text", "a plain word")
                continue
            key = key_node.text
            if key == MERGE and key_node.plain:
                merged.extend(_listed(value_node))
            elif key in found:
                self._object(key_node, (*loc, key), f"the key {key!r} is there twice", "keeping one of the two")
            else:
                found[key] = self.value(value_node, (*loc, key))
        for inherited in merged:
            self._merge(found, inherited, loc)
        return found

    def _merge(self, found: dict[str, object], node: Node, loc: Loc) -> None:
        inherited = self.value(node, loc)
        if not isinstance(inherited, dict):
            self._object(node, loc, "`<<` must name a mapping", "an alias of a mapping")
            return
        for key, value in inherited.items():
            found.setdefault(key, value)

    def _object(self, node: Node, loc: Loc, message: str, suggestion: str) -> None:
        self.problems.append(_at(self.file, node.mark, message, suggestion, loc))


def _listed(node: Node) -> list[Node]:
    """What `<<` names: one mapping or several."""
    return node.items if isinstance(node, Sequence) else [node]


def resolve(text: str) -> object:
    """A plain scalar by YAML 1.2's core schema: null, true and false, integers, floats, else text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if not text[0].isascii() or text[0] not in "+-.0123456789" or len(text) > _MAX_DIGITS:
        return text
    if _INT.match(text):
        return int(text)
    if _OCTAL_OR_HEX.match(text):
        return int(text, 0)
    return _float(text)


def _float(text: str) -> object:
    if _FLOAT.match(text) or text in _NAN:
        return float(text if text not in _NAN else "nan")
    infinite = _INFINITE.match(text)
    return float(f"{infinite[1]}inf") if infinite else text


def _mark(root: Node, loc: Loc, *, key: bool) -> Mark:
    """The position of the value at a place, or of its key; of the innermost value around it that exists."""
    node, mark = root, root.mark
    for depth, part in enumerate(loc):
        found = _child(node, part)
        if found is None:
            return mark
        key_mark, node = found
        mark = key_mark if key and depth == len(loc) - 1 else node.mark
    return mark


def _child(node: Node, part: str | int) -> tuple[Mark, Node] | None:
    if isinstance(node, Sequence) and isinstance(part, int) and 0 <= part < len(node.items):
        return node.items[part].mark, node.items[part]
    if not isinstance(node, Mapping):
        return None
    for key_node, value_node in node.items:
        if isinstance(key_node, Scalar) and key_node.text == part:
            return key_node.mark, value_node
    inherited = (_child(merged, part) for merged in _merged_into(node))
    return next((found for found in inherited if found is not None), None)


def _merged_into(node: Mapping) -> Iterator[Node]:
    for key_node, value_node in node.items:
        if isinstance(key_node, Scalar) and key_node.text == MERGE and key_node.plain:
            yield from _listed(value_node)
