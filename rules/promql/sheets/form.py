"""The form of an expression: what is left when its metrics and its numbers are taken away."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from rules.promql.tree import Aggregate, Binary, Call, Negate, Number, Select, SelectRange, Subquery, Tree, children

_ANY: Final = Number(0.0, "#")


def form(tree: Tree) -> Tree:
    """Equal for expressions that differ in metrics and numbers alone, and name the same metric where the other does."""
    return _form(tree, {})


def _form(tree: Tree, names: dict[str, str]) -> Tree:
    match tree:
        case Number():
            return _ANY
        case Select(name=str(name)):
            return replace(tree, name=names.setdefault(name, f"#{len(names)}"))
        case SelectRange():
            select = _form(tree.select, names)
            assert isinstance(select, Select)
            return replace(tree, select=select)
        case Subquery() | Negate():
            return replace(tree, inner=_form(tree.inner, names))
        case Binary():
            left = _form(tree.left, names)
            return replace(tree, left=left, right=_form(tree.right, names))
        case Aggregate():
            inner = _form(tree.inner, names)
            return replace(tree, inner=inner, parameter=tree.parameter and _form(tree.parameter, names))
        case Call():
            return replace(tree, arguments=tuple(_form(each, names) for each in tree.arguments))
        case _:
            return tree


def selects(tree: Tree) -> Iterator[Select | SelectRange]:
    """The selectors of an expression that name their metric, in order; with their range where they have one."""
    if isinstance(tree, Select | SelectRange):
        if (tree if isinstance(tree, Select) else tree.select).name is not None:
            yield tree
        return
    for child in children(tree):
        yield from selects(child)
