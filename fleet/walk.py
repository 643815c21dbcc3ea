"""Walking a document whose shape nobody has vouched for: entries that are there, with their places, and no more.

So names and references are checked in the whole file at once, also beside entries that are wrong in themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from fleet.document import Loc


@dataclass(frozen=True, slots=True)
class Item:
    """One mapping of the document and its place."""

    data: dict[str, object]
    loc: Loc

    def text(self, key: str) -> str | None:
        """The text under a key, where there is one."""
        value = self.data.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> float | None:
        """The number under a key, where there is one."""
        value = self.data.get(key)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def at(self, *keys: str | int) -> Loc:
        """The place of something in it."""
        return (*self.loc, *keys)

    def under(self, *keys: str) -> Iterator["Item"]:
        """The mappings under a chain of keys; every list on the way is looked through."""
        if not keys:
            yield self
            return
        value = self.data.get(keys[0])
        inner = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, found in inner:
            if isinstance(found, dict):
                loc = self.at(keys[0]) if index is None else self.at(keys[0], index)
                yield from Item(found, loc).under(*keys[1:])

    def texts(self, key: str) -> Iterator[tuple[Loc, str]]:
        """The texts of a list, or the one text, under a key."""
        value = self.data.get(key)
        if isinstance(value, str):
            yield self.at(key), value
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                if isinstance(inner, str):
                    yield self.at(key, index), inner


def root_of(data: object) -> Item:
    """The whole document as an item; an empty one where it is no mapping."""
    return Item(data if isinstance(data, dict) else {}, ())
