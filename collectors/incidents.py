"""Which assets are watched closely: those of open incidents, and the PDUs that feed them."""

from collections.abc import Callable, Iterable

import structlog

from bus.errors import BusError, UnknownMajor
from bus.events import IncidentEvent, IncidentState, decode_event
from bus.port import Bus, Record
from bus.topics import INCIDENTS
from fleet.clock import Clock
from fleet.errors import Malformed
from fleet.model import AssetId, Kind, Site

log = structlog.get_logger("collectors.incidents")

RETRY_SECONDS = 5.0
"""Pause before the incidents are asked for again (default to tune)."""
OPEN = frozenset({IncidentState.OPEN, IncidentState.ACTING, IncidentState.VERIFYING})


class OpenIncidents:
    """The open incidents by id, and the assets to read more often because of them."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._assets: dict[str, frozenset[AssetId]] = {}
        self._sequences: dict[str, tuple[int, int]] = {}
        self.watched: frozenset[AssetId] = frozenset()

    def apply(self, event: IncidentEvent) -> bool:
        """Take one transition; true when the set of watched assets changed."""
        order = (event.epoch, event.sequence)
        if order < self._sequences.get(event.incident_id, order):
            return False
        if event.state in OPEN:
            self._sequences[event.incident_id] = order
            self._assets[event.incident_id] = self._close_to([event.root, *event.assets])
        else:
            self._sequences.pop(event.incident_id, None)
            self._assets.pop(event.incident_id, None)
        before, self.watched = self.watched, frozenset().union(*self._assets.values())
        return self.watched != before

    def _close_to(self, names: list[str]) -> frozenset[AssetId]:
        """The assets themselves, their outlets and the PDUs behind those; names the site lacks are passed over."""
        found: set[AssetId] = set()
        for name in names:
            asset = self._site.assets.get(AssetId(name))
            if asset is None:
                continue
            found.add(asset.id)
            outlets = self._site.graph.outlets_of(asset.id) if asset.kind is Kind.NODE else (asset,)
            found.update(feeder for outlet in outlets if outlet.kind is Kind.OUTLET for feeder in outlet.fed_by)
        return frozenset(found)


async def follow(bus: Bus, incidents: OpenIncidents, changed: Callable[[], None], clock: Clock) -> None:
    """Keep the open incidents as the bus tells them, those included that were open before; a bus that is away is awaited.

    Without it assets are read at their usual pace: less evidence, no loss.
    """
    while True:
        try:
            await _follow(bus, incidents, changed, clock)
        except BusError as error:
            log.warning("incidents cannot be read, assets are read at their usual pace", error=str(error))
            await clock.sleep(RETRY_SECONDS)


async def _follow(bus: Bus, incidents: OpenIncidents, changed: Callable[[], None], clock: Clock) -> None:
    since_ms = clock.now_ms()
    if _take(incidents, (await bus.latest(INCIDENTS)).values()):
        changed()
    reader = await bus.reader(topics=[INCIDENTS], since_ms=since_ms)
    try:
        while True:
            if _take(incidents, await reader.fetch(timeout_seconds=1.0)):
                changed()
    finally:
        await reader.close()


def _take(incidents: OpenIncidents, records: Iterable[Record]) -> bool:
    """Apply what can be read; true when something changed."""
    changed = False
    for record in records:
        if record.value is None:
            continue
        try:
            event = decode_event(record.value)
        except (Malformed, UnknownMajor) as error:
            log.warning("an incident cannot be read", key=record.key, offset=record.offset, error=str(error))
            continue
        if isinstance(event, IncidentEvent):
            changed = incidents.apply(event) or changed
    return changed
