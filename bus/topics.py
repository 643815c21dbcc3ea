"""The topics: what each holds, how it is keyed, and how long it is kept (design, section 3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import xxhash

FRAMES: Final = "telemetry.frames"
ROLLUPS: Final = "telemetry.rollups"
EVENTS: Final = "events"
ALERTS: Final = "alerts"
INCIDENTS: Final = "incidents"
REMEDIATIONS: Final = "remediations"
COMMANDS: Final = "commands"
CONTROL: Final = "control"

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
GIB: Final = 1 << 30

MESSAGE_BYTES: Final = 4 << 20
"""Largest value of one message: a series table of 16,384 series; the Kafka topics are made with the same limit."""

LEADERSHIP_PARTITION: Final = 0
"""Where leadership claims lie on `control`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """How one topic is laid out and kept."""

    name: str
    zoned: bool = False
    """One partition a zone (`partitions` of the opened bus); otherwise one in all, so that its order is total."""
    extra_partitions: int = 0
    """Partitions beside those of the zones."""
    retention_ms: int | None = None
    retention_bytes: int | None = None
    """Of keys and values in all partitions together; on disk the embedded log takes about a tenth more."""
    compacted: bool = False
    compaction_lag_ms: int = 0
    """How long the whole history is kept before only the last record of each key is."""
    full_sync: bool = False
    """Synced to the disk before it counts as accepted (embedded); the others may lose the last commits on power loss."""
    sheds: bool = False
    """May be dropped, oldest first and counted, when the spool's quota is reached; every other topic never drops."""

    kafka: tuple[tuple[str, str], ...] = ()
    """Further settings of the topic on Kafka."""

    def partitions(self, zones: int) -> int:
        """How many partitions it has on a bus opened for so many zone partitions."""
        return zones + self.extra_partitions if self.zoned else 1


TOPICS: Final[Mapping[str, Topic]] = MappingProxyType(
    {
        topic.name: topic
        for topic in (
            Topic(name=FRAMES, zoned=True, retention_ms=DAY_MS, retention_bytes=4 * GIB, sheds=True),
            Topic(name=ROLLUPS, zoned=True, retention_ms=400 * DAY_MS),
            Topic(name=EVENTS, retention_ms=7 * DAY_MS),
            Topic(name=ALERTS, compacted=True, compaction_lag_ms=90 * DAY_MS, full_sync=True),
            Topic(name=INCIDENTS, compacted=True, compaction_lag_ms=400 * DAY_MS, full_sync=True),
            Topic(name=REMEDIATIONS, compacted=True, compaction_lag_ms=400 * DAY_MS, full_sync=True),
            Topic(name=COMMANDS, compacted=True, compaction_lag_ms=400 * DAY_MS, full_sync=True),
            Topic(name=CONTROL, zoned=True, extra_partitions=1, compacted=True),
        )
    }
)


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key where the message names none: the same on both adapters."""
    return xxhash.xxh3_64_intdigest(key.encode()) % partitions if partitions > 1 else 0


def control_partition(zone: int) -> int:
    """The partition of `control` whose assignment says who polls the zone."""
    return zone + 1
