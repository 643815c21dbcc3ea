"""A PDU's objects in lexicographic order, and the columns that a SET may write."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from simulator.snmp import ber

RenderValues = Callable[[], Sequence[bytes]]
"""The encoded values of all dynamic objects, in the order in which they were declared."""


class SetError(IntEnum):
    """Error statuses of RFC 3416 that a SET can end in."""

    WRONG_TYPE = 7
    WRONG_VALUE = 10
    NO_CREATION = 11
    NOT_WRITABLE = 17
    NO_ACCESS = 6


@dataclass(frozen=True, slots=True)
class Order:
    """What a SET of one object would do, once all objects of the request were found valid."""

    verb: str
    arguments: Mapping[str, object]
    act: Callable[[], None]


Writable = Callable[[int], Order | SetError]
"""Judges an INTEGER that somebody wants to write."""


class Mib:
    """Static objects with fixed bytes, dynamic ones rendered together and at most once a tick of the plant."""

    def __init__(
        self,
        *,
        static: Mapping[ber.Oid, bytes],
        dynamic: Sequence[ber.Oid],
        render: RenderValues,
        tick: Callable[[], int],
        writable: Mapping[ber.Oid, Writable],
    ) -> None:
        self.oids: list[ber.Oid] = sorted([*static, *dynamic])
        self.names = [ber.oid(item) for item in self.oids]
        self._values: list[bytes] = [static.get(item, b"") for item in self.oids]
        place = {item: index for index, item in enumerate(self.oids)}
        self._places = [place[item] for item in dynamic]
        self._by_content = {name[2 if name[1] < 0x80 else 3 :]: index for index, name in enumerate(self.names)}
        self._render = render
        self._tick = tick
        self._rendered = -1
        self.writable = writable

    def values(self) -> list[bytes]:
        """Encoded values beside `oids` and `names`, as of the plant's last step."""
        now = self._tick()
        if now != self._rendered:
            self._rendered = now
            values = self._values
            for place, value in zip(self._places, self._render(), strict=True):
                values[place] = value
        return self._values

    def exact(self, content: bytes) -> int | None:
        """Index of the object with this encoded identifier."""
        return self._by_content.get(content)

    def following(self, content: bytes) -> int:
        """Index of the first object after this identifier; the number of objects at the end."""
        known = self._by_content.get(content)
        return known + 1 if known is not None else bisect_right(self.oids, ber.decode_oid(content))

    def has_object(self, content: bytes) -> bool:
        """Whether any instance lies below this identifier without its last part: tells a missing instance from a missing object."""
        column = ber.decode_oid(content)[:-1]
        at = bisect_left(self.oids, column)
        return at < len(self.oids) and self.oids[at][: len(column)] == column
