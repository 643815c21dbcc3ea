"""Laws of the plant graph, against a traversal that knows only the sentence that defines it."""

import time
from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.graph import DOMAIN_KINDS, PLACES
from fleet.model import Asset, AssetId, Kind, PlantGraph


def asset(
    name: str, kind: Kind, parent: str | None = "site", fed_by=(), cooled_by=(), ports=(), **ratings: float
) -> Asset:
    return Asset(
        id=AssetId(name), kind=kind, zone=0, parent=AssetId(parent) if parent else None,
        fed_by=tuple(map(AssetId, fed_by)), cooled_by=tuple(map(AssetId, cooled_by)),
        ports={str(index): AssetId(node) for index, node in enumerate(ports)}, ratings=ratings,
    )  # fmt: skip


@st.composite
def plants(draw: st.DrawFn) -> Mapping[AssetId, Asset]:
    """A plant of any shape that the site file allows: any feeder may feed anything lower, anything may be cooled."""
    rows = [f"row{i}" for i in range(draw(st.integers(1, 3)))]
    racks = [f"rack{i}" for i in range(draw(st.integers(1, 4)))]
    nodes = [f"node{i}" for i in range(draw(st.integers(0, 6)))]
    sources = [f"source{i}" for i in range(draw(st.integers(1, 2)))]
    busbars = [f"busbar{i}" for i in range(draw(st.integers(1, 3)))]
    pdus = [f"pdu{i}" for i in range(draw(st.integers(0, 3)))]
    outlets = [(pdu, f"{pdu}#{i}") for pdu in pdus for i in range(draw(st.integers(0, 3)))]
    cdus = [f"cdu{i}" for i in range(draw(st.integers(0, 2)))]
    loops = [f"loop{i}" for i in range(draw(st.integers(0, 2)))] if cdus else []

    def some(of: list[str]) -> list[str]:
        return draw(st.lists(st.sampled_from(of), unique=True, max_size=3)) if of else []

    found = [asset("site", Kind.SITE, None), asset("hall", Kind.HALL)]
    found += [asset(row, Kind.ROW, "hall", cooled_by=some(cdus)) for row in rows]
    found += [asset(rack, Kind.RACK, draw(st.sampled_from(rows)), cooled_by=some(loops)) for rack in racks]
    found += [
        asset(node, Kind.NODE, draw(st.sampled_from(racks)), fed_by=some([o for _, o in outlets])) for node in nodes
    ]
    found += [asset(source, Kind.GRID_SUPPLY) for source in sources]
    found += [asset(bar, Kind.BUSBAR, fed_by=some(sources + busbars[:index])) for index, bar in enumerate(busbars)]
    found += [
        asset(pdu, Kind.PDU, draw(st.sampled_from(racks)), fed_by=some(busbars), rated_amperes=1.0) for pdu in pdus
    ]
    found += [asset(outlet, Kind.OUTLET, pdu, fed_by=[pdu]) for pdu, outlet in outlets]
    found += [asset(cdu, Kind.CDU, fed_by=some(busbars + pdus)) for cdu in cdus]
    found += [asset(loop, Kind.LOOP, cooled_by=some(cdus)) for loop in loops]
    found.append(asset("leaf", Kind.SWITCH, fed_by=some(pdus), ports=some(nodes)))
    return {one.id: one for one in found}


def naive_downstream(assets: Mapping[AssetId, Asset], start: AssetId) -> set[AssetId]:
    """The definition, word by word, until nothing is added."""

    def stands_in(thing: Asset, place: AssetId) -> bool:
        return thing.parent is not None and (thing.parent == place or stands_in(assets[thing.parent], place))

    if assets[start].kind in PLACES:
        return {thing.id for thing in assets.values() if stands_in(thing, start)}
    below: set[AssetId] = set()
    while True:
        causes = below | {start}
        more = {
            thing.id
            for thing in assets.values()
            if causes & {*thing.fed_by, *thing.cooled_by}
            or any(thing.id in assets[cause].ports.values() for cause in causes)
            or (
                (thing.kind is Kind.NODE or thing.kind in PLACES)
                and any(stands_in(thing, place) for place in below if assets[place].kind in PLACES)
            )
        }
        if more <= below:
            return below - {start}
        below |= more


