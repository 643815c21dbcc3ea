"""Buckets of equal length: count, sum, smallest, largest, last and increase of many series, as arrays `[bucket][column]`."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, TypeAlias

import numpy as np

from rules.arrays import Bools, Floats, Rows

MINUTE_MS: Final = 60_000
MOST_BUCKETS: Final = 1_440
"""Buckets of one look-back: minutes up to a day, 7 minutes for a week, half an hour for 30 days. A default of ours: the edge
of a look-back is then right to a 1,440th of it, and a series costs 12 kB a field whatever the look-back."""


class Field(StrEnum):
    """What a bucket holds of a series."""

    COUNT = "count"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    LAST = "last"
    INCREASE = "increase"


FIELDS: Final[Mapping[str, frozenset[Field]]] = {
    "count_over_time": frozenset({Field.COUNT}),
    "sum_over_time": frozenset({Field.COUNT, Field.SUM}),
    "avg_over_time": frozenset({Field.COUNT, Field.SUM}),
    "min_over_time": frozenset({Field.COUNT, Field.MIN}),
    "max_over_time": frozenset({Field.COUNT, Field.MAX}),
    "last_over_time": frozenset({Field.COUNT, Field.LAST}),
    "increase": frozenset({Field.COUNT, Field.INCREASE}),
    "rate": frozenset({Field.COUNT, Field.INCREASE}),
}
"""The functions that buckets can answer, and what they take for it."""
NOTHING: Final = 1 << 62
"""Beyond every bucket's number."""
_EMPTY: Final[Mapping[Field, float]] = {
    Field.COUNT: 0.0,
    Field.SUM: 0.0,
    Field.MIN: np.inf,
    Field.MAX: -np.inf,
    Field.LAST: np.nan,
    Field.INCREASE: 0.0,
}
Answer: TypeAlias = tuple[Floats, Bools]


