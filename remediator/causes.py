"""Which alert explains which: by what fed, cooled or connected it, by its zone, and by time. Pure; a table and the plant."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from bus.events import AlertEvent, AlertState, IncidentAlert
from fleet.errors import UnknownAsset
from fleet.model import AssetId, Kind, Site

BEFORE_MS = 120_000
"""A symptom may be noticed this long before its cause."""
AFTER_MS = 900_000
"""And this long after; what starts later has a cause of its own (defaults to tune)."""
TOGETHER_MS = 300_000
"""Causes of one kind that begin within this time and share a feeder are one."""


class Reach(StrEnum):
    """How far a cause explains."""

    DOWNSTREAM = "downstream"
    ZONE = "zone"
    LISTED = "listed"
    """The nodes that the alert itself names (a freeze)."""


@dataclass(frozen=True, slots=True)
class CauseRule:
    """One kind of alert that explains others."""

    reach: Reach
    silences_only: bool = False
    siblings: frozenset[str] = frozenset()
    """Alerts on the other PDUs of the same rack that it explains: the load that it shifted."""


FREEZE = "MassFailureFreeze"
"""Our own alert when automation stands still."""

CAUSES: Mapping[str, CauseRule] = {
    "NodesSilentTogether": CauseRule(Reach.ZONE, silences_only=True),
    "PduFeedLost": CauseRule(Reach.DOWNSTREAM, siblings=frozenset({"PduPhaseOverload", "PduPhaseHigh"})),
    FREEZE: CauseRule(Reach.LISTED),
}
CAUSE_KINDS = frozenset({Kind.CDU, Kind.LOOP, Kind.CRAC, Kind.SWITCH})
"""A critical alert on one of these explains what happens below it, whatever its name."""
SUPPLIES = frozenset({Kind.GRID_SUPPLY, Kind.GENERATOR_STRING, Kind.SUBSTATION, Kind.BUSBAR})
"""Of these only a loss explains anything: a frequency, an overload or a generator that does not start takes no node away."""
LOSS = "Lost"
"""How critical alerts end that say that a supply is gone."""
ON_NODES: Mapping[Kind, tuple[str, ...]] = {
    **dict.fromkeys(SUPPLIES, ("Power",)),
    **dict.fromkeys((Kind.CDU, Kind.LOOP, Kind.CRAC), ("Hot", "Warm", "Thermal", "Slowdown", "Heat")),
    Kind.SWITCH: ("Fabric",),
}
"""Words in the names of node alerts, besides silence, that a fault of such an asset may be behind: a GPU that falls off its bus
while a pump stands still has a cause of its own, and its own remedy."""
SILENCES = (
    "Silent",
    "HeartbeatLost",
    "Hung",
    "NotReady",
    "NotReadyTogether",
    "NotReadyBehindSwitch",
    "Down",
    "Unreachable",
)
"""How alerts end that speak of somebody who says nothing."""
FEEDERS = frozenset({Kind.BUSBAR, Kind.SUBSTATION})
REMEDIES_OF_ROOT = frozenset({"PduPhaseOverload"})
"""A symptom that is treated itself: shedding is the remedy of the lost feed."""


class Symptom(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as incidents see it: with its asset resolved from the inventory."""

    alert_id: str
    rule: str
    alertname: str
    asset: AssetId
    """What it is about; the row of its zone, or the site, where it names nothing."""
    named: bool
    """It named its asset: only then may anything be done about it."""
    state: AlertState
    severity: str
    labels: dict[str, str]
    annotations: dict[str, str]
    since_ms: int
    trace: str = ""

    @property
    def listed(self) -> frozenset[AssetId]:
        """The nodes that it names itself (a freeze's)."""
        return frozenset(AssetId(name) for name in self.annotations.get("nodes", "").split())

    @property
    def active(self) -> bool:
        """It fires, or fired when its device fell silent."""
        return self.state in {AlertState.FIRING, AlertState.UNKNOWN}

    def shown(self) -> IncidentAlert:
        """As it travels in the incident."""
        return IncidentAlert(
            alert_id=self.alert_id,
            rule=self.rule,
            alertname=self.alertname,
            asset=str(self.asset),
            state=self.state,
            severity=self.severity,
            labels=self.labels,
            annotations=self.annotations,
            since_ms=self.since_ms,
        )


