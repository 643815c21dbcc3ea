"""A parsed template over an alert's labels and value."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Self

from rules.templates.functions import FUNCTIONS, truth
from rules.templates.gofmt import plain
from rules.templates.mistake import FunctionError
from rules.templates.parser import parse
from rules.templates.surrounding_functions import SURROUNDING
from rules.templates.surroundings import NOWHERE, QueriedSample, Surroundings
from rules.templates.tree import (
    Branch,
    Document,
    Include,
    Invoke,
    Item,
    Items,
    Jump,
    Literal,
    Loop,
    Operand,
    Path,
    Pipeline,
)

MOST_DEEP: Final = 100
"""Templates inside each other; Go gives up too, at 100,000."""
MOST_TEXT: Final = 1 << 20
"""Characters of one annotation: a loop over a large query must not fill the bus."""


class Template:
    """One annotation or label value."""

    __slots__ = ("_document", "source")

    def __init__(self, source: str, document: Document) -> None:
        self.source = source
        self._document = document

    @classmethod
    def parse(cls, source: str) -> Self:
        """Read a template. Raises `TemplateError`."""
        return cls(source, parse(source))

    @property
    def constant(self) -> bool:
        """Whether it is text alone."""
        return "{{" not in self.source

    @property
    def asks(self) -> bool:
        """Whether it may ask the window, by whatever words."""
        return "query" in self.source

    @property
    def queries(self) -> tuple[str, ...]:
        """The expressions that it asks for by `query "…"`, as far as they stand there as text."""
        found = [*_queries(self._document.items)]
        for items in self._document.defined.values():
            found += _queries(items)
        return tuple(dict.fromkeys(found))

    def expand(self, labels: Mapping[str, str], value: float, around: Surroundings = NOWHERE) -> str:
        """The text for an alert; an error of its functions is written into the text, as Prometheus does."""
        try:
            return _Expansion(self._document, labels, value, around).whole()
        except (FunctionError, TypeError) as error:
            return f"<error expanding template: {error}>"


class _Jumped(Exception):
    """A loop's turn ends; what it wrote so far stays."""

    def __init__(self, jump: Jump) -> None:
        self.jump = jump


