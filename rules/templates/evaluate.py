"""A parsed template over an alert's labels and value."""

from collections.abc import Mapping
from typing import Self

from rules.templates.functions import FUNCTIONS, FunctionError, truth
from rules.templates.gofmt import plain
from rules.templates.parser import Branch, Invoke, Item, Literal, Operand, Path, Pipeline, parse
from rules.templates.surroundings import NOWHERE, Surroundings


class Template:
    """One annotation or label value."""

    __slots__ = ("_items", "source")

    def __init__(self, source: str, items: tuple[Item, ...]) -> None:
        self.source = source
        self._items = items

    @classmethod
    def parse(cls, source: str) -> Self:
        """Read a template. Raises `TemplateError`."""
        return cls(source, parse(source))

    @property
    def constant(self) -> bool:
        """Whether it is text alone."""
        return all(isinstance(item, str) for item in self._items)

    def expand(self, labels: Mapping[str, str], value: float, around: Surroundings = NOWHERE) -> str:
        """The text for an alert; an error of its functions is written into the text, as Prometheus does."""
        try:
            return _Expansion(labels, value, around).text(self._items)
        except (FunctionError, TypeError) as error:
            return f"<error expanding template: {error}>"


class _Expansion:
    """One run: the variables and what `.` is."""

    def __init__(self, labels: Mapping[str, str], value: float, around: Surroundings) -> None:
        named, external = dict(labels), dict(around.external_labels)
        self._data: dict[str, object] = {
            "Labels": named, "Value": value, "ExternalLabels": external, "ExternalURL": around.external_url,
        }  # fmt: skip
        self._dot: object = self._data
        self._variables: dict[str, object] = {
            "$": self._data,
            "$labels": named,
            "$value": value,
            "$externalLabels": external,
            "$externalURL": around.external_url,
        }

    def text(self, items: tuple[Item, ...]) -> str:
        return "".join(self._item(item) for item in items)

    def _item(self, item: Item) -> str:
        if isinstance(item, str):
            return item
        if isinstance(item, Branch):
            return self._branch(item)
        value = self._run(item)
        return "" if item.assigns else plain(value)

    def _branch(self, branch: Branch) -> str:
        value = self._run(branch.condition)
        if not truth(value):
            return self.text(branch.otherwise)
        before = self._dot
        self._dot = value if branch.rebinds else before
        try:
            return self.text(branch.then)
        finally:
            self._dot = before

    def _run(self, pipeline: Pipeline) -> object:
        value = self._operand(pipeline.commands[0])
        for command in pipeline.commands[1:]:
            assert isinstance(command, Invoke)
            value = self._invoke(command, (value,))
        if pipeline.assigns:
            self._variables[pipeline.assigns] = value
        return value

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
            value = self._dot if path.root == "." else self._variables[path.root]
        for name in path.fields:
            if not isinstance(value, dict):
                raise FunctionError(f"can't evaluate field {name} in type {type(value).__name__}")
            if value is self._data and name not in value:
                raise FunctionError(f"can't evaluate field {name}")
            value = value.get(name, "")
        return value

    def _invoke(self, invoke: Invoke, piped: tuple[object, ...]) -> object:
        arguments = [self._operand(argument) for argument in invoke.arguments]
        try:
            return FUNCTIONS[invoke.function](*arguments, *piped)
        except TypeError as error:
            raise FunctionError(f"wrong arguments for {invoke.function}: {error}") from error
