"""Template text to a tree: actions, pipelines, conditions. What is not covered is refused where it stands."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from rules.templates.functions import FUNCTIONS

_ACTION: Final = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<string>"(?:\\.|[^"\\\n])*"|`[^`]*`)
      | (?P<number>[-+]?(?:\d[\d_]*\.?\d*(?:[eE][-+]?\d+)?|\.\d+))
      | (?P<assign>:?=)
      | (?P<open>\()|(?P<close>\))(?P<after>(?:\.\w+)*)|(?P<pipe>\|)
      | (?P<variable>\$\w*)(?P<path>(?:\.\w+)*)
      | (?P<field>(?:\.\w+)+|\.)
      | (?P<word>\w+)
    )""",
    re.VERBOSE,
)
_BLOCKS: Final = frozenset({"if", "else", "end", "with"})
_REFUSED: Final = frozenset({"range", "template", "define", "block", "break", "continue"})


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
    """`.A.B`, `$x.A` or `(…).A`: fields of the data, of a variable, of an inner pipeline."""

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
    assigns: str | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    """`if` or `with`, with its other side."""

    condition: Pipeline
    rebinds: bool
    then: tuple["Item", ...]
    otherwise: tuple["Item", ...]


Item: TypeAlias = str | Pipeline | Branch


@dataclass(slots=True)
class _Action:
    """What stands between braces, or text."""

    text: str
    offset: int
    is_text: bool


def parse(source: str) -> tuple[Item, ...]:
    """The template's items. Raises `TemplateError`."""
    reader = _Reader(_actions(source))
    items, ended_by = reader.items(frozenset())
    assert not ended_by
    return items


def _actions(source: str) -> list[_Action]:
    actions, done, trim = [], 0, False
    for found in _ACTION.finditer(source):
        text = source[done : found.start()]
        if "{{" in text:
            break
        actions.append(_Action(_trimmed(text, left=trim, right=found[1] is not None), done, is_text=True))
        if found[2][:1].isspace() and found[2].lstrip().startswith("/*"):
            raise TemplateError("a comment must begin right behind `{{` or `{{- `", found.start())
        actions.append(_Action(found[2].strip(), found.start(), is_text=False))
        done, trim = found.end(), found[3] is not None
    rest = source[done:]
    if "{{" in rest:
        raise TemplateError("unclosed action: `{{` without `}}`", done + rest.index("{{"))
    actions.append(_Action(_trimmed(rest, left=trim, right=False), done, is_text=True))
    return actions


def _trimmed(text: str, *, left: bool, right: bool) -> str:
    text = text.lstrip(" \t\r\n") if left else text
    return text.rstrip(" \t\r\n") if right else text


class _Reader:
    """Walks over actions, building blocks."""

    def __init__(self, actions: Sequence[_Action]) -> None:
        self._actions = actions
        self._at = 0
        self._variables = {"$", "$labels", "$externalLabels", "$externalURL", "$value"}

    def items(self, until: frozenset[str]) -> tuple[tuple[Item, ...], str]:
        """Items up to one of the words, and the action that ended them."""
        found: list[Item] = []
        while self._at < len(self._actions):
            action = self._actions[self._at]
            self._at += 1
            word = action.text.split(maxsplit=1)[0] if action.text and not action.is_text else ""
            if action.is_text:
                found.append(action.text)
            elif action.text.startswith("/*"):
                continue
            elif word in until:
                return tuple(found), action.text
            elif word in {"if", "with"}:
                found.append(self._branch(action, action.text.removeprefix(word), rebinds=word == "with"))
            else:
                self._refuse(word, action)
                found.append(self._pipeline(action.text, action.offset))
        if until:
            raise TemplateError("a block without {{ end }}", self._actions[-1].offset)
        return tuple(found), ""

    def _refuse(self, word: str, action: _Action) -> None:
        if word in _REFUSED:
            raise TemplateError(f"{{{{ {word} }}}} is not supported in rules, try plain fields and if", action.offset)
        if word in _BLOCKS:
            raise TemplateError(f"unexpected {{{{ {word} }}}}", action.offset)

    def _branch(self, action: _Action, condition: str, *, rebinds: bool) -> Branch:
        asked = self._pipeline(condition, action.offset)
        then, ended = self.items(frozenset({"else", "end"}))
        rest = ended.removeprefix("else").strip() if ended.startswith("else") else ""
        if rest.startswith("if"):
            return Branch(asked, rebinds, then, (self._branch(action, rest.removeprefix("if"), rebinds=False),))
        otherwise: tuple[Item, ...] = ()
        if ended.startswith("else"):
            otherwise, _ = self.items(frozenset({"end"}))
        return Branch(asked, rebinds, then, otherwise)

    def _pipeline(self, text: str, offset: int) -> Pipeline:
        tokens = _Tokens(text, offset, self._variables)
        pipeline = tokens.pipeline()
        tokens.expect_end()
        if pipeline.assigns:
            self._variables.add(pipeline.assigns)
        return pipeline


