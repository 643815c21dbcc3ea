"""Leaves of sheets: instant selectors, what is the same for every line, and what has to be evaluated line by line."""

from collections.abc import Sequence

import numpy as np

from rules.arrays import Bools, Floats, every, some
from rules.labels import LabelTable
from rules.promql.node import Node
from rules.promql.passes import Pass
from rules.promql.sheets.leaf import Leaf
from rules.promql.sheets.places import Places
from rules.promql.sheets.sheet import Sheet, SheetNode
from rules.window.standing import Standing


class SelectSheet(SheetNode):
    """`metric{…}`, another metric a line: each series' newest good sample within the lookback."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        super().__init__()
        self._leaves = tuple(leaves)
        self._structure = -1
        self._places: Places | None = None
        self._labels: tuple[LabelTable, ...] = ()
        self._values: Floats | None = None
        """A view of the board, where the lines lie at equal distances."""
        self._standing: Standing | None = None
        self._sheet: Sheet | None = None
        """For as long as the streams stand as they did, the same sheet shows the newest values."""

    def compute(self, now: Pass) -> Sheet | None:
        standing, places = now.standing(), self._laid_out(now)
        if self._sheet is None or self._standing is not standing:
            self._standing = standing
            self._sheet = self._read(now, standing, places)
        elif self._values is None:
            self._sheet.values = places.of(now.window.board.current)
        return self._sheet

    def _laid_out(self, now: Pass) -> Places:
        if self._places is None or self._structure != now.window.structure:
            self._structure = now.window.structure
            for leaf in self._leaves:
                leaf.refresh(now)
            self._places, self._sheet = Places(self._leaves), None
            self._labels = tuple(leaf.labels for leaf in self._leaves if leaf.labels is not None)
            self._values = self._places.of(now.window.board.current) if self._places.lasting else None
        return self._places

    def _read(self, now: Pass, standing: Standing, places: Places) -> Sheet:
        board = now.window.board
        values = places.of(board.current) if self._values is None else self._values
        alive = ~places.of(board.dead)
        if not standing.everyone:
            owners = places.of(board.stream)
            alive &= standing.fresh[owners]
            if standing.ahead is not None and some(ahead := standing.ahead[owners].ravel()):
                values = self._earlier(now, values.copy(), alive, ahead)
        return Sheet(self._labels, values, None if every(alive.ravel()) else alive)

    def _earlier(self, now: Pass, values: Floats, alive: Bools, ahead: Bools) -> Floats:
        """Where the newest sample is of a time still to come, the one before counts."""
        ahead = ahead.reshape(values.shape)
        for line in np.flatnonzero(ahead.any(axis=1)).tolist():
            leaf, cells = self._leaves[line], np.flatnonzero(ahead[line])
            rows = np.arange(leaf.block.size)[leaf.run][cells]
            values[line, cells], alive[line, cells], _ = now.past(leaf.block, rows, now.at_ms)
        return values


class Uniform(SheetNode):
    """An expression that is the same for every line."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self._node = node

    def compute(self, now: Pass) -> Sheet | None:
        vector = self._node.vector(now)
        if vector.marked is not False:
            return None
        present = None if vector.present is None else vector.present[None]
        return Sheet((vector.labels,), vector.values[None], present)


class Beside(SheetNode):
    """Expressions that are evaluated one by one, and laid side by side where they have the same label sets."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        super().__init__()
        self._nodes = tuple(nodes)

    def compute(self, now: Pass) -> Sheet | None:
        vectors = [node.vector(now) for node in self._nodes]
        nameless = vectors[0].labels.nameless
        if any(vector.marked is not False or vector.labels.nameless is not nameless for vector in vectors):
            return None
        present = None
        if any(vector.present is not None for vector in vectors):
            present = np.stack([vector.mask for vector in vectors])
        return Sheet(tuple(vector.labels for vector in vectors), np.stack([each.values for each in vectors]), present)
