"""Whether an expression that yields nothing was false, or had nothing to look at."""

from dataclasses import replace

from rules.promql.binary import COMPARISON
from rules.promql.tree import Binary, Card, Matching, Tree, Type, type_of


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
        return replace(tree, bool_modifier=True)
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
