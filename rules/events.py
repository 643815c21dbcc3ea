"""Device events as counters, `device_events_total{kind, code, …}`: one language covers readings and events. Pure.

An event counts once, by its id. A new counter is published at 0 and then at its count, so that its first event is an
increase; an event that is old on arrival raises no increase from nothing, it only counts.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from bus.events import DeviceEvent
from bus.frames import FrameWriter, SeriesLayout
from bus.port import Message
from fleet.errors import Malformed
from fleet.model import Asset
from rules.publication import ZONE

METRIC: Final = "device_events_total"
SOURCE: Final = "rules/device-events"
LABELS: Final = ("node", "rack", "zone")
REMEMBERED: Final = 50_000
"""Event ids that are known again: a day of a storm; older ones cannot come twice, their offsets are committed."""
SERIES_LIMIT: Final = 10_000
"""Counters at most; an event beyond them is counted as lost."""
OLD_MS: Final = 900_000
"""An event that is older on arrival was told while nobody listened: it counts, and starts nothing."""
VERSION: Final = 1

Key = tuple[tuple[str, str], ...]


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    counts: list[tuple[Key, int]]
    seen: list[str]


class EventCounters:
    """The counts of all device events so far."""

    def __init__(self, assets: Mapping[str, Asset]) -> None:
        """`assets` are the inventory's, for the labels."""
        self._assets = assets
        self._counts: dict[Key, int] = {}
        self._published: dict[Key, int] = {}
        self._raised: set[Key] = set()
        """Counters with an event of now since they were last published."""
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._layout: SeriesLayout | None = None
        self._last_at = 0
        self.lost = 0
        """Events beyond the limit of counters."""

    def count(self, event: DeviceEvent, now_ms: int) -> bool:
        """Count an event; False when it was counted before."""
        identity = event.event_id()
        if identity in self._seen:
            return False
        self._seen[identity] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        key = self._key(event)
        if key not in self._counts and len(self._counts) >= SERIES_LIMIT:
            self.lost += 1
            return True
        if now_ms - event.at_ms <= OLD_MS:
            self._raised.add(key)
        self._counts[key] = self._counts.get(key, 0) + 1
        return True

    def _key(self, event: DeviceEvent) -> Key:
        asset = self._assets.get(event.asset)
        known = {} if asset is None else {name: asset.labels.get(name, "") for name in LABELS}
        if asset is not None:
            known["zone"] = known["zone"] or str(asset.zone)
        labels = {**known, "asset": event.asset, "kind": event.kind, "code": event.code}
        return tuple(sorted((name, text) for name, text in labels.items() if text))

    def frames(self, at_ms: int, writer: FrameWriter) -> list[Message]:
        """The counters as they stand, behind a frame of what they were where an event raised them just now."""
        if not self._counts:
            return []
        if self._layout is None or len(self._layout.series) != len(self._counts):
            self._layout = SeriesLayout.of([(METRIC, key) for key in self._counts])
        counts = np.array(list(self._counts.values()), dtype=np.float64)
        messages: list[Message] = []
        begins = max(at_ms - 1, self._last_at + 1)
        if self._raised:
            before = [
                self._published.get(key, 0) if key in self._raised else count for key, count in self._counts.items()
            ]
            messages += writer.messages(SOURCE, ZONE, self._layout, begins, np.array(before, dtype=np.float64))
            begins += 1
        self._last_at = max(at_ms, begins)
        messages += writer.messages(SOURCE, ZONE, self._layout, self._last_at, counts)
        self._published, self._raised = dict(self._counts), set()
        return messages

    def state(self) -> bytes:
        """What survives a restart."""
        document = _Document(version=VERSION, counts=list(self._counts.items()), seen=list(self._seen))
        return msgspec.msgpack.encode(document)

    def restore(self, state: bytes) -> None:
        """Go on counting. Raises `Malformed` for bytes that are no state."""
        try:
            document = msgspec.msgpack.decode(state, type=_Document)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Malformed(f"not the state of event counters: {error}") from error
        if document.version != VERSION:
            raise Malformed(f"event counters of version {document.version}, this release reads {VERSION}")
        self._counts = dict(document.counts)
        self._published = dict(document.counts)
        self._seen = OrderedDict.fromkeys(document.seen)
        self._layout = None
