"""YAML text as a tree of nodes with their marks, composed from libyaml's events so that depth is bounded.

PyYAML's own compose recurses in C and crashes the process on some thousand open brackets; events do not.
"""

from dataclasses import dataclass, field

import yaml

MAX_DEPTH = 32
"""The deepest place of a right file is below 12."""

_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

STRING_TAG = "tag:yaml.org,2002:str"


Mark = tuple[int, int]
"""Line and column, both from 1."""


class Unreadable(Exception):  # caught by the document, never leaves the room
    """What keeps a text from becoming a tree although YAML itself allows it; says where."""

    def __init__(self, mark: Mark, message: str, suggestion: str) -> None:
        super().__init__(message)
        self.mark, self.message, self.suggestion = mark, message, suggestion


@dataclass(slots=True)
class Node:
    """One value of the text: where it starts, its explicit tag, and what it holds."""

    mark: Mark
    tag: str | None = None


@dataclass(slots=True)
class Scalar(Node):
    """A single value; `plain` where it stands without quotes and so may be a number."""

    text: str = ""
    plain: bool = False


@dataclass(slots=True)
class Sequence(Node):
    """A list."""

    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping(Node):
    """Keys and values in the order of the text."""

    items: list[tuple[Node, Node]] = field(default_factory=list)


def compose(text: str) -> Node | None:
    """The root of the one document in the text, None for an empty one. Raises `yaml.YAMLError` and `Unreadable`."""
    composer = _Composer()
    for event in yaml.parse(text, Loader=_LOADER):
        composer.take(event)
    return composer.root


class _Composer:
    """Builds the tree from events, in a loop: the stack is ours."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._open: list[Sequence | Mapping] = []
        self._keys: list[Node | None] = []
        self._anchors: dict[str, Node] = {}

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                plain = not event.style and event.tag is None
                self._place(event, Scalar(_mark(event), event.tag, event.value, plain))
            case yaml.MappingStartEvent():
                self._enter(event, Mapping(_mark(event), event.tag))
            case yaml.SequenceStartEvent():
                self._enter(event, Sequence(_mark(event), event.tag))
            case yaml.CollectionEndEvent():
                self._open.pop()
                self._keys.pop()
            case yaml.AliasEvent():
                self._attach(self._aliased(event))
            case yaml.DocumentStartEvent() if self.root is not None:
                raise Unreadable(_mark(event), "is a second document", "one document a file, without `---` in it")
            case _:
                return

    def _enter(self, event: yaml.CollectionStartEvent, node: Sequence | Mapping) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise Unreadable(_mark(event), "is nested too deeply", "the shape that the schema shows")
        self._place(event, node)
        self._open.append(node)
        self._keys.append(None)

    def _place(self, event: yaml.NodeEvent, node: Node) -> None:
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._attach(node)

    def _attach(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        around = self._open[-1]
        if isinstance(around, Sequence):
            around.items.append(node)
        elif self._keys[-1] is None:
            self._keys[-1] = node
        else:
            around.items.append((self._keys[-1], node))
            self._keys[-1] = None

    def _aliased(self, event: yaml.AliasEvent) -> Node:
        name = str(event.anchor)
        if name not in self._anchors:
            raise Unreadable(_mark(event), f"the alias *{name} has no anchor above it", f"writing &{name} before it")
        return self._anchors[name]


def _mark(event: yaml.Event) -> Mark:
    start = event.start_mark
    return (0, 0) if start is None else (start.line + 1, start.column + 1)
