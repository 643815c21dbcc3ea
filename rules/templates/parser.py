"""Template text to a tree: actions, pipelines, conditions, loops. What is not covered is refused where it stands."""

from typing import Final

from rules.templates.tokens import Piece, Tokens, pieces
from rules.templates.tree import Branch, Document, Include, Item, Items, Jump, Loop, Pipeline, TemplateError

__all__ = ["TemplateError", "parse"]

_END: Final = frozenset({"end"})
_ELSE: Final = frozenset({"else", "end"})
KNOWN: Final = frozenset({"$", "$labels", "$externalLabels", "$externalURL", "$value"})
"""Variables that Prometheus puts before every template of a rule."""


def parse(source: str) -> Document:
    """The template. Raises `TemplateError`."""
    reader = _Reader(pieces(source))
    items, _ = reader.items(frozenset())
    missing = reader.included - reader.defined.keys()
    if missing:
        raise TemplateError(f"template {min(missing)!r} is not defined", 0)
    return Document(items, reader.defined)


class _Reader:
    """Walks over pieces, building blocks."""

    def __init__(self, found: list[Piece]) -> None:
        self._pieces = found
        self._at = 0
        self._variables = set(KNOWN)
        self._loops = 0
        self.defined: dict[str, Items] = {}
        self.included: set[str] = set()

    def items(self, until: frozenset[str]) -> tuple[Items, Piece]:
        """Items up to one of the words, and the action that ended them; variables made here end here."""
        found: list[Item] = []
        known = set(self._variables)
        while self._at < len(self._pieces):
            piece = self._pieces[self._at]
            self._at += 1
            if piece.is_text:
                found.append(piece.text)
            elif piece.word in until:
                self._variables = known
                return tuple(found), piece
            elif (item := self._item(piece)) is not None:
                found.append(item)
        if until:
            raise TemplateError("a block without {{ end }}", self._pieces[-1].offset)
        return tuple(found), self._pieces[-1]

    def _item(self, piece: Piece) -> Item | None:
        match piece.word:
            case "if" | "with":
                return self._branch(piece, piece.rest, rebinds=piece.word == "with")
            case "range":
                return self._loop(piece)
            case "break" | "continue":
                return self._jump(piece)
            case "template":
                return self._include(piece)
            case "define":
                self._define(piece)
                return None
            case "block":
                return self._block(piece)
            case "else" | "end":
                raise TemplateError(f"unexpected {{{{ {piece.word} }}}}", piece.offset)
            case _:
                return self._pipeline(piece.text, piece)

    def _pipeline(self, text: str, piece: Piece, *, loop: bool = False) -> Pipeline:
        pipeline = Tokens(text, piece.offset, self._variables).whole(loop=loop)
        self._variables |= set(pipeline.names)
        return pipeline

    def _branch(self, piece: Piece, condition: str, *, rebinds: bool) -> Branch:
        outside = set(self._variables)
        asked = self._pipeline(condition, piece)
        then, ended = self.items(_ELSE)
        otherwise: Items = ()
        inner = Piece(ended.rest, ended.offset, is_text=False) if ended.word == "else" else None
        if inner is not None and inner.word in {"if", "with"}:
            otherwise = (self._branch(inner, inner.rest, rebinds=inner.word == "with"),)
        elif inner is not None:
            otherwise = self._rest(inner)
        self._variables = outside
        return Branch(asked, rebinds, then, otherwise)

    def _rest(self, behind_else: Piece) -> Items:
        if behind_else.text:
            raise TemplateError(f"unexpected {behind_else.text!r} behind else", behind_else.offset)
        items, _ = self.items(_END)
        return items

    def _loop(self, piece: Piece) -> Loop:
        outside = set(self._variables)
        over = self._pipeline(piece.rest, piece, loop=True)
        self._loops += 1
        body, ended = self.items(_ELSE)
        self._loops -= 1
        otherwise = self._rest(Piece(ended.rest, ended.offset, is_text=False)) if ended.word == "else" else ()
        self._variables = outside
        return Loop(over, body, otherwise)

    def _jump(self, piece: Piece) -> Jump:
        if not self._loops or piece.rest:
            raise TemplateError(f"{{{{ {piece.text} }}}} outside a range", piece.offset)
        return Jump(piece.word)

    def _include(self, piece: Piece) -> Include:
        tokens = Tokens(piece.rest, piece.offset, self._variables)
        name = tokens.text()
        self.included.add(name)
        return Include(name, None if tokens.at_end else tokens.whole())

    def _define(self, piece: Piece) -> None:
        self.defined[Tokens(piece.rest, piece.offset, set()).text()] = self._apart(_END)

    def _block(self, piece: Piece) -> Include:
        tokens = Tokens(piece.rest, piece.offset, self._variables)
        name, value = tokens.text(), tokens.whole()
        self.defined.setdefault(name, self._apart(_END))
        self.included.add(name)
        return Include(name, value)

    def _apart(self, until: frozenset[str]) -> Items:
        """Items of a template of their own: they know no variable but `$`."""
        before, loops = self._variables, self._loops
        self._variables, self._loops = {"$"}, 0
        items, _ = self.items(until)
        self._variables, self._loops = before, loops
        return items
