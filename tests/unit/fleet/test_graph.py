"""The plant graph on a small hall whose answers can be read off a drawing.

grid-1, gen-1, bess-1 → sub-a → busbar-a → pdu-a → pdu-a#1 (phase 1) → node-1, pdu-a#2 (phase 2) → node-2
grid-1 → sub-b → busbar-b → pdu-b → pdu-b#1 → node-1, pdu-b#3 → node-3 in the rack beside
cdu-1 → loop-1 → rack-1; cdu-1 hangs on busbar-b; crac-1 → row-1; leaf-1 has node-1 and node-3
"""

from collections.abc import Callable

import pytest

from fleet.errors import UnknownAsset
from fleet.model import AssetId, Kind, PlantGraph, Site

HALL = """\
site: here
halls:
  - name: hall-1
    rows:
      - name: row-1
        zone: 1
        racks:
          - name: rack-1
            power_limit_watts: 30000
            nodes: [{name: node-1, idle_watts: 1, max_watts: 2}, {name: node-2, idle_watts: 1, max_watts: 2}]
          - {name: rack-2, nodes: [{name: node-3, idle_watts: 1, max_watts: 2}]}
  - {name: hall-2}
credentials: {pdu: {}, kubernetes: {}}
power:
  grid_supplies: [{name: grid-1, rated_watts: 900000}]
  generator_strings: [{name: gen-1, rated_watts: 800000}]
  bess: [{name: bess-1, rated_watts: 700000, capacity_watt_hours: 1}]
  substations:
    - {name: sub-a, rated_watts: 600000, fed_by: [grid-1, gen-1, bess-1]}
    - {name: sub-b, rated_watts: 600000, fed_by: [grid-1]}
  busbars:
    - {name: busbar-a, rated_watts: 500000, fed_by: [sub-a]}
    - {name: busbar-b, rated_watts: 500000, fed_by: [sub-b]}
  pdus:
    - {name: pdu-a, rack: rack-1, feed: a, fed_by: [busbar-a], profile: apc-rpdu2, address: a.example, rated_amperes: 32,
       outlets: [{outlet: 1, node: node-1, phase: 1, rated_amperes: 16}, {outlet: 2, node: node-2, phase: 2}]}
    - {name: pdu-b, rack: rack-1, feed: b, fed_by: [busbar-b], profile: apc-rpdu2, address: b.example, rated_amperes: 32,
       outlets: [{outlet: 1, node: node-1}, {outlet: 3, node: node-3}]}
cooling:
  cdus: [{name: cdu-1, fed_by: [busbar-b]}]
  loops: [{name: loop-1, cdu: cdu-1, racks: [rack-1]}]
  cracs: [{name: crac-1, rows: [row-1]}]
fabric: {switches: [{name: leaf-1, ports: [{port: 1, node: node-1}, {port: 2, node: node-3}]}]}
schedulers: [{name: k8s, kind: kubernetes, address: "https://k8s.example"}]
"""


@pytest.fixture
def site(load: Callable[..., Site]) -> Site:
    return load(HALL)


@pytest.fixture
def graph(site: Site) -> PlantGraph:
    return site.graph


def below(graph: PlantGraph, asset: str) -> set[str]:
    return set(graph.downstream(AssetId(asset)))


def test_below_a_feeder_lies_all_that_it_feeds(graph: PlantGraph) -> None:
    assert below(graph, "pdu-a#1") == {"node-1"}
    assert below(graph, "pdu-a") == {"pdu-a#1", "pdu-a#2", "node-1", "node-2"}
    assert below(graph, "sub-a") == {"busbar-a", "pdu-a"} | below(graph, "pdu-a")
    assert below(graph, "gen-1") == {"sub-a"} | below(graph, "sub-a")


def test_a_feeder_of_a_cooler_takes_what_is_cooled_with_it(graph: PlantGraph) -> None:
    cooled = {"loop-1", "rack-1", "node-1", "node-2"}
    assert below(graph, "cdu-1") == cooled
    assert below(graph, "busbar-b") == {"pdu-b", "pdu-b#1", "pdu-b#3", "node-3", "cdu-1"} | cooled


def test_cooling_a_place_reaches_its_places_and_nodes_and_not_its_pdus(graph: PlantGraph) -> None:
    assert below(graph, "crac-1") == {"row-1", "rack-1", "rack-2", "node-1", "node-2", "node-3"}


def test_below_a_switch_lie_the_nodes_on_its_ports(graph: PlantGraph) -> None:
    assert below(graph, "leaf-1") == {"node-1", "node-3"}


def test_a_place_contains_what_stands_in_it_and_no_more(graph: PlantGraph) -> None:
    """node-3 hangs on a PDU of rack-1 and stands in rack-2."""
    pdus = {"pdu-a", "pdu-a#1", "pdu-a#2", "pdu-b", "pdu-b#1", "pdu-b#3"}
    assert below(graph, "rack-1") == {"node-1", "node-2"} | pdus
    assert below(graph, "row-1") == {"rack-1", "rack-2", "node-1", "node-2", "node-3"} | pdus
    assert below(graph, "hall-2") == set()
    assert graph.nodes_in(AssetId("rack-1")) == {"node-1", "node-2"}


def test_the_site_contains_everything(site: Site) -> None:
    assert site.graph.downstream(AssetId("here")) == set(site.assets) - {"here"}


