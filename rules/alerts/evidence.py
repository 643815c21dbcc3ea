"""Whether an expression that yields nothing was false, or had nothing to look at."""

from collections.abc import Callable
from dataclasses import replace

from rules.promql.binary import COMPARISON
from rules.promql.tree import Aggregate, Binary, Call, Card, Matching, Negate, Tree, Type, type_of


def known_where(tree: Tree) -> Tree | None:
    """An expression with an element wherever the given one could be judged; None where it can always be.

    A comparison can be judged where both its operands are: with `bool` it says so. Of `and` both sides must be known, of
    `or` one, of `unless` the left. What is no comparison (an `absent`) judges absence itself.
    """
    if not isinstance(tree, Binary):
        return None
    if tree.op in COMPARISON:
        if tree.bool_modifier or type_of(tree) is Type.SCALAR:
            return None
        return replace(tree, left=_counted(tree.left), right=_counted(tree.right), bool_modifier=True)
    if tree.op not in {"and", "or", "unless"}:
        return None
    left, right = known_where(tree.left), known_where(tree.right)
    if tree.op == "unless":
        return left
    if tree.op == "or":
        return None if left is None or right is None else Binary("or", left, right, Matching(Card.MANY_TO_MANY))
    if left is None or right is None:
        return left if left is not None else None
    return Binary("and", left, right, tree.matching)


def _counted(tree: Tree) -> Tree:
    """An operand with an element wherever what it counts is there: a count of what is wrong is known when nothing is wrong."""
    if isinstance(tree, Aggregate):
        return replace(tree, inner=_unfiltered(tree.inner))
    return _each(tree, _counted)


def _unfiltered(tree: Tree) -> Tree:
    """The same with comparisons that say so where they do not hold."""
    if isinstance(tree, Binary) and tree.op in COMPARISON and type_of(tree) is not Type.SCALAR:
        return replace(tree, left=_unfiltered(tree.left), right=_unfiltered(tree.right), bool_modifier=True)
    return _each(tree, _unfiltered)


def _each(tree: Tree, change: Callable[[Tree], Tree]) -> Tree:
    """The tree with its operands changed; what `unless` takes away is not taken away."""
    match tree:
        case Binary(op="unless"):
            return change(tree.left)
        case Binary():
            return replace(tree, left=change(tree.left), right=change(tree.right))
        case Negate() | Aggregate():
            return replace(tree, inner=change(tree.inner))
        case Call():
            return replace(tree, arguments=tuple(map(change, tree.arguments)))
    return tree