class _Tokens:
    """The inside of one action."""

    def __init__(self, text: str, offset: int, variables: set[str]) -> None:
        self._text, self._offset, self._variables = text, offset, variables
        self._tokens: list[re.Match[str]] = []
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                raise TemplateError(f"cannot read {text[at:].strip()[:20]!r}", offset)
            self._tokens.append(found)
            at = found.end()
        self._at = 0

    def _kind(self, ahead: int = 0) -> str:
        return self._first(self._tokens[self._at + ahead]) if self._at + ahead < len(self._tokens) else ""

    @staticmethod
    def _first(found: re.Match[str]) -> str:
        kinds = ("string", "number", "assign", "open", "close", "pipe", "variable", "field", "word")
        return next(kind for kind in kinds if found[kind] is not None)

    def fail(self, message: str) -> TemplateError:
        return TemplateError(f"{message} in {{{{ {self._text.strip()} }}}}", self._offset)

    def expect_end(self) -> None:
        if self._at < len(self._tokens):
            raise self.fail(f"unexpected {self._tokens[self._at][0].strip()!r}")

    def pipeline(self) -> Pipeline:
        assigns = None
        if self._kind() == "variable" and self._kind(1) == "assign":
            assigns = self._tokens[self._at]["variable"]
            self._at += 2
        commands = [self._command()]
        while self._kind() == "pipe":
            self._at += 1
            commands.append(self._command())
            if not isinstance(commands[-1], Invoke):
                raise self.fail("only a function can follow |")
        return Pipeline(tuple(commands), assigns)

    def _command(self) -> Operand:
        if self._kind() == "word" and self._tokens[self._at]["word"] not in {"true", "false", "nil"}:
            name = self._tokens[self._at]["word"]
            if name not in FUNCTIONS:
                raise self.fail(f"function {name!r} is not supported")
            self._at += 1
            arguments = []
            while self._kind() not in {"", "pipe", "close"}:
                arguments.append(self._operand())
            return Invoke(name, tuple(arguments))
        operand = self._operand()
        if self._kind() not in {"", "pipe", "close"}:
            raise self.fail("only a function takes arguments")
        return operand

    def _operand(self) -> Operand:
        kind = self._kind()
        if not kind:
            raise self.fail("something is missing")
        token = self._tokens[self._at]
        self._at += 1
        if kind == "string":
            return Literal(_string(token["string"]))
        if kind == "number":
            text = token["number"].replace("_", "")
            return Literal(int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text))
        if kind == "variable":
            if token["variable"] not in self._variables:
                raise self.fail(f"undefined variable {token['variable']!r}")
            return Path(token["variable"], _fields(token["path"]))
        if kind == "field":
            return Path(".", _fields(token["field"]))
        if kind == "word":
            return self._word(token["word"])
        if kind == "open":
            return self._parenthesis()
        raise self.fail(f"unexpected {token[0].strip()!r}")

    def _word(self, word: str) -> Operand:
        if word in {"true", "false"}:
            return Literal(word == "true")
        if word == "nil":
            return Literal(None)
        if word in FUNCTIONS:
            return Invoke(word, ())
        raise self.fail(f"function {word!r} is not supported")

    def _parenthesis(self) -> Operand:
        inner = self.pipeline()
        if self._kind() != "close":
            raise self.fail("a parenthesis is not closed")
        fields = _fields(self._tokens[self._at]["after"])
        self._at += 1
        return Path(inner, fields)


def _fields(path: str) -> tuple[str, ...]:
    return tuple(name for name in path.split(".") if name)


def _string(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    try:
        return str(json.loads(text, strict=False))
    except json.JSONDecodeError as error:
        raise TemplateError(f"string {text}: {error.msg}", 0) from error
