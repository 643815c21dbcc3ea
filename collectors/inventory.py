"""What the site file says, as series to join on: power, cooling and fabric are relations, a node has two feeds. And the
thresholds that rules compare with. Pure.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bus.frames import FrameWriter, SeriesLayout
from bus.port import Message
from devices.reading import Series
from fleet.model import Asset, AssetId, Kind, Site
from fleet.thresholds import METRIC, site_thresholds

SOURCE = "site/fleet"
SERIES_A_FRAME = 4096
"""Series in one frame of the inventory: its table stays far below a message's limit."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Series of one zone with their values; they change only with the site file."""

    zone: int
    layout: SeriesLayout
    values: npt.NDArray[np.float64]


def sheets_of(site: Site, zones: frozenset[int], thresholds: Mapping[str, float]) -> tuple[Sheet, ...]:
    """The series of the zones that are polled here, ready to be sent; `thresholds` are those that the settings name.

    Thresholds belong to the whole site and are published once: by whoever polls its lowest zone.
    """
    by_zone: dict[int, list[tuple[Series, float]]] = defaultdict(list)
    for asset in site.assets.values():
        if asset.zone in zones:
            by_zone[asset.zone] += [_final(site, asset, *one) for one in _series_of(site, asset)]
    lowest = min((asset.zone for asset in site.assets.values()), default=None)
    if lowest is not None and lowest in zones:
        by_zone[lowest] += _thresholds(site, thresholds)
    return tuple(_sheets(by_zone))


def _thresholds(site: Site, thresholds: Mapping[str, float]) -> Iterator[tuple[Series, float]]:
    """One series a threshold, without asset or zone, so that `on ()` finds exactly one."""
    for name, value in site_thresholds(thresholds).items():
        yield (METRIC, (("instance", site.name), ("job", "fleet"), ("name", name))), value


def messages_of(sheets: tuple[Sheet, ...], writer: FrameWriter, now_ms: int) -> list[Message]:
    """One frame a sheet, all of this moment."""
    found: list[Message] = []
    for sheet in sheets:
        found += writer.messages(SOURCE, sheet.zone, sheet.layout, now_ms, sheet.values)
    return found


Plain = tuple[str, Mapping[str, str], float]
"""Name, labels, value."""

PLANT = frozenset(
    {Kind.GRID_SUPPLY, Kind.GENERATOR_STRING, Kind.BESS, Kind.SUBSTATION, Kind.BUSBAR, Kind.CDU, Kind.CRAC}
)
"""What the site's own meters stand at: sources, what hands their power on, and what cools."""


def _series_of(site: Site, asset: Asset) -> Iterator[Plain]:
    match asset.kind:
        case Kind.NODE:
            yield from _node(asset)
        case Kind.OUTLET:
            yield from _feeds(site, asset)
        case Kind.PDU:
            yield "fleet_pdu_info", {"feed": asset.labels.get("feed", "")}, 1.0
            yield from _rating(asset, "volts", "fleet_pdu_nominal_volts", {})
            yield from _phases(asset)
            yield from _fed_by(asset)
        case Kind.RACK:
            yield from _rating(asset, "power_limit_watts", "fleet_rack_power_limit_watts", {"rack": str(asset.id)})
            yield from _coolers(site, asset)
        case Kind.SWITCH:
            for port, node in asset.ports.items():
                yield "fleet_fabric_links", {"switch": str(asset.id), "port": port, "node": str(node)}, 1.0
        case kind if kind in PLANT:
            yield "fleet_plant_info", {"kind": str(kind)}, 1.0
            yield from _rating(asset, "rated_watts", "fleet_power_rated_watts", {"kind": str(kind)})
            yield from _fed_by(asset)
        case _:
            pass


def _node(asset: Asset) -> Iterator[Plain]:
    node = {"node": str(asset.id)}
    place = {name: asset.labels[name] for name in ("rack", "row") if asset.labels.get(name)}
    yield "fleet_node_info", node | place | ({"model": asset.model} if asset.model else {}), 1.0
    yield from _rating(asset, "gpus", "fleet_node_gpus", node)
    yield from _rating(asset, "idle_watts", "fleet_node_idle_watts", node)
    yield from _rating(asset, "max_watts", "fleet_node_max_watts", node)


def _fed_by(asset: Asset) -> Iterator[Plain]:
    """Which meter stands above this one."""
    for feeder in asset.fed_by:
        yield "fleet_power_feeds", {"feeder": str(feeder)}, 1.0


def _feeds(site: Site, outlet: Asset) -> Iterator[Plain]:
    """Which nodes an outlet feeds; `asset` is its PDU, so that outlets' series join on asset and outlet."""
    labels = {name: outlet.labels[name] for name in ("pdu", "outlet", "feed") if outlet.labels.get(name)}
    if "phase" in outlet.ratings:
        labels["phase"] = f"{outlet.ratings['phase']:g}"
    for node in site.graph.nodes_in(outlet.id):
        yield "fleet_feeds", labels | {"asset": labels.get("pdu", str(outlet.id)), "node": str(node)}, 1.0


def _phases(pdu: Asset) -> Iterator[Plain]:
    rated = pdu.ratings.get("rated_amperes")
    if rated is not None:
        for phase in range(1, int(pdu.ratings.get("phases", 1)) + 1):
            yield "fleet_pdu_phase_rated_amperes", {"phase": str(phase)}, rated


def _coolers(site: Site, rack: Asset) -> Iterator[Plain]:
    """The loops that cool a rack and the CDUs that drive them."""
    for loop in _of_kind(site, rack.cooled_by, Kind.LOOP):
        for cdu in _of_kind(site, (*loop.cooled_by, *loop.fed_by), Kind.CDU):
            yield "fleet_cools", {"cdu": str(cdu.id), "loop": str(loop.id), "rack": str(rack.id)}, 1.0


def _of_kind(site: Site, ids: tuple[AssetId, ...], kind: Kind) -> Iterator[Asset]:
    return (site.assets[one] for one in ids if site.assets[one].kind is kind)


def _rating(asset: Asset, rating: str, metric: str, labels: Mapping[str, str]) -> Iterator[Plain]:
    if rating in asset.ratings:
        yield metric, labels, asset.ratings[rating]


def _final(site: Site, asset: Asset, name: str, labels: Mapping[str, str], value: float) -> tuple[Series, float]:
    """The series with what every series of the inventory carries; a relation's own labels win."""
    every = {"job": "fleet", "instance": site.name, "asset": str(asset.id), "zone": str(asset.zone)}
    every |= {label: asset.labels[label] for label in ("node", "rack") if asset.labels.get(label)}
    return (name, tuple(sorted((every | dict(labels)).items()))), value


def _sheets(by_zone: Mapping[int, list[tuple[Series, float]]]) -> Iterator[Sheet]:
    for zone, found in sorted(by_zone.items()):
        for start in range(0, len(found), SERIES_A_FRAME):
            part = found[start : start + SERIES_A_FRAME]
            values = np.array([value for _, value in part], dtype=np.float64)
            yield Sheet(zone, SeriesLayout.of([series for series, _ in part]), values)
