"""A tree as PromQL."""

from collections.abc import Sequence
from typing import Final

from rules.files.durations import duration_text
from rules.promql.tree import (
    Aggregate,
    At,
    Binary,
    Bound,
    Call,
    Card,
    Matching,
    Negate,
    Number,
    Select,
    SelectRange,
    Subquery,
    Text,
    Tree,
)
from rules.testing.notation import quoted, value_text

_SETS: Final = frozenset({"and", "or", "unless"})


def text_of(tree: Tree) -> str:
    """The expression, with a pair of parentheses around each operation inside another."""
    match tree:
        case Number():
            return value_text(tree.value)
        case Text():
            return quoted(tree.value)
        case Select() | SelectRange() | Subquery():
            return _reading(tree)
        case Negate():
            return f"-{_inside(tree.inner)}"
        case Binary():
            return _binary(tree)
        case Aggregate():
            return _aggregate(tree)
        case Call():
            return f"{tree.function}({', '.join(map(text_of, tree.arguments))})"


def _reading(tree: Select | SelectRange | Subquery) -> str:
    """What reads samples, with its modifiers."""
    match tree:
        case Select():
            return _selector(tree) + _modifiers(tree.offset_ms, tree.at)
        case SelectRange():
            inner = f"{_selector(tree.select)}[{duration_text(tree.range_ms)}]"
            return inner + _modifiers(tree.select.offset_ms, tree.select.at)
        case Subquery():
            step = "" if tree.step_ms is None else duration_text(tree.step_ms)
            return f"{_inside(tree.inner)}[{duration_text(tree.range_ms)}:{step}]" + _modifiers(tree.offset_ms, tree.at)


def _inside(tree: Tree) -> str:
    return f"({text_of(tree)})" if isinstance(tree, Binary) else text_of(tree)


def _selector(select: Select) -> str:
    inner = ", ".join(f"{each.name}{each.match}{quoted(each.value)}" for each in select.matchers)
    return f"{select.name or ''}{{{inner}}}" if inner or not select.name else select.name


def _modifiers(offset_ms: int, at: At | None) -> str:
    sign = "-" if offset_ms < 0 else ""
    offset = f" offset {sign}{duration_text(abs(offset_ms))}" if offset_ms else ""
    if at is None:
        return offset
    return f" @ {at}{offset}" if isinstance(at, Bound) else f" @ {value_text(at / 1000)}{offset}"


def _binary(tree: Binary) -> str:
    word = f"{tree.op} bool" if tree.bool_modifier else tree.op
    return f"{_inside(tree.left)} {word}{_matching(tree.matching, tree.op)} {_inside(tree.right)}"


def _matching(matching: Matching, op: str) -> str:
    grouped = matching.card in {Card.MANY_TO_ONE, Card.ONE_TO_MANY} and op not in _SETS
    words = ""
    if matching.on or matching.labels:
        words += f" {'on' if matching.on else 'ignoring'}({', '.join(matching.labels)})"
    if grouped:
        side = "left" if matching.card is Card.MANY_TO_ONE else "right"
        words += f" group_{side}({', '.join(matching.include)})"
    return words


def _aggregate(tree: Aggregate) -> str:
    by = _grouping("without" if tree.without else "by", tree.labels) if tree.labels or tree.without else ""
    parameter = "" if tree.parameter is None else f"{text_of(tree.parameter)}, "
    return f"{tree.op}{by}({parameter}{text_of(tree.inner)})"


def _grouping(word: str, labels: Sequence[str]) -> str:
    return f" {word} ({', '.join(labels)}) "
