"""Label sets as columns of codes: grouping, matching and dropping labels are array arithmetic, no object per series.

A table is immutable and compared by identity, so whoever derives something from one (a grouping, a join) may keep the
result for as long as the table stays the same object.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Self
from weakref import WeakValueDictionary

import numpy as np
import xxhash

from rules.arrays import Bools, Codes, Hashes, Rows, distinct

NAME: Final = "__name__"
METADATA: Final = (NAME, "__type__", "__unit__")
"""Labels that describe what a series measures: they go whenever a value comes to mean something else."""
_FIRST_SIZE: Final = 1024
"""Strings for which the interner has room at the start; it doubles."""
_MIX: Final = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
"""Multipliers of the splitmix64 finaliser (public domain, S. Vigna): every bit of the input moves every bit of the output."""


class Strings:
    """Every label value once, with a number and a hash; 0 is the empty string."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {"": 0}
        self.values: list[str] = [""]
        self._hashes: Hashes = np.zeros(_FIRST_SIZE, dtype=np.uint64)
        self._tables: WeakValueDictionary[tuple[int, int], LabelTable] = WeakValueDictionary()

    def code(self, value: str) -> int:
        """The value's number, given out at first sight."""
        known = self._codes.get(value)
        if known is not None:
            return known
        code = len(self.values)
        self._codes[value] = code
        self.values.append(value)
        if code >= len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)])
        self._hashes[code] = xxhash.xxh3_64_intdigest(value.encode("utf-8", "surrogatepass"))
        return code

    def known(self, value: str) -> int:
        """The value's number; -1 where it was never seen."""
        return self._codes.get(value, -1)

    def hashes(self, codes: Codes) -> Hashes:
        """xxh3_64 of each value."""
        return self._hashes[codes]

    def one_of(self, table: "LabelTable") -> "LabelTable":
        """The first table with these label sets in this order: what is derived from equal tables is derived once."""
        key = (table.size, xxhash.xxh3_64_intdigest(table.hashes.tobytes()))
        return self._tables.setdefault(key, table)


