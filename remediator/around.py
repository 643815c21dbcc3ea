"""What the remediator knows of its surroundings: how far behind it is, whose clock is off, what fell silent, where people work."""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bus.events import DeviceEvent
from fleet.model import AssetId, Kind, Site
from fleet.quality import Quality, quality_of
from remediator.freeze import Alarm, Sighting, vanished_together, whole_again
from remediator.sight import STOP_SENSORS, Signal, Window
from remediator.usual import UsualDraw

OFFSET_MEMORY_MS = 60_000
STOP_EVENTS_KEPT = 50
SIGHTING_FLOOR_MS = 15_000
"""An instrument that was not heard of for two intervals and this long does not answer."""
KEEP_FRESH_MS = 5_000
LEARN_MS = 4_000
"""Between two looks at what is usual: a mean over a quarter of an hour needs no more."""


class BusPosition:
    """How far behind the bus this process reads, and how far the clocks of what it reads are off."""

    def __init__(self) -> None:
        self._read_at_ms: int | None = None
        self._behind_ms = 0
        self._ahead: deque[tuple[int, int]] = deque()
        """When a frame was read and how far it was ahead of us."""

    def read(self, now_ms: int, last_record_ms: int | None, *, more: bool) -> None:
        """A fetch came back; `more`: it was full, and there is more behind it."""
        self._read_at_ms = now_ms
        self._behind_ms = max(0, now_ms - last_record_ms) if more and last_record_ms is not None else 0

    def stamped(self, at_ms: int, now_ms: int) -> None:
        """A frame says that it was measured at that time."""
        if at_ms > now_ms:
            self._ahead.append((now_ms, at_ms - now_ms))
        while self._ahead and now_ms - self._ahead[0][0] > OFFSET_MEMORY_MS:
            self._ahead.popleft()

    def lag_ms(self, now_ms: int) -> float | None:
        """How old what we know may be; None before the first read."""
        return None if self._read_at_ms is None else self._behind_ms + max(0, now_ms - self._read_at_ms)

    def offset_ms(self) -> float | None:
        """How far a stamp was ahead of our clock: a clock that is behind shows as old data instead."""
        return None if self._read_at_ms is None else float(max((ahead for _, ahead in self._ahead), default=0))


class Around:
    """Sightings, usual draws, stopped systems, maintenance; fed by the service, asked by the gates."""

    def __init__(self, site: Site, window: Window, signal: Callable[[str], Signal]) -> None:
        self._site = site
        self._window = window
        self._signal = signal
        self.position = BusPosition()
        self.usual = UsualDraw()
        self.maintenance: dict[str, dict[str, Any]] = {}
        self.vanished: dict[str, Alarm] = {}
        """Kinds of instrument that fell silent together, until they are whole again."""
        self._sightings: dict[str, dict[str, Sighting]] = defaultdict(dict)
        self._learned_ms = 0
        self._stops: dict[AssetId, deque[tuple[int, str]]] = defaultdict(lambda: deque(maxlen=STOP_EVENTS_KEPT))
        self._outlets = {
            (str(o.labels["pdu"]), str(o.labels["outlet"])): (o.id, node)
            for o in site.of_kind(Kind.OUTLET)
            for node in site.graph.nodes_in(o.id)
        }

    # heard

    def heed(self, event: DeviceEvent) -> None:
        """A device told something by itself: a SEL record of a stopped system speaks for death."""
        if event.kind == "sel" and event.code.split(":")[0].lower() in STOP_SENSORS:
            self._stops[AssetId(event.asset)].append((event.at_ms, f"{event.code} {event.text}".strip()))

    def stop_events(self, node: AssetId, since_ms: int) -> Sequence[str]:
        """SEL records of a stopped system since then."""
        return [text for at_ms, text in self._stops.get(node, ()) if at_ms >= since_ms]

    def maintained(self, scope: frozenset[AssetId], now_ms: int) -> tuple[str, ...]:
        """Maintenance windows that are open now and reach into the scope."""
        return tuple(
            f"{asset} by {window.get('actor')}: {window.get('reason')}"
            for asset, window in sorted(self.maintenance.items())
            if asset in scope and window.get("from_ms", 0) <= now_ms < (window.get("until_ms") or now_ms + 1)
        )

    # looked at, once a second

    def look(self, now_ms: int) -> None:
        """Learn what is usual, and see what fell silent."""
        if abs(now_ms - self._learned_ms) >= LEARN_MS:
            self._learned_ms = now_ms
            self._learn(now_ms)
        self._sight(now_ms)
        kinds: dict[str, list[Sighting]] = {kind: list(seen.values()) for kind, seen in self._sightings.items()}
        for kind in [kind for kind in self.vanished if whole_again(kinds.get(kind, []), now_ms)]:
            del self.vanished[kind]
        for kind, alarm in vanished_together(kinds, now_ms).items():
            self.vanished.setdefault(kind, alarm)

    def _learn(self, now_ms: int) -> None:
        """The draw of nodes whose agent answers now is usual; of silent ones it is not."""
        beats = self._window.latest("agent_heartbeat_timestamp_seconds", {})
        alive = {beat.labels.get("asset") for beat in beats if now_ms - beat.at_ms <= KEEP_FRESH_MS}
        for sample in self._window.latest("pdu_outlet_power_watts", {}):
            found = self._outlets.get((sample.labels.get("asset", ""), sample.labels.get("outlet", "")))
            fresh = now_ms - sample.at_ms <= KEEP_FRESH_MS and quality_of(sample.quality) is Quality.GOOD
            if found is not None and fresh and found[1] in alive:
                self.usual.feed(found[0], sample.value, sample.at_ms)

    def _sight(self, now_ms: int) -> None:
        """Who answers, by kind, from `up`; one that was never seen counts as a member and has not vanished."""
        limit_ms = 2 * self._signal("up").interval_ms + SIGHTING_FLOOR_MS
        for sample in self._window.latest("up", {}):
            labels = sample.labels
            kind, name = self._sightings[labels.get("job", "")], f"{labels.get('asset')}/{labels.get('instance')}"
            answers = sample.value >= 0.5 and now_ms - sample.at_ms <= limit_ms
            before = kind.get(name)
            if before is None:
                asset = AssetId(labels.get("asset", ""))
                kind[name] = Sighting(answers, now_ms if answers else 0, asset if asset in self._site.assets else None)
            elif before.answers is not answers:
                kind[name] = replace(before, answers=answers, since_ms=now_ms)

    def silent_nodes(self, now_ms: int) -> frozenset[AssetId]:
        """Nodes that were seen and whose agent does not answer: not in service."""
        beats = self._window.latest("agent_heartbeat_timestamp_seconds", {})
        limit_ms = 2 * self._signal("agent_heartbeat_timestamp_seconds").interval_ms + SIGHTING_FLOOR_MS
        return frozenset(
            AssetId(str(beat.labels.get("asset"))) for beat in beats if now_ms - beat.at_ms > limit_ms
        ) & frozenset(node.id for node in self._site.of_kind(Kind.NODE))


def remembered(memory: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The ledger's facts of one kind, by what is behind the prefix."""
    return {name.removeprefix(prefix): value for name, value in memory.items() if name.startswith(prefix)}
