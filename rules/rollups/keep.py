"""Which look-backs are kept of which metrics, filled from the frames that a window takes."""

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

import msgspec
import numpy as np

from fleet.errors import Malformed
from rules.arrays import NEVER, Bools, Bytes, Floats, Hashes, Rows, Times, every
from rules.labels import LabelTable
from rules.rollups.buckets import FIELDS, MINUTE_MS, Buckets, Field
from rules.rollups.minutes import LATEST, Minute, by_source
from rules.window.layouts import Layout
from rules.window.ring import GOOD_MASK

VERSION: Final = 1
_FIRST_COLUMNS: Final = 16

LookBacks: TypeAlias = Mapping[str, Mapping[int, frozenset[str]]]
"""By metric, and by range in ms, the functions that look back so far."""


class _KeptBuckets(msgspec.Struct, frozen=True, kw_only=True):
    head: int
    numbers: list[int]
    """Of the buckets that hold anything."""
    fields: dict[str, bytes]
    """float64, little-endian, `[bucket][column]`."""


class _KeptMetric(msgspec.Struct, frozen=True, kw_only=True):
    series: list[int]
    newest: list[int]
    previous: bytes
    buckets: dict[int, _KeptBuckets]
    minutes: _KeptBuckets | None = None
    sources: list[str] = []


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    metrics: dict[str, _KeptMetric]
    told: int | None = None


class Metric:
    """The series of one metric, a column each, in every look-back of theirs."""

    def __init__(self, ranges: Mapping[int, frozenset[str]]) -> None:
        self.index: dict[int, int] = {}
        """The hash of a label set to its column: it stays the same from process to process."""
        self.newest: Times = np.empty(0, dtype=np.int64)
        """When each series' newest sample was measured: older ones count no more, so that reading again counts nothing twice."""
        self.previous: Floats = np.empty(0)
        """Its value, of which the next one's increase is told; NaN before the first."""
        self.buckets = {range_ms: Buckets(range_ms, functions) for range_ms, functions in ranges.items()}
        self.kept: set[int] = set()
        """Look-backs that came out of a kept state."""
        self.minutes: Buckets | None = None
        """The newest minutes with all their fields, where they are told."""
        self._all = tuple(self.buckets.values())
        self.sources: list[str] = []
        """Whose series each column is."""
        self._columns: tuple[LabelTable, Rows] | None = None

    def tell(self) -> None:
        """Keep the newest minutes, to be told."""
        self.minutes = Buckets((LATEST + 2) * MINUTE_MS, FIELDS)
        self.minutes.widen(len(self.newest))
        self._all = (*self.buckets.values(), self.minutes)

    def owned(self, columns: Rows, source: str) -> None:
        """These columns' series come from a source."""
        self.sources += [""] * (len(self.index) - len(self.sources))
        for column in columns.tolist():
            self.sources[column] = source

    def columns_of(self, hashes: list[int]) -> Rows:
        """The columns of these series, made where they are new."""
        index = self.index
        found = np.array([index.setdefault(one, len(index)) for one in hashes], dtype=np.int64)
        self._reserve(len(index))
        return found

    def _reserve(self, columns: int) -> None:
        if columns <= len(self.newest):
            return
        width = max(2 * len(self.newest), columns, _FIRST_COLUMNS)
        more = width - len(self.newest)
        self.newest = np.concatenate([self.newest, np.full(more, NEVER, dtype=np.int64)])
        self.previous = np.concatenate([self.previous, np.full(more, np.nan)])
        for buckets in self._all:
            buckets.widen(width)

    def add(self, at_ms: int | Times, columns: Rows, values: Floats) -> None:
        """One good sample of each of some series; where they have times of their own, all of the same minute."""
        fresh = self.newest[columns] < at_ms
        if not every(fresh):
            columns, values = columns[fresh], values[fresh]
            at_ms = at_ms if isinstance(at_ms, int) else at_ms[fresh]
        if not len(columns):
            return
        grown = values - self.previous[columns]
        increases = np.where(grown < 0, values, np.nan_to_num(grown, nan=0.0))  # a counter that fell began again
        self.newest[columns], self.previous[columns] = at_ms, values
        moment = at_ms if isinstance(at_ms, int) else int(at_ms[0])
        for buckets in self._all:
            buckets.add(moment, columns, values, increases)

    def read(self, function: str, range_ms: int, labels: LabelTable, at_ms: int) -> tuple[Floats, Bools]:
        """The function over the look-back of these series; one that is not known has no value."""
        if self._columns is None or self._columns[0] is not labels:
            found = [self.index.get(one, -1) for one in labels.hashes.tolist()]
            self._columns = labels, np.array(found, dtype=np.int64)
        columns = self._columns[1]
        if not len(self.newest):
            return np.zeros(labels.size), np.zeros(labels.size, dtype=np.bool_)
        values, present = self.buckets[range_ms].read(function, at_ms)
        return values[columns], present[columns] & (columns >= 0)