def symptom_of(alert: AlertEvent, site: Site) -> Symptom:
    """The alert with its asset: by label `asset`, else `node`, else the row of its zone, else the site."""
    asset, named = _asset_of(alert.labels, site)
    return Symptom(
        alert_id=alert.alert_id,
        rule=alert.rule,
        alertname=alert.alertname,
        asset=asset,
        named=named,
        state=alert.state,
        severity=alert.severity,
        labels=dict(alert.labels),
        annotations=dict(alert.annotations),
        since_ms=alert.active_since_ms,
        trace=alert.trace,
    )


def names_asset(labels: Mapping[str, str], site: Site) -> bool:
    """Whether an alert says what it is about."""
    return _asset_of(labels, site)[1]


def _asset_of(labels: Mapping[str, str], site: Site) -> tuple[AssetId, bool]:
    for name in ("asset", "node"):
        if labels.get(name) in site.assets:
            return AssetId(labels[name]), True
    for row in site.of_kind(Kind.ROW):
        if labels.get("zone") == str(row.zone):
            return row.id, False
    return site.of_kind(Kind.SITE)[0].id, False


def is_cause(alert: Symptom, site: Site) -> bool:
    """Whether it may explain others at all."""
    if alert.alertname in CAUSES:
        return True
    return (
        alert.named
        and alert.severity == "critical"
        and (_supply_lost(alert, site) or _kind(alert, site) in CAUSE_KINDS)
    )


def _kind(alert: Symptom, site: Site) -> Kind:
    return site.asset(alert.asset).kind


def _supply_lost(alert: Symptom, site: Site) -> bool:
    return alert.alertname.endswith(LOSS) and _kind(alert, site) in SUPPLIES


def _may_follow(cause: Symptom, alert: Symptom, site: Site) -> bool:
    """Whether what is wrong with an alert's node is of the kind that the cause's asset can do to it."""
    words = None if cause.alertname in CAUSES else ON_NODES.get(_kind(cause, site))
    if words is None or _kind(alert, site) is not Kind.NODE:
        return True
    return alert.alertname.endswith(SILENCES) or any(word in alert.alertname for word in words)


def explains(cause: Symptom, alert: Symptom, site: Site) -> bool:
    """Whether one alert is the consequence of another."""
    if not cause.active or not is_cause(cause, site) or cause.alert_id == alert.alert_id:
        return False
    if not cause.since_ms - BEFORE_MS <= alert.since_ms <= cause.since_ms + AFTER_MS:
        return False
    if alert.alertname == FREEZE and cause.alertname != FREEZE:
        return bool(alert.listed & site.graph.nodes_in(cause.asset))
    rule = CAUSES.get(cause.alertname, CauseRule(Reach.DOWNSTREAM))
    if rule.silences_only and not alert.alertname.endswith(SILENCES):
        return False
    if not _may_follow(cause, alert, site):
        return False
    match rule.reach:
        case Reach.LISTED:
            return _touches(cause, alert, site)
        case Reach.ZONE:
            return alert.labels.get("zone") == cause.labels.get("zone")
        case Reach.DOWNSTREAM:
            below = alert.asset in site.graph.downstream(cause.asset)
            return below or (alert.alertname in rule.siblings and _same_rack(cause.asset, alert.asset, site))


def same_cause(one: Symptom, other: Symptom, site: Site) -> bool:
    """Two causes of one kind and time that come from further up: zones cut off together, feeds of one busbar."""
    if one.alertname != other.alertname or one.alertname not in CAUSES:
        return False
    if abs(one.since_ms - other.since_ms) > TOGETHER_MS:
        return False
    if CAUSES[one.alertname].reach is not Reach.DOWNSTREAM:
        return True
    try:
        shared = site.graph.upstream(one.asset) & site.graph.upstream(other.asset)
    except UnknownAsset:
        return False
    return any(site.asset(asset).kind in FEEDERS for asset in shared)


def _touches(freeze: Symptom, alert: Symptom, site: Site) -> bool:
    """A freeze explains the alerts of the nodes that it lists, and a cause found later that explains them too."""
    listed = freeze.listed
    if alert.asset in listed:
        return True
    return is_cause(alert, site) and bool(listed & site.graph.nodes_in(alert.asset))


def _same_rack(one: AssetId, other: AssetId, site: Site) -> bool:
    rack = site.asset(one).labels.get("rack")
    return rack is not None and rack == site.asset(other).labels.get("rack") and one != other
