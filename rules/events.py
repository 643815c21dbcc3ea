"""Device events as counters, `device_events_total{kind, code, …}`: one language covers readings and events. Pure.

An event counts once, by its id. A new counter is published at 0 and then at its count, so that its first event is an
increase; an event that is old on arrival raises no increase from nothing, it only counts. Beside it
`device_event_bursts_total` counts bursts: a crash writes the same line many times, and rules on repetition mean crashes.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from bus.events import DeviceEvent
from bus.frames import FrameWriter, SeriesLayout
from bus.port import Message
from fleet.errors import Malformed
from fleet.faults import details
from fleet.model import Asset
from rules.arrays import Floats
from rules.publication import ZONE

METRIC: Final = "device_events_total"
BURSTS: Final = "device_event_bursts_total"
SOURCE: Final = "rules/device-events"
LABELS: Final = ("node", "rack", "zone")
REMEMBERED: Final = 50_000
"""Event ids that are known again: a day of a storm; older ones cannot come twice, their offsets are committed."""
SERIES_LIMIT: Final = 10_000
"""Counters at most; an event beyond them is counted as lost."""
OLD_MS: Final = 900_000
"""An event that is older on arrival was told while nobody listened: it counts, and starts nothing."""
BURST_MS: Final = 180_000
"""What follows the last event of a counter within three minutes belongs to its burst (NVSentinel's burst window)."""
GPU_DIGITS: Final = 3
VERSION: Final = 1

Key = tuple[tuple[str, str], ...]


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    counts: list[tuple[Key, int]]
    seen: list[str]
    bursts: list[tuple[Key, int, int]] = []
    """Of each counter its bursts and when its last event was; an older release wrote none."""


class EventCounters:
    """The counts of all device events so far."""

    def __init__(self, assets: Mapping[str, Asset]) -> None:
        """`assets` are the inventory's, for the labels."""
        self._assets = assets
        self._counts: dict[Key, int] = {}
        self._bursts: dict[Key, int] = {}
        self._last: dict[Key, int] = {}
        """When the last event of a counter happened, in Unix milliseconds."""
        self._published: dict[Key, tuple[int, int]] = {}
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
        last = self._last.get(key)
        if last is None or event.at_ms - last > BURST_MS:
            self._bursts[key] = self._bursts.get(key, 0) + 1
        self._last[key] = max(event.at_ms, last or 0)
        return True

    def _key(self, event: DeviceEvent) -> Key:
        asset = self._assets.get(event.asset)
        known = {} if asset is None else {name: asset.labels.get(name, "") for name in LABELS}
        if asset is not None:
            known["zone"] = known["zone"] or str(asset.zone)
        gpu = event.labels.get("gpu", "")
        if gpu.isascii() and gpu.isdigit() and len(gpu) <= GPU_DIGITS:
            known["gpu"] = gpu
        labels = {**known, **details(event.kind, event.code, event.text)}
        labels |= {"asset": event.asset, "kind": event.kind, "code": event.code}
        return tuple(sorted((name, text) for name, text in labels.items() if text))

    def frames(self, at_ms: int, writer: FrameWriter) -> list[Message]:
        """The counters as they stand, behind a frame of what they were where an event raised them just now."""
        if not self._counts:
            return []
        if self._layout is None or len(self._layout.series) != 2 * len(self._counts):
            self._layout = SeriesLayout.of([(name, key) for name in (METRIC, BURSTS) for key in self._counts])
        now = {key: (count, self._bursts.get(key, 0)) for key, count in self._counts.items()}
        messages: list[Message] = []
        begins = max(at_ms - 1, self._last_at + 1)
        if self._raised:
            before = [self._published.get(key, (0, 0)) if key in self._raised else now[key] for key in now]
            messages += writer.messages(SOURCE, ZONE, self._layout, begins, _values(before))
            begins += 1
        self._last_at = max(at_ms, begins)
        messages += writer.messages(SOURCE, ZONE, self._layout, self._last_at, _values(list(now.values())))
        self._published, self._raised = now, set()
        return messages

    def state(self) -> bytes:
        """What survives a restart."""
        bursts = [(key, self._bursts.get(key, 0), last) for key, last in self._last.items()]
        document = _Document(version=VERSION, counts=list(self._counts.items()), seen=list(self._seen), bursts=bursts)
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
        self._bursts = {key: bursts for key, bursts, _ in document.bursts}
        self._last = {key: last for key, _, last in document.bursts}
        self._published = {key: (count, self._bursts.get(key, 0)) for key, count in self._counts.items()}
        self._seen = OrderedDict.fromkeys(document.seen)
        self._layout = None

    def inherit(self, name: str, labels: Mapping[str, str], count: int) -> None:
        """Go on from where another engine's counter stands: one that falls back would look like as many new events."""
        key = tuple(sorted(labels.items()))
        counts = self._bursts if name == BURSTS else self._counts
        if name not in {METRIC, BURSTS} or counts.get(key, 0) >= count:
            return
        self._counts.setdefault(key, 0)
        counts[key] = count
        self._published[key] = self._counts[key], self._bursts.get(key, 0)
        self._layout = None


def _values(counts: Sequence[tuple[int, int]]) -> Floats:
    """Counts, then bursts, in the order of the layout."""
    return np.array(counts, dtype=np.float64).T.reshape(-1)
