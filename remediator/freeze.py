"""Mass failure: when much fails at once the fault lies elsewhere, and everything stands still. Pure."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from fleet.model import AssetId, Kind, Site

WITHIN_MS = 300_000
NODES = 5
"""More nodes than this …"""
ROW_SHARE = 0.20
SITE_SHARE = 0.05
"""… and more than this share of a row, or of the site, became targets within five minutes (reference: G2)."""
INSTRUMENT_SHARE = 0.30
INSTRUMENTS = 3
"""More than 30 % of one kind vanished together; of very few one may fail by itself."""
SETTLED_MS = 120_000
"""A kind of instrument must be back this long before it counts as whole."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Why everything should stand still."""

    code: str
    text: str
    nodes: tuple[AssetId, ...] = ()
    """What it is about: the targets, or whose instruments fell silent. What fails there belongs to the same incident."""


def too_many_targets(targets: Mapping[AssetId, int], site: Site, now_ms: int) -> Alarm | None:
    """Nodes that became targets of a remedy within five minutes; the mapping says when each did."""
    recent = sorted(node for node, since_ms in targets.items() if now_ms - since_ms <= WITHIN_MS)
    if len(recent) <= NODES:
        return None
    rows: dict[str, list[AssetId]] = defaultdict(list)
    for node in recent:
        rows[site.asset(node).labels.get("row", "")].append(node)
    for row, nodes in sorted(rows.items()):
        members = len(site.graph.nodes_in(AssetId(row))) if row in site.assets else 0
        if len(nodes) > NODES and members and len(nodes) > ROW_SHARE * members:
            text = f"{len(nodes)} of {members} nodes in {row} became targets within 5 min{_common(nodes, site)}"
            return Alarm("mass_failure", text, tuple(recent))
    members = len(site.of_kind(Kind.NODE))
    if len(recent) > SITE_SHARE * members:
        text = f"{len(recent)} of {members} nodes became targets within 5 min{_common(recent, site)}"
        return Alarm("mass_failure", text, tuple(recent))
    return None


def _common(nodes: Sequence[AssetId], site: Site) -> str:
    """What they have in common, for whoever looks."""
    found = site.graph.common_causes(nodes)
    return f"; all hang on {found[0]}" if found else ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One instrument: whether it answers, and since when it does or does not."""

    answers: bool
    since_ms: int
    asset: AssetId | None = None


def vanished_together(kinds: Mapping[str, Collection[Sighting]], now_ms: int) -> dict[str, Alarm]:
    """More than 30 % of one kind fell silent within five minutes: that is a fault of telemetry. By kind."""
    alarms = {}
    for kind, sightings in sorted(kinds.items()):
        gone = [seen for seen in sightings if not seen.answers and now_ms - seen.since_ms <= WITHIN_MS]
        if len(gone) >= INSTRUMENTS and len(gone) > INSTRUMENT_SHARE * len(sightings):
            text = f"{len(gone)} of {len(sightings)} instruments of kind {kind} fell silent within 5 min"
            assets = sorted({seen.asset for seen in gone if seen.asset is not None})
            alarms[kind] = Alarm("telemetry", text, tuple(assets))
    return alarms


def whole_again(sightings: Collection[Sighting], now_ms: int) -> bool:
    """A kind that had vanished is back: few are silent, and none returned within the last two minutes."""
    silent = sum(not seen.answers for seen in sightings)
    fresh = any(seen.answers and now_ms - seen.since_ms < SETTLED_MS for seen in sightings)
    return not fresh and silent <= INSTRUMENT_SHARE * len(sightings)
