"""What a window holds: which series, labels and values there are, for whoever looks around in it."""

from collections.abc import Iterator, Sequence

import numpy as np

from rules.arrays import Rows
from rules.labels import NAME
from rules.promql.errors import ExpressionError
from rules.promql.parse import parse
from rules.promql.selectors import Selection, matching_rows, predicate
from rules.promql.tree import Select
from rules.window.board import Block
from rules.window.window import Window


def selector(text: str) -> Select:
    """A series selector such as `up{job="node"}`. Raises `ExpressionError`."""
    tree = parse(text)
    if not isinstance(tree, Select) or tree.offset_ms or tree.at is not None:
        raise ExpressionError('a series selector is expected, such as up{job="node"}', expr=text)
    if not tree.name and all(predicate(each)("") for each in tree.matchers):
        raise ExpressionError("match[] must contain at least one non-empty matcher")
    return tree


class Holdings:
    """The series that selectors take (all of them where there is none), with a sample between two times."""

    def __init__(self, window: Window, selects: Sequence[Select], start_ms: int, end_ms: int) -> None:
        self._window = window
        self._selects = selects or (Select(None, ()),)
        self._start_ms, self._end_ms = start_ms, end_ms

    def label_sets(self) -> list[dict[str, str]]:
        """Each series' labels with its name, in order, none twice."""
        found = {
            tuple(sorted(labels.items())): labels
            for block, rows in self._rows()
            for labels in (block.labels.row(row) for row in rows.tolist())
        }
        return [found[key] for key in sorted(found)]

    def label_names(self) -> list[str]:
        """Names of labels, in order."""
        return sorted(
            {
                name
                for block, rows in self._rows()
                for name, codes in block.labels.columns.items()
                if bool(codes[rows].any())
            }
        )

    def label_values(self, name: str) -> list[str]:
        """Values of a label, in order."""
        found: set[str] = set()
        for block, rows in self._rows():
            codes = np.unique(block.labels.codes(name)[rows]).tolist()
            found |= {block.labels.strings.values[code] for code in codes if code}
        return sorted(found)

    def newest(self) -> list[tuple[dict[str, str], float, int]]:
        """Each series whose newest sample is good and within the times: labels with its name, value, when it was measured."""
        streams, board, found = self._window.streams, self._window.board, {}
        for block, rows in self._rows():
            places = block.start + rows
            owners = board.stream[places]
            times = streams.times[streams.heads[owners] & (streams.slots - 1), owners]
            counts = ~board.dead[places] & (times >= self._start_ms) & (times <= self._end_ms)
            for row, place, at in zip(
                rows[counts].tolist(), places[counts].tolist(), times[counts].tolist(), strict=True
            ):
                labels = block.labels.row(row)
                found[tuple(sorted(labels.items()))] = labels, float(board.current[place]), at
        return [found[key] for key in sorted(found)]

    def _rows(self) -> Iterator[tuple[Block, Rows]]:
        streams = self._window.streams
        for select in self._selects:
            selection = Selection(select)
            matchers = [each for each in select.matchers if each.name != NAME]
            for block in self._window.blocks.values():
                if not selection.takes(block.name):
                    continue
                rows = np.flatnonzero(matching_rows(block.labels, matchers))
                owners = self._window.board.stream[block.start + rows]
                heads = streams.heads[owners]
                newest = streams.times[heads & (streams.slots - 1), owners]
                first = np.maximum(heads - (min(streams.slots, block.ring.slots) - 1), 0)
                oldest = streams.times[first & (streams.slots - 1), owners]
                yield block, rows[(heads >= 0) & (newest >= self._start_ms) & (oldest <= self._end_ms)]
