"""Selectors as sheets see them: which rows each takes, found again when rows came, went or moved."""

from collections.abc import Hashable

from rules.arrays import Rows
from rules.labels import LabelTable
from rules.promql.passes import Pass
from rules.promql.selectors import Selected, Selection
from rules.promql.tree import Select, SelectRange
from rules.window.board import Block, Pattern


class Leaf:
    """One selector that names its metric."""

    def __init__(self, tree: Select | SelectRange) -> None:
        self.tree = tree
        self.selection = Selection(tree if isinstance(tree, Select) else tree.select)
        self._structure = -1
        self._found: tuple[Block, Selected] | None = None
        self.key: Hashable = None
        """Equal for leaves whose rows carry the same label sets and, under a range, lie alike; None where it has no rows."""
        self.labels: LabelTable | None = None

    def refresh(self, now: Pass) -> None:
        """Find the rows, where the window's structure is another than last time."""
        window = now.window
        if self._structure == window.structure:
            return
        self._structure = window.structure
        found = self.selection.blocks(now)
        self._found, self.labels, self.key = None, None, None
        if not found:
            return
        block, selected = self._found = found[0]
        self.labels = selected.refresh(block, self.selection.select.matchers)
        self.key = id(self.labels.nameless)
        if isinstance(self.tree, SelectRange):
            rows = None if selected.rows is None else selected.rows.tobytes()
            self.key = (self.key, id(block.ring), id(window.pattern_of(block)), rows)

    @property
    def block(self) -> Block:
        """The metric."""
        assert self._found is not None
        return self._found[0]

    @property
    def rows(self) -> Rows | None:
        """Its rows of the metric's; None for all of them."""
        assert self._found is not None
        return self._found[1].rows

    @property
    def run(self) -> Rows | slice:
        """The same, as a slice where they lie side by side."""
        assert self._found is not None
        run = self._found[1].run
        assert run is not None
        return run

    def pattern(self, now: Pass) -> Pattern:
        """How the metric's rows lie."""
        return now.window.pattern_of(self.block)
