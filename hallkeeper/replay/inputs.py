"""What the value of an expression depends on, as far as it can be told from the expression alone. Pure."""

from dataclasses import dataclass, field
from typing import Final

from rules.promql.names import DATES, RANGE_FUNCTIONS
from rules.promql.rates import RATES
from rules.promql.tree import Call, Select, SelectRange, Subquery, Tree, children
from rules.rollups.buckets import FIELDS
from rules.window.needs import RAW_MS

_OF_THE_CLOCK: Final = frozenset({"time", "start", "end", "range", "step"})
_OF_UNNAMED: Final = frozenset({"info"})


@dataclass(slots=True)
class Inputs:
    """Metrics by the way in which an expression reads them."""

    newest: set[str] = field(default_factory=set)
    """Their newest values."""
    rates: set[tuple[str, int]] = field(default_factory=set)
    """Their changes over ranges in ms: nothing, where they did not change."""
    others: set[str] = field(default_factory=set)
    """In ways whose result moves with time although no value changes."""

    @property
    def names(self) -> set[str]:
        """All of them."""
        return self.newest | self.others | {name for name, _ in self.rates}


def inputs_of(tree: Tree) -> Inputs | None:
    """None where the value may change with the clock alone, or depends on metrics that are not named."""
    found = Inputs()
    return found if _gathered(tree, found) else None


def _gathered(tree: Tree, found: Inputs) -> bool:
    match tree:
        case Select() | SelectRange():
            return _selected(tree, "", found)
        case Subquery():
            return False
        case Call() if tree.function in _OF_THE_CLOCK | _OF_UNNAMED or (tree.function in DATES and not tree.arguments):
            return False
        case Call() if tree.function in RANGE_FUNCTIONS | {"timestamp"}:
            return all(
                _selected(each, tree.function, found)
                if isinstance(each, Select | SelectRange)
                else tree.function != "timestamp" and _gathered(each, found)
                for each in tree.arguments
            )
    return all(_gathered(child, found) for child in children(tree))


def _selected(tree: Select | SelectRange, function: str, found: Inputs) -> bool:
    """What a function reads of a metric; without one it is read as it is."""
    select, range_ms = (tree, 0) if isinstance(tree, Select) else (tree.select, tree.range_ms)
    if select.name is None:
        return False
    if select.offset_ms or select.at is not None:
        found.others.add(select.name)
    elif isinstance(tree, Select) and function != "timestamp":
        found.newest.add(select.name)
    elif function in RATES and not (function in FIELDS and range_ms > RAW_MS):
        found.rates.add((select.name, range_ms))
    else:
        found.others.add(select.name)
    return True
