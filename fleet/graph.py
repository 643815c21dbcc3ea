"""The plant graph: what fails together, what hangs below and above an asset, and what limits it.

Three kinds of edges, all from cause to effect:

- *functional*: a feeder to what it feeds (grid supply → substation → busbar → PDU → outlet → node), a cooler to what it
  cools (CDU → loop → rack, CRAC → row), a switch to the nodes on its ports;
- *containment*: site ⊃ hall ⊃ row ⊃ rack ⊃ node and PDU;
- a place that is cooled hands the cooling on to the places and nodes in it, and to nothing else there.

Below a place lies what stands in it and no more: a rack does not "feed" the nodes that its PDU feeds elsewhere.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping

from fleet.assets import Asset, AssetId, Domain, Kind, Limit
from fleet.errors import UnknownAsset
from fleet.nearest import nearest

PLACES = frozenset({Kind.SITE, Kind.HALL, Kind.ROW, Kind.RACK})
DOMAIN_KINDS = PLACES | {
    Kind.OUTLET,
    Kind.PDU,
    Kind.BUSBAR,
    Kind.SUBSTATION,
    Kind.GENERATOR_STRING,
    Kind.LOOP,
    Kind.CDU,
    Kind.SWITCH,
}


class PlantGraph:
    """Answers about the plant; pure, and frozen as the assets that it is made of.

    Every answer is computed once and kept: 10,000 nodes cost milliseconds to index and microseconds to ask.
    Raises `UnknownAsset` for an id that the inventory does not hold.
    """

    __slots__ = ("_assets", "_contents", "_downstream", "_effects", "_nodes", "_switches", "_upstream")

    def __init__(self, assets: Mapping[AssetId, Asset]) -> None:
        self._assets = assets
        self._contents = _contents(assets)
        self._effects = _effects(assets)
        self._switches = _switches(assets)
        self._upstream: dict[AssetId, dict[AssetId, int]] = {}
        self._downstream: dict[AssetId, frozenset[AssetId]] = {}
        self._nodes: dict[AssetId, frozenset[AssetId]] = {}

    def downstream(self, asset: AssetId) -> frozenset[AssetId]:
        """All that it feeds, cools, connects or contains, itself excluded."""
        found = self._downstream.get(asset)
        if found is None:
            place = self._assets[self._known(asset)].kind in PLACES
            found = frozenset(self._contained(asset) if place else self._affected(asset)) - {asset}
            self._downstream[asset] = found
        return found

    def upstream(self, asset: AssetId) -> frozenset[AssetId]:
        """All that feeds, cools, connects or contains it, itself excluded: the reverse of `downstream`."""
        return frozenset(self._above(asset)) - {asset}

    def domains_of(self, asset: AssetId) -> tuple[Domain, ...]:
        """Every failure domain that it belongs to, nearest first; itself too where it is one."""
        return tuple(
            Domain(kind=self._assets[above].kind, id=above)
            for above in self._above(asset)
            if self._assets[above].kind in DOMAIN_KINDS
        )

    def nodes_in(self, asset: AssetId) -> frozenset[AssetId]:
        """The nodes at or below it."""
        found = self._nodes.get(asset)
        if found is None:
            below = self.downstream(asset) | {asset}
            found = frozenset(name for name in below if self._assets[name].kind is Kind.NODE)
            self._nodes[asset] = found
        return found

    def outlets_of(self, node: AssetId) -> tuple[Asset, ...]:
        """The outlets that feed a node, in the order of the file."""
        feeders = (self._assets[feeder] for feeder in self._assets[self._known(node)].fed_by)
        return tuple(feeder for feeder in feeders if feeder.kind is Kind.OUTLET)

    def limits_above(self, asset: AssetId) -> tuple[Limit, ...]:
        """What limits its power: its own limits, those of each ancestor on the power tree, and its rack's; nearest first.

        Below a PDU only the phases that the asset hangs on count. Sources that stand in for each other (grid supply,
        generator string, BESS) are all named: the caller knows which of them carries. What a node may draw at most is
        a rating of it, not a limit.
        """
        start = self._assets[self._known(asset)]
        phases = _phases_below(start, self.outlets_of(asset))
        limits: list[Limit] = []
        for above in self._on_power_tree(start):
            limits.extend(_limits_of(above, phases.get(above.id)))
        return tuple(limits)

    def common_causes(self, assets: Iterable[AssetId]) -> tuple[AssetId, ...]:
        """Candidates that have all of them below, or are one of them; best first.

        One that is among the assets comes before one that is not: it has something to say itself. Then the nearest
        (fewest steps to the farthest of them), then the one with the least below it.
        """
        given = dict.fromkeys(assets)
        aboves = [self._above(asset) for asset in given]
        if not aboves:
            return ()

        def rank(cause: AssetId) -> tuple[bool, int, int, AssetId]:
            return cause not in given, max(above[cause] for above in aboves), len(self.downstream(cause)), cause

        return tuple(sorted(set(aboves[0]).intersection(*aboves[1:]), key=rank))

    def _above(self, asset: AssetId) -> dict[AssetId, int]:
        """Itself and everything upstream with the distance in steps, nearest first."""
        found = self._upstream.get(asset)
        if found is None:
            found = self._climb(self._assets[self._known(asset)])
            self._upstream[asset] = found
        return found

    def _climb(self, start: Asset) -> dict[AssetId, int]:
        """Distances upward: the places around the start, then causes of causes (Dijkstra, every step 1)."""
        around = {place.id: steps for steps, place in self._places_around(start)}
        reached = [(steps, place) for place, steps in around.items()]
        reached += [(1, cause) for cause in self._causes(start)]
        if start.kind is Kind.NODE or start.kind in PLACES:  # only these share in the cooling of their places
            reached += [
                (steps + 1, cooler) for place, steps in around.items() for cooler in self._assets[place].cooled_by
            ]
        heapq.heapify(reached)
        distances = {start.id: 0}
        while reached:
            steps, above = heapq.heappop(reached)
            if above in distances:
                continue
            distances[above] = steps
            if above not in around:
                for cause in self._causes(self._assets[above]):
                    heapq.heappush(reached, (steps + 1, cause))
        return distances

    def _causes(self, asset: Asset) -> tuple[AssetId, ...]:
        """What feeds, cools or connects it, one step above."""
        return (*asset.fed_by, *asset.cooled_by, *self._switches.get(asset.id, ()))

    def _places_around(self, asset: Asset) -> Iterator[tuple[int, Asset]]:
        """The places that it stands in with the steps to each, innermost first."""
        steps = 0
        while asset.parent is not None:
            steps += 1
            asset = self._assets[asset.parent]
            if asset.kind in PLACES:
                yield steps, asset

    def _contained(self, place: AssetId) -> Iterator[AssetId]:
        """All that stands in a place, at any depth."""
        pending = [place]
        while pending:
            contents = self._contents.get(pending.pop(), ())
            yield from contents
            pending.extend(contents)

    def _affected(self, start: AssetId) -> set[AssetId]:
        """All that a failing device takes with it; a cooled place passes it on to its places and nodes alone."""
        affected = {start}
        pending = [start]
        while pending:
            asset = self._assets[pending.pop()]
            below = self._effects.get(asset.id, ())
            if asset.kind in PLACES:
                inside = (self._assets[name] for name in self._contents.get(asset.id, ()))
                below = tuple(thing.id for thing in inside if thing.kind is Kind.NODE or thing.kind in PLACES)
            fresh = [name for name in below if name not in affected]
            affected.update(fresh)
            pending.extend(fresh)
        return affected

    def _on_power_tree(self, start: Asset) -> Iterator[Asset]:
        """The asset, its rack, and its ancestors by `fed_by`, each once, nearest first."""
        seen = {start.id}
        queue = deque([start])
        while queue:
            asset = queue.popleft()
            yield asset
            rack = self._assets.get(asset.parent) if asset is start and asset.parent is not None else None
            if rack is not None and rack.kind is Kind.RACK:
                yield rack
            for feeder in asset.fed_by:
                if feeder not in seen:
                    seen.add(feeder)
                    queue.append(self._assets[feeder])

    def _known(self, asset: AssetId) -> AssetId:
        if asset not in self._assets:
            raise unknown_asset(asset, self._assets)
        return asset


def unknown_asset(asset: str, assets: Iterable[str]) -> UnknownAsset:
    """The error for an id that the inventory does not hold, with the nearest one that it does."""
    near = nearest(asset, sorted(assets))
    return UnknownAsset(f"no asset {asset!r} in the inventory" + (f", try {near!r}" if near else ""))


def _contents(assets: Mapping[AssetId, Asset]) -> dict[AssetId, tuple[AssetId, ...]]:
    """For each asset what stands directly in or on it."""
    contents: dict[AssetId, list[AssetId]] = defaultdict(list)
    for asset in assets.values():
        if asset.parent is not None:
            contents[asset.parent].append(asset.id)
    return {place: tuple(inside) for place, inside in contents.items()}


def _effects(assets: Mapping[AssetId, Asset]) -> dict[AssetId, tuple[AssetId, ...]]:
    """For each asset what it feeds, cools or connects, one step below."""
    effects: dict[AssetId, list[AssetId]] = defaultdict(list)
    for asset in assets.values():
        for cause in (*asset.fed_by, *asset.cooled_by):
            effects[cause].append(asset.id)
        effects[asset.id].extend(asset.ports.values())
    return {cause: tuple(dict.fromkeys(below)) for cause, below in effects.items() if below}


def _switches(assets: Mapping[AssetId, Asset]) -> dict[AssetId, tuple[AssetId, ...]]:
    """For each node the switches that it hangs on."""
    switches: dict[AssetId, list[AssetId]] = defaultdict(list)
    for asset in assets.values():
        for node in dict.fromkeys(asset.ports.values()):
            switches[node].append(asset.id)
    return {node: tuple(above) for node, above in switches.items()}


def _phases_below(start: Asset, outlets: tuple[Asset, ...]) -> dict[AssetId, frozenset[int]]:
    """For each PDU above the start the phases that the start hangs on; no entry means all of them."""
    if start.kind is Kind.OUTLET:
        outlets = (start,)
    phases: dict[AssetId, set[int]] = defaultdict(set)
    unknown: set[AssetId] = set()
    for outlet in outlets:
        phase = outlet.ratings.get("phase")
        for pdu in outlet.fed_by:
            if phase is None:
                unknown.add(pdu)
            else:
                phases[pdu].add(int(phase))
    return {pdu: frozenset(found) for pdu, found in phases.items() if pdu not in unknown}


def _limits_of(asset: Asset, phases: frozenset[int] | None) -> Iterator[Limit]:
    """The limits that an asset itself sets, on these of its phases or on all."""
    rated_amperes = asset.ratings.get("rated_amperes")
    if rated_amperes is not None and asset.kind is Kind.OUTLET:
        phase = asset.ratings.get("phase")
        name = None if phase is None else str(int(phase))
        yield Limit(asset=asset.id, quantity="amperes", value=rated_amperes, phase=name)
    elif rated_amperes is not None:
        for phase_number in sorted(phases or range(1, int(asset.ratings.get("phases", 3)) + 1)):
            yield Limit(asset=asset.id, quantity="amperes", value=rated_amperes, phase=str(phase_number))
    watts = asset.ratings.get("power_limit_watts" if asset.kind is Kind.RACK else "rated_watts")
    if watts is not None:
        yield Limit(asset=asset.id, quantity="watts", value=watts)
