"""Which open incidents an alert may belong to, without asking all of them.

An alert joins an incident that has it, that has another alert on its asset, or one of whose causes explains it; no other.
"""

from collections import defaultdict
from collections.abc import Iterable

from fleet.model import AssetId, Site
from remediator.causes import is_cause
from remediator.incidents import Incident


class IncidentIndex:
    """Open incidents by alert, by asset, and those that have a cause; in the order in which they were opened."""

    def __init__(self, site: Site, incidents: Iterable[Incident] = ()) -> None:
        self._site = site
        self._number = 0
        self._order: dict[str, int] = {}
        self._by_alert: dict[str, str] = {}
        self._by_asset: dict[AssetId, set[str]] = defaultdict(set)
        self._causal: set[str] = set()
        self._kept: dict[str, Incident] = {}
        for incident in incidents:
            self.keep(incident)

    def of_alert(self, alert_id: str) -> str | None:
        """The incident that has an alert."""
        return self._by_alert.get(alert_id)

    def near(self, asset: AssetId) -> list[str]:
        """Those that an alert on this asset may belong to, oldest first."""
        return sorted(self._by_asset.get(asset, set()) | self._causal, key=self._order.__getitem__)

    def keep(self, incident: Incident) -> None:
        """An incident as it is now; one that has ended is forgotten."""
        name = incident.incident_id
        self._forget(name)
        if incident.ended:
            self._order.pop(name, None)
            return
        if name not in self._order:
            self._number += 1
            self._order[name] = self._number
        self._kept[name] = incident
        for alert in incident.alerts.values():
            self._by_alert[alert.alert_id] = name
            self._by_asset[alert.asset].add(name)
        if any(is_cause(alert, self._site) for alert in incident.alerts.values()):
            self._causal.add(name)

    def _forget(self, name: str) -> None:
        before = self._kept.pop(name, None)
        if before is None:
            return
        self._causal.discard(name)
        for alert in before.alerts.values():
            if self._by_alert.get(alert.alert_id) == name:
                del self._by_alert[alert.alert_id]
            there = self._by_asset.get(alert.asset)
            if there is not None:
                there.discard(name)
                if not there:
                    del self._by_asset[alert.asset]