class _Expansion:
    """One run: the variables, what `.` is, and the text so far."""

    def __init__(self, document: Document, labels: Mapping[str, str], value: float, around: Surroundings) -> None:
        named, external = dict(labels), dict(around.external_labels)
        data = {"Labels": named, "Value": value, "ExternalLabels": external, "ExternalURL": around.external_url}
        self._document, self._around = document, around
        self._data: object = data
        self._dot: object = data
        self._scopes: list[dict[str, object]] = [
            {
                "$": data,
                "$labels": named,
                "$value": value,
                "$externalLabels": external,
                "$externalURL": around.external_url,
            }
        ]
        self._text: list[str] = []
        self._length = 0
        self._depth = 0

    def whole(self) -> str:
        """The text."""
        self._items(self._document.items)
        return "".join(self._text)

    def _items(self, items: Items) -> None:
        self._scopes.append({})
        try:
            for item in items:
                self._item(item)
        finally:
            self._scopes.pop()

    def _item(self, item: Item) -> None:
        match item:
            case str():
                self._write(item)
            case Pipeline():
                value = self._run(item)
                if not item.names:
                    self._write(plain(value))
            case Branch():
                self._branch(item)
            case Loop():
                self._loop(item)
            case Include():
                self._include(item)
            case Jump():
                raise _Jumped(item)

    def _write(self, text: str) -> None:
        self._length += len(text)
        if self._length > MOST_TEXT:
            raise FunctionError(f"the text is longer than {MOST_TEXT} characters")
        self._text.append(text)

    def _branch(self, branch: Branch) -> None:
        self._scopes.append({})
        before = self._dot
        try:
            value = self._run(branch.condition)
            holds = truth(value)
            if holds and branch.rebinds:
                self._dot = value
            self._items(branch.then if holds else branch.otherwise)
        finally:
            self._dot = before
            self._scopes.pop()

    def _loop(self, loop: Loop) -> None:
        before, turns = self._dot, _turns(self._operands(loop.over))
        try:
            for index, element in turns:
                self._dot = element
                names = loop.over.names
                self._scopes.append(dict(zip(names, (index, element)[-len(names) :], strict=True)) if names else {})
                try:
                    self._items(loop.body)
                except _Jumped as jumped:
                    if jumped.jump is Jump.BREAK:
                        break
                finally:
                    self._scopes.pop()
        finally:
            self._dot = before
        if not turns:
            self._items(loop.otherwise)

    def _include(self, include: Include) -> None:
        value = None if include.value is None else self._run(include.value)
        if self._depth >= MOST_DEEP:
            raise FunctionError("templates inside each other without end")
        dot, scopes = self._dot, self._scopes
        self._dot, self._scopes = value, [{"$": value}]
        self._depth += 1
        try:
            self._items(self._document.defined[include.name])
        finally:
            self._dot, self._scopes = dot, scopes
            self._depth -= 1

    def _run(self, pipeline: Pipeline) -> object:
        value = self._operands(pipeline)
        for name in pipeline.names:
            scope = self._scopes[-1] if pipeline.declares else self._scope_of(name)
            scope[name] = value
        return value

    def _operands(self, pipeline: Pipeline) -> object:
        value = self._operand(pipeline.commands[0])
        for command in pipeline.commands[1:]:
            assert isinstance(command, Invoke)
            value = self._invoke(command, (value,))
        return value

    def _scope_of(self, name: str) -> dict[str, object]:
        return next(scope for scope in reversed(self._scopes) if name in scope)

    def _operand(self, operand: Operand) -> object:
        match operand:
            case Literal():
                return operand.value
            case Invoke():
                return self._invoke(operand, ())
            case Path():
                return self._path(operand)

    def _path(self, path: Path) -> object:
        if isinstance(path.root, Pipeline):
            value = self._run(path.root)
        else:
            value = self._dot if path.root == "." else self._scope_of(path.root)[path.root]
        for name in path.fields:
            value = self._field(value, name)
        return value

    def _field(self, value: object, name: str) -> object:
        if isinstance(value, QueriedSample) and name in {"Labels", "Value"}:
            return dict(value.labels) if name == "Labels" else value.value
        if not isinstance(value, dict) or (value is self._data and name not in value):
            raise FunctionError(f"can't evaluate field {name} in type {type(value).__name__}")
        return value.get(name, "")

    def _invoke(self, invoke: Invoke, piped: tuple[object, ...]) -> object:
        if invoke.function in {"and", "or"}:
            return self._until(invoke, piped)
        arguments = [self._operand(argument) for argument in invoke.arguments]
        try:
            if invoke.function in SURROUNDING:
                return SURROUNDING[invoke.function](self._around, *arguments, *piped)
            return FUNCTIONS[invoke.function](*arguments, *piped)
        except (TypeError, ValueError) as error:
            raise FunctionError(f"error calling {invoke.function}: {error}") from error

    def _until(self, invoke: Invoke, piped: tuple[object, ...]) -> object:
        """`and` and `or` look at an argument only where those before have not decided."""
        found: object = None
        for number, argument in enumerate([*invoke.arguments, *piped]):
            found = argument if number >= len(invoke.arguments) else self._operand(argument)  # type: ignore[arg-type]
            if truth(found) == (invoke.function == "or"):
                return found
        return found


def _turns(value: object) -> Sequence[tuple[object, object]]:
    """What a loop goes over: index and element."""
    if value is None:
        return []
    if isinstance(value, dict):
        return sorted(value.items())
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return [(number, number) for number in range(value)]
    raise FunctionError(f"range can't iterate over {plain(value)}")


def _queries(items: Items) -> Iterator[str]:
    for item in items:
        match item:
            case Pipeline():
                yield from _asked(item)
            case Branch():
                yield from _asked(item.condition)
                yield from _queries(item.then)
                yield from _queries(item.otherwise)
            case Loop():
                yield from _asked(item.over)
                yield from _queries(item.body)
                yield from _queries(item.otherwise)
            case _:
                continue


def _asked(pipeline: Pipeline) -> Iterator[str]:
    """Literal queries of a pipeline: an argument of `query`, or a text piped into it."""
    before: Operand | None = None
    for command in pipeline.commands:
        yield from _asked_by(command, before)
        before = command


def _asked_by(operand: Operand, before: Operand | None) -> Iterator[str]:
    if isinstance(operand, Path) and isinstance(operand.root, Pipeline):
        yield from _asked(operand.root)
    if not isinstance(operand, Invoke):
        return
    for argument in (*operand.arguments, *([] if before is None else [before])):
        if operand.function == "query" and isinstance(argument, Literal):
            yield str(argument.value)
        elif argument is not before:
            yield from _asked_by(argument, None)