class Rollups:
    """Every look-back of a rule set that raw samples do not serve."""

    def __init__(self, look_backs: LookBacks) -> None:
        self._metrics = {name: Metric(ranges) for name, ranges in look_backs.items()}
        self._served = {name: {r: frozenset(f) for r, f in ranges.items()} for name, ranges in look_backs.items()}
        self._places: dict[tuple[str, int], list[tuple[Metric, Rows, Rows]]] = {}
        """For each layout the metrics that are kept, with the places of their values in a frame, and their columns."""
        self.told_until: int | None = None
        """The number of the newest minute that was told, or need not be; None where none is."""

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """By name."""
        return self._metrics

    @property
    def ranges_ms(self) -> list[int]:
        """Every look-back."""
        return [range_ms for metric in self._metrics.values() for range_ms in metric.buckets]

    def tell(self, at_ms: int) -> None:
        """Tell minutes from now on; the one under way is not whole."""
        self.told_until = at_ms // MINUTE_MS
        for metric in self._metrics.values():
            metric.tell()

    def told(self, at_ms: int) -> list[Minute]:
        """Minutes that were over by then and were not told yet, by source."""
        if self.told_until is None:
            return []
        newest = at_ms // MINUTE_MS - 1
        first, self.told_until = max(self.told_until, newest - LATEST) + 1, max(self.told_until, newest)
        return [minute for number in range(first, newest + 1) for minute in by_source(number, self._minute(number))]

    def _minute(self, number: int) -> Iterator[tuple[str, Hashes, Mapping[Field, Floats], list[str]]]:
        for name, metric in self._metrics.items():
            assert metric.minutes is not None, "who tells keeps minutes"
            columns, fields = metric.minutes.filled(number, len(metric.sources))
            if len(columns):
                hashes = np.array(list(metric.index), dtype=np.uint64)[columns]
                yield name, hashes, fields, [metric.sources[column] for column in columns.tolist()]

    @property
    def nbytes(self) -> int:
        """Memory of all arrays."""
        return sum(buckets.nbytes for metric in self._metrics.values() for buckets in metric.buckets.values())

    def serves(self, name: str | None, function: str, range_ms: int) -> bool:
        """Whether this look-back is kept."""
        return name is not None and function in self._served.get(name, {}).get(range_ms, frozenset())

    def take(self, layout: Layout, at_ms: int, values: Floats, states: Bytes | None) -> None:
        """The good samples of a frame whose values are wanted; `states` is None where all are good."""
        for metric, positions, columns in self.places(layout):
            chosen, into = values[positions], columns
            if states is not None:
                good = states[positions] & GOOD_MASK == 0
                chosen, into = chosen[good], columns[good]
            metric.add(at_ms, into, chosen)

    def places(self, layout: Layout) -> list[tuple[Metric, Rows, Rows]]:
        """The metrics of a layout that are kept, with the places of their values in a frame, and their columns."""
        key = layout.source, layout.number
        found = self._places.get(key)
        if found is None:
            found = self._places[key] = self._found(layout)
        return found

    def _found(self, layout: Layout) -> list[tuple[Metric, Rows, Rows]]:
        found = []
        for number, block in enumerate(layout.blocks):
            metric = self._metrics.get(block.name)
            if metric is None:
                continue
            mine = layout.block_of == number
            columns = metric.columns_of(block.labels.hashes[layout.local[mine]].tolist())
            metric.owned(columns, layout.source)
            found.append((metric, layout.positions[mine], columns))
        return found

    def read(self, name: str, function: str, range_ms: int, labels: LabelTable, at_ms: int) -> tuple[Floats, Bools]:
        """The function over the look-back that ends at a time, for each series of the table."""
        return self._metrics[name].read(function, range_ms, labels, at_ms)

    def adopt(self, other: "Rollups") -> None:
        """Go on with what was kept for other rules: look-backs that stay keep their past."""
        if other.told_until is not None:
            self.tell(other.told_until * MINUTE_MS)
        self.restore(other.encode())

    def encode(self) -> bytes:
        """Everything that is kept, as msgpack."""
        metrics = {name: _kept(metric) for name, metric in self._metrics.items() if metric.index}
        return msgspec.msgpack.encode(_Document(version=VERSION, metrics=metrics, told=self.told_until))

    def restore(self, data: bytes) -> None:
        """Take what was kept before, as far as these rules look back. Raises `Malformed` for other bytes."""
        try:
            document = msgspec.msgpack.decode(data, type=_Document)
            if document.version != VERSION:
                raise Malformed(f"look-backs of version {document.version}, this release reads {VERSION}")
            for name, kept in document.metrics.items():
                if name in self._metrics:
                    _restored(self._metrics[name], kept)
            if self.told_until is not None and document.told is not None:
                self.told_until = document.told
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise Malformed(f"not look-backs: {error}") from error
        self._places.clear()