def width_of(range_ms: int) -> int:
    """How long a bucket of a look-back is, in ms: whole minutes, a 1,440th of it at most where that is a minute or more."""
    return max(range_ms // MOST_BUCKETS // MINUTE_MS, 1) * MINUTE_MS


class Buckets:
    """One look-back of the series of one metric."""

    def __init__(self, range_ms: int, functions: Iterable[str]) -> None:
        self.range_ms = range_ms
        self.width_ms = width_of(range_ms)
        self.span = -(-range_ms // self.width_ms)
        """Buckets in the look-back, the one that is being filled among them."""
        self.slots = self.span + 1
        self.head = -1
        """The number of the newest bucket: Unix time over the width."""
        self.oldest = NOTHING
        """The number of the oldest bucket that ever held anything: those before it need not be read."""
        fields = sorted(frozenset().union(*[FIELDS[function] for function in functions]))
        self.arrays: dict[Field, Floats] = {field: np.zeros((self.slots, 0)) for field in fields}
        self._closed: tuple[int, dict[Field, Floats]] | None = None

    @property
    def columns(self) -> int:
        return int(self.arrays[Field.COUNT].shape[1])

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    def widen(self, columns: int) -> None:
        """Room for so many series."""
        filled = np.arange(max(self.oldest, self.head - self.slots + 1), self.head + 1) % self.slots
        for field, array in self.arrays.items():
            wider = np.zeros((self.slots, columns))  # memory of buckets that nothing was put into is never touched
            if _EMPTY[field]:
                wider[:] = _EMPTY[field]
            wider[filled, : array.shape[1]] = array[filled]
            self.arrays[field] = wider
        self._closed = None

    def add(self, at_ms: int, columns: Rows, values: Floats, increases: Floats) -> None:
        """One sample each of some series."""
        number = at_ms // self.width_ms
        if number > self.head:
            self._open(number)
        elif number <= self.head - self.slots:
            return
        elif number != self.head:
            self._closed = None
        self.oldest = min(self.oldest, number)
        slot = number % self.slots
        for field, array in self.arrays.items():
            row = array[slot]
            match field:
                case Field.COUNT:
                    row[columns] += 1
                case Field.SUM:
                    row[columns] += values
                case Field.MIN:
                    row[columns] = np.fmin(row[columns], values)
                case Field.MAX:
                    row[columns] = np.fmax(row[columns], values)
                case Field.LAST:
                    row[columns] = values
                case Field.INCREASE:
                    row[columns] += increases

    def merge(self, at_ms: int, columns: Rows, fields: Mapping[Field, Floats]) -> None:
        """Some series' fields of a stretch of time that begins then and lies in one bucket."""
        number = at_ms // self.width_ms
        if number > self.head:
            self._open(number)
        elif number <= self.head - self.slots:
            return
        self.oldest, self._closed = min(self.oldest, number), None
        slot = number % self.slots
        for field, array in self.arrays.items():
            row, values = array[slot], fields[field]
            match field:
                case Field.MIN:
                    row[columns] = np.fmin(row[columns], values)
                case Field.MAX:
                    row[columns] = np.fmax(row[columns], values)
                case Field.LAST:
                    row[columns] = values
                case _:
                    row[columns] += values

    def filled(self, number: int, columns: int) -> tuple[Rows, dict[Field, Floats]]:
        """Which of the first so many columns have anything in a bucket, and what."""
        if not self.head - self.slots < number <= self.head:
            return np.empty(0, dtype=np.int64), {}
        slot = number % self.slots
        chosen = np.flatnonzero(self.arrays[Field.COUNT][slot, :columns] > 0)
        return chosen, {field: array[slot, chosen] for field, array in self.arrays.items()}

    def _open(self, number: int) -> None:
        """Empty buckets up to this one, which is the newest now."""
        if self.head >= 0:
            first = max(self.head + 1, number - self.slots + 1)
            slots = np.arange(first, number + 1) % self.slots
            for field, array in self.arrays.items():
                array[slots] = _EMPTY[field]
        self.head, self._closed = number, None

    def restore(self, head: int, numbers: list[int], fields: Mapping[Field, Floats], columns: Rows) -> None:
        """What was kept of some columns: each field as `[bucket][column]`, for the buckets of these numbers."""
        if head > self.head:
            self._open(head)
        self.oldest = min(self.oldest, *numbers, NOTHING)
        for place, number in enumerate(numbers):
            if self.head - self.slots < number <= self.head:
                for field, array in self.arrays.items():
                    array[number % self.slots, columns] = fields[field][place]
        self._closed = None

    def read(self, function: str, at_ms: int) -> Answer:
        """The function over the look-back that ends at a time, for every column; edges are those of buckets."""
        end = at_ms // self.width_ms
        closed = self._over_closed(end)
        within = end - self.span < self.head <= end
        found = {field: self._with_newest(field, closed) if within else closed[field] for field in FIELDS[function]}
        count = found[Field.COUNT]
        match function:
            case "count_over_time":
                return count, count > 0
            case "avg_over_time":
                return found[Field.SUM] / np.maximum(count, 1), count > 0
            case "increase":
                return found[Field.INCREASE], count > 1
            case "rate":
                return found[Field.INCREASE] / (self.range_ms / 1000.0), count > 1
        (other,) = FIELDS[function] - {Field.COUNT}
        return found[other], count > 0

    def _over_closed(self, end: int) -> dict[Field, Floats]:
        """Each field over the buckets before the newest one: worked out once a bucket, not once a pass."""
        if self._closed is None or self._closed[0] != end:
            first, last = max(end - self.span + 1, self.head - self.slots + 1, self.oldest), min(end, self.head - 1)
            slots = np.arange(first, last + 1) % self.slots
            filled = self.arrays[Field.COUNT][slots] > 0
            over = {field: _over(field, array[slots], filled) for field, array in self.arrays.items()}
            self._closed = end, over
        return self._closed[1]

    def _with_newest(self, field: Field, closed: Mapping[Field, Floats]) -> Floats:
        slot = self.head % self.slots
        newest, before = self.arrays[field][slot], closed[field]
        match field:
            case Field.MIN:
                return np.asarray(np.fmin(before, newest))
            case Field.MAX:
                return np.asarray(np.fmax(before, newest))
            case Field.LAST:
                return np.where(self.arrays[Field.COUNT][slot] > 0, newest, before)
        return np.asarray(before + newest)


def _over(field: Field, buckets: Floats, filled: Bools) -> Floats:
    """One field of several buckets, oldest first."""
    match field:
        case Field.MIN:
            return np.asarray(np.fmin.reduce(buckets, axis=0, initial=np.inf))
        case Field.MAX:
            return np.asarray(np.fmax.reduce(buckets, axis=0, initial=-np.inf))
        case Field.LAST:
            if not len(buckets):
                return np.full(buckets.shape[1], np.nan)
            newest = len(buckets) - 1 - np.argmax(filled[::-1], axis=0)
            return np.asarray(buckets[newest, np.arange(buckets.shape[1])])
    return np.asarray(buckets.sum(axis=0))
