"""What is odd but usable in a site: one feed only, more on a PDU than it carries, phases loaded unevenly."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from fleet.assets import Asset, Kind
from fleet.document import Document, Loc
from fleet.errors import Problem
from fleet.model import Site
from fleet.ranges import fold

IMBALANCE = 0.2
"""Share of the mean by which a phase may differ: (max |I - mean|) / mean; a default to tune."""


def advice_on(site: Site, document: Document, places: Mapping[str, Loc]) -> Iterator[Problem]:
    """Warnings about a site that loads; `places` is where the file names each asset."""
    yield from _feeds(site, document, places)
    for pdu in site.of_kind(Kind.PDU):
        yield from _load(site, document, places, pdu, "rated_watts")
        yield from _phases(site, document, places, pdu)
    for rack in site.of_kind(Kind.RACK):
        yield from _load(site, document, places, rack, "power_limit_watts")
    for busbar in site.of_kind(Kind.BUSBAR):
        yield from _load(site, document, places, busbar, "rated_watts")


def _feeds(site: Site, document: Document, places: Mapping[str, Loc]) -> Iterator[Problem]:
    """Nodes on one feed, or on none, by the entry that names them."""
    lacking: dict[tuple[Loc, str], list[str]] = defaultdict(list)
    for node in site.of_kind(Kind.NODE):
        feeds = sorted({outlet.labels["feed"] for outlet in site.graph.outlets_of(node.id)})
        if len(feeds) < 2:
            lacking[places[node.id], "".join(feeds)].append(node.id)
    for (loc, feed), nodes in lacking.items():
        if feed:
            yield document.problem(loc, f"on feed {feed} alone: {fold(nodes)}", "a second supply on the other feed")
        else:
            message = f"on no outlet, so nothing can prove them off: {fold(nodes)}"
            yield document.problem(loc, message, "their outlets under power.pdus")


def _load(site: Site, document: Document, places: Mapping[str, Loc], carrier: Asset, rating: str) -> Iterator[Problem]:
    rated = carrier.ratings.get(rating)
    if rated is None:
        return
    load = sum(site.assets[node].ratings["max_watts"] for node in site.graph.nodes_in(carrier.id))
    if load > rated:
        message = f"the nodes on {carrier.id} may draw {load:g} W, it carries {rated:g} W"
        yield document.problem(places[carrier.id], message, "fewer nodes on it, or caps that hold them below it")


def _phases(site: Site, document: Document, places: Mapping[str, Loc], pdu: Asset) -> Iterator[Problem]:
    """Uneven phases, if moving one outlet would make them more even."""
    loads = dict.fromkeys(range(1, int(pdu.ratings["phases"]) + 1), 0.0)
    shares: dict[int, list[float]] = defaultdict(list)
    for outlet in (site.assets[name] for name in site.graph.downstream(pdu.id)):
        phase = outlet.ratings.get("phase")
        if outlet.kind is not Kind.OUTLET or phase is None:
            continue
        for node in site.graph.nodes_in(outlet.id):
            supplies = [other for other in site.graph.outlets_of(node) if pdu.id in other.fed_by]
            share = site.assets[node].ratings["max_watts"] / len(supplies)
            loads[int(phase)] += share
            shares[int(phase)].append(share)
    mean = sum(loads.values()) / len(loads)
    fullest, emptiest = max(loads, key=loads.__getitem__), min(loads, key=loads.__getitem__)
    if not mean or max(abs(load - mean) for load in loads.values()) <= IMBALANCE * mean:
        return
    if loads[fullest] - loads[emptiest] > min(shares[fullest]):
        shown = ", ".join(f"{phase}: {load:g} W" for phase, load in loads.items())
        message = f"the phases of {pdu.id} are loaded unevenly ({shown})"
        yield document.problem(places[pdu.id], message, f"moving an outlet from phase {fullest} to phase {emptiest}")