@given(plants())
@settings(max_examples=150, deadline=None)
def test_downstream_is_what_its_definition_says(assets: Mapping[AssetId, Asset]) -> None:
    graph = PlantGraph(assets)
    for name in assets:
        assert graph.downstream(name) == naive_downstream(assets, name), name


@given(plants())
@settings(max_examples=150, deadline=None)
def test_upstream_is_downstream_read_backwards(assets: Mapping[AssetId, Asset]) -> None:
    graph = PlantGraph(assets)
    below = {name: naive_downstream(assets, name) for name in assets}
    for name in assets:
        assert graph.upstream(name) == {above for above in assets if name in below[above]}, name


@given(plants())
@settings(max_examples=100, deadline=None)
def test_domains_nodes_and_common_causes_follow_from_downstream(assets: Mapping[AssetId, Asset]) -> None:
    graph = PlantGraph(assets)
    for name in assets:
        domains = {domain.id: domain.kind for domain in graph.domains_of(name)}
        assert domains == {
            above: assets[above].kind for above in graph.upstream(name) | {name} if assets[above].kind in DOMAIN_KINDS
        }
        assert graph.nodes_in(name) == {
            below for below in graph.downstream(name) | {name} if assets[below].kind is Kind.NODE
        }
        for other in assets:
            causes = graph.common_causes([name, other])
            assert set(causes) == (graph.upstream(name) | {name}) & (graph.upstream(other) | {other})
            assert len(causes) == len(set(causes))


@given(plants())
@settings(max_examples=100, deadline=None)
def test_limits_come_from_the_power_tree_and_the_rack_alone(assets: Mapping[AssetId, Asset]) -> None:
    graph = PlantGraph(assets)
    for name, one in assets.items():
        on_the_way = {name, one.parent}
        pending = [name]
        while pending:
            feeders = assets[pending.pop()].fed_by
            on_the_way.update(feeders)
            pending.extend(feeders)
        assert {limit.asset for limit in graph.limits_above(name)} <= on_the_way


def hall_of(nodes: int) -> dict[AssetId, Asset]:
    """Rows of 8 racks of 4 nodes, two PDUs a rack, a CDU and a loop a row, a busbar a feed and row."""
    found = [asset("site", Kind.SITE, None), asset("hall", Kind.HALL), asset("grid", Kind.GRID_SUPPLY)]
    for row in range(nodes // 32):
        found += [asset(f"row{row}", Kind.ROW, "hall"), asset(f"cdu{row}", Kind.CDU)]
        found.append(asset(f"loop{row}", Kind.LOOP, cooled_by=[f"cdu{row}"]))
        found += [asset(f"busbar{row}{feed}", Kind.BUSBAR, fed_by=["grid"]) for feed in "ab"]
        for rack in (f"rack{row}-{index}" for index in range(8)):
            found.append(asset(rack, Kind.RACK, f"row{row}", cooled_by=[f"loop{row}"]))
            for feed in "ab":
                pdu = f"pdu-{rack}-{feed}"
                found.append(asset(pdu, Kind.PDU, rack, fed_by=[f"busbar{row}{feed}"], rated_amperes=63.0))
                found += [asset(f"{pdu}#{i}", Kind.OUTLET, pdu, fed_by=[pdu], phase=1.0) for i in range(4)]
            for i in range(4):
                found.append(
                    asset(f"node-{rack}-{i}", Kind.NODE, rack, fed_by=[f"pdu-{rack}-a#{i}", f"pdu-{rack}-b#{i}"])
                )
    return {one.id: one for one in found}


def test_ten_thousand_nodes_are_indexed_and_asked_within_seconds() -> None:
    """Every question for every node and once for every asset; 3 CPU-seconds leave room for a slow machine."""
    assets = hall_of(10_016)
    nodes = [name for name, one in assets.items() if one.kind is Kind.NODE]
    started = time.process_time()
    graph = PlantGraph(assets)
    for node in nodes:
        graph.domains_of(node)
        graph.limits_above(node)
        graph.outlets_of(node)
    assert len(graph.nodes_in(AssetId("grid"))) == len(nodes)
    assert graph.common_causes(nodes)[0] == "hall"
    assert time.process_time() - started < 3