class LabelTable:
    """Label sets, one a row: for each label name a column of value codes."""

    def __init__(self, strings: Strings, columns: Mapping[str, Codes], size: int) -> None:
        """Columns have `size` entries each; one without any value is left out."""
        self.strings = strings
        self.columns: dict[str, Codes] = {name: codes for name, codes in columns.items() if codes.any()}
        self.size = size
        self.derived: dict[Hashable, Any] = {}
        """What others made of the table and keep for as long as it lives."""

    @classmethod
    def of(cls, strings: Strings, rows: Sequence[Iterable[tuple[str, str]]]) -> Self:
        """The table of label sets given as pairs."""
        columns: dict[str, list[int]] = {}
        code, size = strings.code, len(rows)
        for row, labels in enumerate(rows):
            for name, value in labels:
                column = columns.get(name)
                if column is None:
                    column = columns[name] = [0] * size
                column[row] = code(value)
        return cls(strings, {name: np.array(codes, dtype=np.int32) for name, codes in columns.items()}, size)

    @classmethod
    def concat(cls, strings: Strings, tables: Sequence["LabelTable"]) -> "LabelTable":
        """The tables' rows one after the other; one alone is returned itself."""
        if len(tables) == 1:
            return tables[0]
        names = dict.fromkeys(name for table in tables for name in table.columns)
        columns = {name: np.concatenate([table.codes(name) for table in tables]) for name in names}
        joined = cls(strings, columns, sum(table.size for table in tables))
        if tables:
            joined.__dict__["hashes"] = np.concatenate([table.hashes for table in tables])
        return joined

    def codes(self, name: str) -> Codes:
        """The column of a label; zeros where the table does not have it."""
        column = self.columns.get(name)
        return np.zeros(self.size, dtype=np.int32) if column is None else column

    def row(self, index: int) -> dict[str, str]:
        """One label set, sorted by name, without empty values."""
        values = self.strings.values
        found = [(name, int(codes[index])) for name, codes in self.columns.items()]
        return {name: values[code] for name, code in sorted(found) if code}

    def take(self, rows: Rows) -> "LabelTable":
        """Only these rows, in this order."""
        taken = LabelTable(self.strings, {name: codes[rows] for name, codes in self.columns.items()}, len(rows))
        if "hashes" in self.__dict__:
            taken.__dict__["hashes"] = self.hashes[rows]
        return taken

    def drop(self, names: Collection[str]) -> "LabelTable":
        """Without these labels; the table itself where it has none of them."""
        if not self.columns.keys() & set(names):
            return self
        return LabelTable(
            self.strings, {name: codes for name, codes in self.columns.items() if name not in names}, self.size
        )

    def keep(self, names: Collection[str]) -> "LabelTable":
        """With these labels alone."""
        return LabelTable(
            self.strings, {name: codes for name, codes in self.columns.items() if name in names}, self.size
        )

    def put(self, columns: Mapping[str, Codes]) -> "LabelTable":
        """With these columns in place of its own."""
        return LabelTable(self.strings, {**self.columns, **columns}, self.size)

    def constant(self, labels: Mapping[str, str]) -> "LabelTable":
        """With the same value of these labels in every row; an empty value removes the label."""
        codes = {name: np.full(self.size, self.strings.code(value), np.int32) for name, value in labels.items()}
        return self.put(codes)

    @cached_property
    def hashes(self) -> Hashes:
        """64 bits that stand for the label set, the same in every table and process."""
        return self.hashed(self.columns)

    def hashed(self, names: Iterable[str]) -> Hashes:
        """64 bits a row over these labels alone."""
        total = np.zeros(self.size, dtype=np.uint64)
        for name in names:
            column = self.columns.get(name)
            if column is not None:
                salt = np.uint64(xxhash.xxh3_64_intdigest(name.encode("utf-8", "surrogatepass"), seed=1))
                total += np.where(column == 0, np.uint64(0), _mixed(self.strings.hashes(column) ^ salt))
        return total

    @cached_property
    def unique(self) -> bool:
        """No two rows carry the same label set."""
        return distinct(self.hashes)

    @cached_property
    def sorted_rows(self) -> Rows:
        """The rows in Prometheus's order of label sets: pair by pair, the name before the value."""
        found = [list(self.row(row).items()) for row in range(self.size)]
        return np.array(sorted(range(self.size), key=found.__getitem__), dtype=np.int64)

    @cached_property
    def ranks(self) -> Rows:
        """Each row's place in that order."""
        ranks = np.empty(self.size, dtype=np.int64)
        ranks[self.sorted_rows] = np.arange(self.size)
        return ranks

    @cached_property
    def nameless(self) -> "LabelTable":
        """Without the metric's name, and its type and unit where they are labels."""
        found = self.drop(METADATA)
        if found is not self and "hashes" in self.__dict__:
            found.__dict__["hashes"] = self.hashes - self.hashed(METADATA)
        return self.strings.one_of(found)

    def signatures(self, names: Collection[str], *, on: bool) -> Hashes:
        """64 bits a row over the labels `names` (on), or over all others but the metric's name, type and unit."""
        table = self if on and set(names) & set(METADATA) else self.nameless
        key = ("signatures", on, frozenset(names))
        if key not in table.derived:
            left_out = {*METADATA, *names}
            of = set(names) if on else {name for name in table.columns if name not in left_out}
            table.derived[key] = table.hashed(of)
        found: Hashes = table.derived[key]
        return found

    def matching(self, name: str, wanted: "Bools") -> Bools:
        """Rows whose value of the label has its bit set in `wanted`, which is indexed by code."""
        return wanted[self.codes(name)]


def _mixed(bits: Hashes) -> Hashes:
    """splitmix64's finaliser, so that sums of several labels' hashes do not cancel."""
    bits = (bits ^ (bits >> np.uint64(30))) * _MIX[0]
    bits = (bits ^ (bits >> np.uint64(27))) * _MIX[1]
    mixed: Hashes = bits ^ (bits >> np.uint64(31))
    return mixed