def _kept(metric: Metric) -> _KeptMetric:
    size = len(metric.index)
    return _KeptMetric(
        series=list(metric.index),
        newest=metric.newest[:size].tolist(),
        previous=metric.previous[:size].tobytes(),
        buckets={range_ms: _kept_buckets(buckets, size) for range_ms, buckets in metric.buckets.items()},
        minutes=None if metric.minutes is None else _kept_buckets(metric.minutes, size),
        sources=metric.sources,
    )


def _kept_buckets(buckets: Buckets, size: int) -> _KeptBuckets:
    numbers = [
        number
        for number in range(max(buckets.head - buckets.slots + 1, 0), buckets.head + 1)
        if buckets.arrays[Field.COUNT][number % buckets.slots, :size].any()
    ]
    slots = np.array(numbers, dtype=np.int64) % buckets.slots
    fields = {field.value: array[slots, :size].tobytes() for field, array in buckets.arrays.items()}
    return _KeptBuckets(head=buckets.head, numbers=numbers, fields=fields)


def _restored(metric: Metric, kept: _KeptMetric) -> None:
    """Raises `ValueError` where lengths do not agree."""
    size = len(kept.series)
    columns = metric.columns_of(kept.series)
    metric.newest[columns] = kept.newest
    metric.previous[columns] = np.frombuffer(kept.previous, dtype="<f8")
    metric.sources = list(kept.sources)
    found = {metric.buckets.get(range_ms): one for range_ms, one in kept.buckets.items()}
    found |= {} if kept.minutes is None else {metric.minutes: kept.minutes}
    for buckets, one in found.items():
        if buckets is not None and not buckets.arrays.keys() - one.fields.keys():
            metric.kept.add(buckets.range_ms)
            buckets.restore(one.head, one.numbers, {
                field: np.frombuffer(one.fields[field.value], dtype="<f8").reshape(len(one.numbers), size)
                for field in buckets.arrays
            }, columns)  # fmt: skip
