"""What the remediator itself has to say: it stands still, it was given a command that it does not believe, its ledger is bad.

Each is an alert like any other: folded into an incident, paged once, ended when its reason is gone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bus.events import AlertState
from bus.identity import derived_id
from fleet.model import AssetId, Kind, Site
from remediator.causes import FREEZE, Symptom

DISBELIEVED = "CommandNotBelieved"
OBSERVING = "RemediatorObserves"
STUMBLED = "RemediationStumbled"
MISWIRED = "OutletMappingWrong"


@dataclass(frozen=True, slots=True)
class OwnAlert:
    """One of our own alerts while it holds."""

    name: str
    key: str
    text: str
    nodes: tuple[AssetId, ...] = ()
    until_ms: int | None = None
    """It ends by itself then; None: when its reason is gone."""


def symptom(alert: OwnAlert, site: Site, since_ms: int, state: AlertState) -> Symptom:
    """As the book of incidents takes it; its asset is what its nodes have in common, else the site."""
    whole = site.of_kind(Kind.SITE)[0].id
    common = site.graph.common_causes(alert.nodes) if alert.nodes else ()
    return Symptom(
        alert_id=derived_id("own", alert.name, alert.key),
        rule=f"hallkeeper/{alert.name}",
        alertname=alert.name,
        asset=common[0] if common else whole,
        named=False,
        state=state,
        severity="critical",
        labels={"reason": alert.key},
        annotations={"summary": alert.text, "nodes": " ".join(alert.nodes)},
        since_ms=since_ms,
    )


class OwnAlerts:
    """Which of them hold, and what the book must hear."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._holding: dict[tuple[str, str], tuple[OwnAlert, int]] = {}

    def raise_(self, alert: OwnAlert, now_ms: int) -> Symptom | None:
        """It holds now; news only the first time."""
        key = (alert.name, alert.key)
        if key in self._holding:
            before, since_ms = self._holding[key]
            self._holding[key] = (replace(alert, nodes=before.nodes), since_ms)
            return None
        self._holding[key] = (alert, now_ms)
        return symptom(alert, self._site, now_ms, AlertState.FIRING)

    def adopt(self, said: Symptom, until_ms: int) -> None:
        """One that an earlier process said and the book still has: what nobody says again ends by itself."""
        lasting = said.alertname in {FREEZE, OBSERVING}
        alert = OwnAlert(
            said.alertname,
            said.labels.get("reason", ""),
            said.annotations.get("summary", ""),
            nodes=tuple(sorted(said.listed)),
            until_ms=None if lasting else until_ms,
        )
        self._holding[alert.name, alert.key] = (alert, said.since_ms)

    def ended(self, now_ms: int, gone: Iterable[tuple[str, str]] = ()) -> list[Symptom]:
        """Those whose reason is gone or whose time is over, each once."""
        over = {
            key for key, (alert, _) in self._holding.items() if alert.until_ms is not None and now_ms >= alert.until_ms
        }
        found = []
        for key in sorted(over | (set(gone) & set(self._holding))):
            alert, since_ms = self._holding.pop(key)
            found.append(symptom(alert, self._site, since_ms, AlertState.RESOLVED))
        return found

    def holds(self, name: str) -> tuple[OwnAlert, ...]:
        """Those of a name that hold now."""
        return tuple(alert for (kind, _), (alert, _) in self._holding.items() if kind == name)


__all__ = ["DISBELIEVED", "FREEZE", "OBSERVING", "STUMBLED", "OwnAlert", "OwnAlerts", "symptom"]
