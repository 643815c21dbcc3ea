"""Series tables of a recording: each made when it is asked for, out of columns that stay as Parquet held them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bus.frames import SeriesName, SeriesTable

Codes = npt.NDArray[np.int64]
DICTIONARIES: Final = ["source", "name", "labels.key_value.key", "labels.key_value.value"]
"""Columns that are read as numbers of words: a site's 240,000 series have 9,500 different ones."""


class Told:
    """The tables of one file. Whether a layout is the hash of its series is for whoever needs it to see."""

    def __init__(self, table: pa.Table) -> None:
        """`table` as `shape.LAYOUT_COLUMNS`, its words read as dictionaries."""
        table = table.combine_chunks()
        self._names, self._name = _words(_lone(table.column("name")))
        labels = _lone(table.column("labels"))
        self._keys, self._key = _words(labels.keys)
        self._values, self._value = _words(labels.items)
        self._offsets: list[int] = labels.offsets.to_pylist()
        self._sources, self._source = _words(_lone(table.column("source")))
        begins = np.flatnonzero(table.column("position").to_numpy() == 1)
        layouts: list[int] = table.column("layout").to_numpy()[begins].tolist()
        self.keys: Sequence[tuple[str, int]] = list(
            zip([self._sources[one] for one in self._source[begins].tolist()], layouts, strict=True)
        )
        """Source and layout of each table."""
        self._bounds = [*begins.tolist(), len(table)]

    def names(self, source: Callable[[str], bool]) -> Mapping[str, int]:
        """Every metric that some sources name, and by how many series."""
        chosen = np.array([source(name) for name in self._sources], dtype=np.bool_)
        names, counts = np.unique(self._name[chosen[self._source]], return_counts=True)
        return {self._names[code]: count for code, count in zip(names.tolist(), counts.tolist(), strict=True)}

    def table(self, place: int, wanted: Callable[[str], object] = lambda _: True) -> SeriesTable:
        """One of them; series of metrics for which `wanted` gives None or a false value stand there without their labels."""
        begin, end = self._bounds[place], self._bounds[place + 1]
        first, last = self._offsets[begin], self._offsets[end]
        keys = [self._keys[code] for code in self._key[first:last].tolist()]
        values = [self._values[code] for code in self._value[first:last].tolist()]
        pairs = list(zip(keys, values, strict=True))
        series: list[SeriesName] = []
        for row, code in enumerate(self._name[begin:end].tolist(), start=begin):
            name = self._names[code]
            whole = tuple(pairs[self._offsets[row] - first : self._offsets[row + 1] - first]) if wanted(name) else ()
            series.append((name, whole))
        source, layout = self.keys[place]
        return SeriesTable(source=source, layout=layout, series=tuple(series))


def _lone(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _words(column: pa.Array) -> tuple[list[str], Codes]:
    """Every word once, and which one stands where."""
    return column.dictionary.to_pylist(), np.asarray(column.indices, dtype=np.int64)