def test_above_a_node_lies_everything_that_can_take_it_down(graph: PlantGraph) -> None:
    assert graph.upstream(AssetId("node-3")) == {
        "rack-2", "row-1", "hall-1", "here", "leaf-1", "crac-1", "pdu-b#3", "pdu-b", "busbar-b", "sub-b", "grid-1",
    }  # fmt: skip
    assert graph.upstream(AssetId("node-2")) == {
        "rack-1", "row-1", "hall-1", "here", "crac-1", "loop-1", "cdu-1", "busbar-b", "sub-b", "grid-1",
        "pdu-a#2", "pdu-a", "busbar-a", "sub-a", "gen-1", "bess-1",
    }  # fmt: skip


def test_failure_domains_come_nearest_first_and_each_once(graph: PlantGraph) -> None:
    domains = graph.domains_of(AssetId("node-1"))
    assert [str(domain) for domain in domains] == [
        "switch leaf-1", "outlet pdu-a#1", "outlet pdu-b#1", "rack rack-1",
        "loop loop-1", "pdu pdu-a", "pdu pdu-b", "row row-1",
        "busbar busbar-a", "busbar busbar-b", "cdu cdu-1", "hall hall-1",
        "site here", "substation sub-a", "substation sub-b",
        "generator_string gen-1",
    ]  # fmt: skip


def test_a_domain_is_its_own_domain(graph: PlantGraph) -> None:
    assert [str(domain) for domain in graph.domains_of(AssetId("pdu-a"))] == [
        "pdu pdu-a", "busbar busbar-a", "rack rack-1", "row row-1", "substation sub-a", "generator_string gen-1", "hall hall-1", "site here",
    ]  # fmt: skip


def limits(graph: PlantGraph, asset: str) -> list[tuple[str, str, float, str | None]]:
    return [(x.asset, x.quantity, x.value, x.phase) for x in graph.limits_above(AssetId(asset))]


def test_limits_of_a_node_are_those_of_its_phases_its_rack_and_its_feeders(graph: PlantGraph) -> None:
    assert limits(graph, "node-2") == [
        ("rack-1", "watts", 30_000, None),
        ("pdu-a", "amperes", 32, "2"),
        ("pdu-a", "watts", 32 * 230 * 3, None),
        ("busbar-a", "watts", 500_000, None),
        ("sub-a", "watts", 600_000, None),
        ("grid-1", "watts", 900_000, None),
        ("gen-1", "watts", 800_000, None),
        ("bess-1", "watts", 700_000, None),
    ]


def test_an_outlet_of_unknown_phase_is_limited_by_all_phases(graph: PlantGraph) -> None:
    found = limits(graph, "pdu-b#3")
    assert [limit for limit in found if limit[0] == "pdu-b"] == [
        ("pdu-b", "amperes", 32, "1"), ("pdu-b", "amperes", 32, "2"), ("pdu-b", "amperes", 32, "3"), ("pdu-b", "watts", 22_080, None),
    ]  # fmt: skip


def test_one_unknown_phase_among_known_ones_counts_as_all(load: Callable[..., Site]) -> None:
    graph = load(HALL.replace("{outlet: 2, node: node-2, phase: 2}", "{outlet: 2, node: node-1}")).graph
    assert [limit[3] for limit in limits(graph, "node-1") if limit[:2] == ("pdu-a", "amperes")] == ["1", "2", "3"]


def test_an_outlet_with_a_breaker_has_a_limit_of_its_own(graph: PlantGraph) -> None:
    assert limits(graph, "node-1")[1] == ("pdu-a#1", "amperes", 16, "1")


def test_limits_of_a_pdu_are_its_own_phases_first(graph: PlantGraph) -> None:
    assert limits(graph, "pdu-a")[:4] == [
        ("pdu-a", "amperes", 32, "1"), ("pdu-a", "amperes", 32, "2"), ("pdu-a", "amperes", 32, "3"), ("pdu-a", "watts", 22_080, None),
    ]  # fmt: skip
    assert limits(graph, "pdu-a")[4] == ("rack-1", "watts", 30_000, None)


def test_common_causes_name_the_nearest_first(graph: PlantGraph) -> None:
    def causes(*assets: str) -> tuple[AssetId, ...]:
        return graph.common_causes([AssetId(asset) for asset in assets])

    assert causes("node-1", "node-3")[0] == "leaf-1"
    assert causes("node-1", "node-2")[0] == "rack-1"
    assert causes("pdu-a", "node-1", "node-2")[0] == "pdu-a", "the PDU itself is a candidate"
    assert causes("node-1") == causes("node-1", "node-1")
    assert causes("node-1")[0] == "node-1"
    assert causes("hall-2", "node-1") == ("here",)
    assert causes() == ()


def test_an_alert_on_a_cdu_and_one_on_a_pdu_beside_it_are_not_one_another(graph: PlantGraph) -> None:
    causes = graph.common_causes([AssetId("cdu-1"), AssetId("pdu-a")])
    assert causes[0] != "cdu-1"
    assert "pdu-a" not in causes


def test_a_lost_busbar_is_the_cause_of_its_pdu_and_its_cdu(graph: PlantGraph) -> None:
    assert graph.common_causes([AssetId("cdu-1"), AssetId("pdu-b"), AssetId("node-3")])[0] == "busbar-b"


def test_an_unknown_asset_is_an_error_everywhere(graph: PlantGraph) -> None:
    nobody = AssetId("nobody")
    for ask in (
        graph.downstream,
        graph.upstream,
        graph.domains_of,
        graph.nodes_in,
        graph.outlets_of,
        graph.limits_above,
    ):
        with pytest.raises(UnknownAsset):
            ask(nobody)
    with pytest.raises(UnknownAsset):
        graph.common_causes([AssetId("node-1"), nobody])


def test_kinds_and_wires_have_the_words_that_travel() -> None:
    assert [str(kind) for kind in Kind] == [kind.name.lower() for kind in Kind]
