"""Template text in pieces: text and actions, and an action in tokens."""

import json
import re
from dataclasses import dataclass
from typing import Final

from rules.templates.functions import FUNCTIONS
from rules.templates.surrounding_functions import SURROUNDING
from rules.templates.tree import Invoke, Literal, Operand, Path, Pipeline, TemplateError

_PIECE: Final = re.compile(
    r"""\{\{(?P<left>-\s)?(?P<space>\s*)(?:
        (?P<comment>/\*.*?\*/)
      | (?P<body>(?:"(?:\\.|[^"\\\n])*"|`[^`]*`|'(?:\\.|[^'\\\n])*'|(?!\}\}|\s-\}\})[^"`'])*)
    )(?P<right>\s-)?\s*\}\}""",
    re.VERBOSE | re.DOTALL,
)
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<string>"(?:\\.|[^"\\\n])*"|`[^`]*`)
      | (?P<char>'(?:\\.|[^'\\\n])+')
      | (?P<number>[-+]?(?:0[xX][0-9a-fA-F_]+|\d[\d_]*\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?))
      | (?P<assign>:?=)
      | (?P<open>\()|(?P<close>\))(?P<after>(?:\.\w+)*)|(?P<pipe>\|)|(?P<comma>,)
      | (?P<variable>\$\w*)(?P<path>(?:\.\w+)*)
      | (?P<field>(?:\.\w+)+|\.)
      | (?P<word>\w+)
    )""",
    re.VERBOSE,
)
_KINDS: Final = (
    "string", "char", "number", "assign", "open", "close", "pipe", "comma", "variable", "field", "word",
)  # fmt: skip
_WHOLE: Final = re.compile(r"[-+]?(?:\d+|0[xX][0-9a-fA-F]+)\Z")
_SPACE: Final = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Piece:
    """What stands between braces, or text."""

    text: str
    offset: int
    is_text: bool

    @property
    def word(self) -> str:
        """The first word of an action."""
        return self.text.split(maxsplit=1)[0] if self.text and not self.is_text else ""

    @property
    def rest(self) -> str:
        """What follows the first word."""
        return self.text[len(self.word) :].strip()


def pieces(source: str) -> list[Piece]:
    """Text and actions in order, comments left out. Raises `TemplateError`."""
    found: list[Piece] = []
    done, trim = 0, False
    while True:
        at = source.find("{{", done)
        match = None if at < 0 else _PIECE.match(source, at)
        if at >= 0 and match is None:
            raise TemplateError("unclosed action: `{{` without `}}`", at)
        text = source[done:] if match is None else source[done:at]
        text = text.lstrip(_SPACE) if trim else text
        found.append(Piece(text.rstrip(_SPACE) if match and match["left"] else text, done, is_text=True))
        if match is None:
            return found
        if match["comment"] is not None and match["space"] and not match["left"]:
            raise TemplateError("a comment must begin right behind `{{` or `{{- `", at)
        if match["comment"] is None:
            found.append(Piece(match["body"].strip(), at, is_text=False))
        done, trim = match.end(), match["right"] is not None


class Tokens:
    """The inside of one action."""

    def __init__(self, text: str, offset: int, variables: set[str]) -> None:
        """`variables` are those that are known here."""
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

    def fail(self, message: str) -> TemplateError:
        """A mistake in this action."""
        return TemplateError(f"{message} in {{{{ {self._text.strip()} }}}}", self._offset)

    def text(self) -> str:
        """A string. Raises `TemplateError`."""
        if self._kind() != "string":
            raise self.fail("a name in quotes is missing")
        self._at += 1
        return _string(self._tokens[self._at - 1]["string"], self)

    @property
    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self._at >= len(self._tokens)

    def whole(self, *, loop: bool = False) -> Pipeline:
        """Everything that is left, as one pipeline. Raises `TemplateError`."""
        pipeline = self.pipeline(loop=loop)
        if not self.at_end:
            raise self.fail(f"unexpected {self._tokens[self._at][0].strip()!r}")
        return pipeline

    def pipeline(self, *, loop: bool = False) -> Pipeline:
        """Commands with `|` between them, and the variables that take the result."""
        names, declares = self._taken_by(loop=loop)
        commands = [self._command()]
        while self._kind() == "pipe":
            self._at += 1
            commands.append(self._command())
            if not isinstance(commands[-1], Invoke):
                raise self.fail("only a function can follow |")
        return Pipeline(tuple(commands), names, declares)

    def _taken_by(self, *, loop: bool) -> tuple[tuple[str, ...], bool]:
        ahead = 3 if loop and self._kind(1) == "comma" and self._kind(2) == "variable" else 1
        if self._kind() != "variable" or self._kind(ahead) != "assign":
            return (), True
        names = tuple(self._tokens[self._at + place]["variable"] for place in range(0, ahead, 2))
        declares = self._tokens[self._at + ahead]["assign"] == ":="
        unknown = [name for name in names if not declares and name not in self._variables]
        if unknown:
            raise self.fail(f"undefined variable {unknown[0]!r}")
        self._at += ahead + 1
        return names, declares

    def _kind(self, ahead: int = 0) -> str:
        if self._at + ahead >= len(self._tokens):
            return ""
        found = self._tokens[self._at + ahead]
        return next(kind for kind in _KINDS if found[kind] is not None)

    def _command(self) -> Operand:
        if self._kind() == "word" and self._tokens[self._at]["word"] not in {"true", "false", "nil"}:
            name = self._function(self._tokens[self._at]["word"])
            self._at += 1
            arguments = []
            while self._kind() not in {"", "pipe", "close"}:
                arguments.append(self._operand())
            return Invoke(name, tuple(arguments))
        operand = self._operand()
        if operand == Literal(None):
            raise self.fail("nil is not a command")
        if self._kind() not in {"", "pipe", "close"}:
            raise self.fail("only a function takes arguments")
        return operand

    def _function(self, name: str) -> str:
        if name not in FUNCTIONS and name not in SURROUNDING:
            raise self.fail(f"function {name!r} is not supported")
        return name

    def _operand(self) -> Operand:
        kind = self._kind()
        if not kind:
            raise self.fail("something is missing")
        token = self._tokens[self._at]
        self._at += 1
        match kind:
            case "string" | "char" | "number":
                return Literal(self._literal(kind, token[kind]))
            case "variable":
                if token["variable"] not in self._variables:
                    raise self.fail(f"undefined variable {token['variable']!r}")
                return Path(token["variable"], _fields(token["path"]))
            case "field":
                return Path(".", _fields(token["field"]))
            case "word":
                return self._word(token["word"])
            case "open":
                return self._parenthesis()
            case _:
                raise self.fail(f"unexpected {token[0].strip()!r}")

    def _literal(self, kind: str, text: str) -> object:
        if kind == "string":
            return _string(text, self)
        if kind == "char":
            inner = _string('"' + text[1:-1].replace('"', '\\"').replace("\\'", "'") + '"', self)
            if len(inner) != 1:
                raise self.fail(f"{text} is not one character")
            return ord(inner)
        plain = text.replace("_", "")
        if _WHOLE.match(plain):
            return int(plain, 16) if "x" in plain.lower() else int(plain)
        return float(plain)

    def _word(self, word: str) -> Operand:
        if word in {"true", "false"}:
            return Literal(word == "true")
        return Literal(None) if word == "nil" else Invoke(self._function(word), ())

    def _parenthesis(self) -> Operand:
        inner = self.pipeline()
        if self._kind() != "close":
            raise self.fail("a parenthesis is not closed")
        fields = _fields(self._tokens[self._at]["after"])
        self._at += 1
        return Path(inner, fields)


def _fields(path: str) -> tuple[str, ...]:
    return tuple(name for name in path.split(".") if name)


def _string(text: str, tokens: Tokens) -> str:
    if text.startswith("`"):
        return text[1:-1]
    try:
        return str(json.loads(_as_json(text), strict=False))
    except json.JSONDecodeError as error:
        raise tokens.fail(f"string {text}: {error.msg}") from error


def _as_json(text: str) -> str:
    """Go's escapes that JSON does not have."""
    simple = {"\\a": "\\u0007", "\\v": "\\u000b", "\\'": "'"}
    text = re.sub(r"\\(?:[av'])", lambda found: simple[found[0]], text)
    return re.sub(r"\\x([0-9a-fA-F]{2})", r"\\u00\1", text)
