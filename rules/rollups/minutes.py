"""What a minute of some series of one source was: the records of `telemetry.rollups`, and their way there and back. Pure.

A record is the msgpack array `[1, source, minute, [[metric, series, count, sum, min, max, last, increase], …]]`. `minute` is
the Unix ms at which it began; the others are little-endian arrays of one entry a series: `series` the 64 bits that stand for
its label set with its name (unsigned), the rest float64. A minute that is told twice, by two engines one after the other,
counts once.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import numpy as np

from fleet.errors import Malformed
from rules.arrays import Floats, Hashes
from rules.rollups.buckets import MINUTE_MS, Field

VERSION: Final = 1
GRACE_MS: Final = 10_000
"""So long after its end a minute is told: what arrives later is missing in the record, not in the engines' own buckets."""
LATEST: Final = 15
"""Closed minutes that an engine still has: so many one that begins to speak tells once more, and so long a restart may take."""


class MetricMinute(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """The series of one metric in one minute."""

    name: str
    series: bytes
    count: bytes
    sum: bytes
    min: bytes
    max: bytes
    last: bytes
    increase: bytes

    def fields(self) -> dict[Field, Floats]:
        """Each field, one entry a series. Raises `ValueError` where the lengths differ."""
        found = {field: np.frombuffer(getattr(self, field.value), dtype="<f8") for field in Field}
        if {len(values) for values in found.values()} != {len(self.series) // 8}:
            raise ValueError(f"{self.name}: its arrays are not equally long")
        return found


class Minute(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """One source's minute."""

    version: int = VERSION
    source: str
    minute: int
    metrics: list[MetricMinute]


def encoded(minute: Minute) -> bytes:
    """As it lies on the bus."""
    return msgspec.msgpack.encode(minute)


def decoded(value: bytes) -> Minute:
    """Raises `Malformed` for other bytes and for another version."""
    try:
        found = msgspec.msgpack.decode(value, type=Minute)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"not a minute of rollups: {error}") from error
    if found.version != VERSION:
        raise Malformed(f"a minute of version {found.version}, this release reads {VERSION}")
    return found


def by_source(minute: int, parts: Iterable[tuple[str, Hashes, Mapping[Field, Floats], list[str]]]) -> list[Minute]:
    """The records of a minute (its number since 1970), out of each metric's name, series, fields and sources, one a series."""
    found: dict[str, list[MetricMinute]] = {}
    for name, hashes, fields, sources in parts:
        owners = np.array(sources)
        for source in dict.fromkeys(sources):
            mine = owners == source
            told = {field.value: values[mine].tobytes() for field, values in fields.items()}
            found.setdefault(source, []).append(MetricMinute(name=name, series=hashes[mine].tobytes(), **told))
    return [Minute(source=source, minute=minute * MINUTE_MS, metrics=metrics) for source, metrics in found.items()]
