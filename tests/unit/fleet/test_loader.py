"""The site file in, the site out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.errors import SiteError, UnknownAsset
from fleet.loader import load_site
from fleet.model import AssetId, CredentialRefs, Kind, Site, Wire

Load = Callable[..., Site]


def test_a_right_site_loads_without_a_word(load: Load) -> None:
    site = load()
    assert (site.name, site.simulated, site.zones(), site.warnings) == ("mini", True, (1,), ())
    assert {kind: len(site.of_kind(kind)) for kind in Kind} == {
        Kind.SITE: 1, Kind.HALL: 1, Kind.ROW: 1, Kind.RACK: 1, Kind.NODE: 4, Kind.PDU: 2, Kind.OUTLET: 8,
        Kind.BUSBAR: 2, Kind.SUBSTATION: 2, Kind.GRID_SUPPLY: 1, Kind.GENERATOR_STRING: 1, Kind.BESS: 1, Kind.CDU: 1,
        Kind.LOOP: 1, Kind.CRAC: 1, Kind.SCHEDULER: 1, Kind.SWITCH: 1,
    }  # fmt: skip


def test_a_node_of_a_range_has_its_own_addresses_labels_and_ratings(load: Load) -> None:
    node = load().asset("dgx-003")
    assert node.labels == {"hall": "hall-1", "row": "row-01", "rack": "r01", "zone": "1", "node": "dgx-003"}
    assert node.ratings == {"gpus": 8.0, "idle_watts": 2000.0, "max_watts": 10200.0}
    assert (node.parent, node.model, node.zone, node.effect_latency_seconds) == ("r01", "dgx-h100", 1, 5)
    assert [(e.name, e.wire, e.address, e.profile, e.job, e.credentials) for e in node.endpoints] == [
        ("bmc", Wire.IPMI, "127.0.0.1:31003", "openbmc", "ipmi", "bmc"),
        ("dcgm", Wire.PROMETHEUS, "http://127.0.0.1:32003/metrics", "dcgm", "dcgm", None),
        ("agent", Wire.AGENT, "https://127.0.0.1:33003", "agent", "agent", "agent"),
    ]
    assert node.endpoint("dcgm").options == {"refresh_seconds": 1}
    assert node.endpoint("bmc").source == "dgx-003/bmc"
    assert node.endpoint("none") is None


def test_a_pdu_says_its_feed_and_what_it_carries(load: Load) -> None:
    site = load()
    pdu = site.asset("pdu-r01-b")
    assert pdu.labels["feed"] == "b"
    assert pdu.ratings == {"rated_amperes": 63.0, "phases": 3.0, "volts": 230.0, "rated_watts": 63.0 * 230 * 3}
    assert (pdu.parent, pdu.fed_by, pdu.effect_latency_seconds) == ("r01", ("busbar-b",), 5)
    outlet = site.asset("pdu-r01-a#2")
    assert (outlet.kind, outlet.parent, outlet.fed_by) == (Kind.OUTLET, "pdu-r01-a", ("pdu-r01-a",))
    assert {key: outlet.labels[key] for key in ("pdu", "outlet", "feed", "supply")} == {
        "pdu": "pdu-r01-a", "outlet": "2", "feed": "a", "supply": "psu-1",
    }  # fmt: skip
    assert outlet.ratings == {"phase": 2.0}


def test_a_range_of_outlets_plugs_in_a_range_of_nodes(load: Load) -> None:
    site = load()
    assert [o.id for o in site.graph.outlets_of(AssetId("dgx-002"))] == ["pdu-r01-a#2", "pdu-r01-b#2"]
    assert site.asset("pdu-r01-b#2").ratings == {}


def test_what_is_protected_says_so_wherever_it_stands(load: Load) -> None:
    site = load()
    assert {a.id for a in site.assets.values() if a.protected} == {"cdu-1", "bess-1", "k8s-1", "leaf-1"}


def test_endpoints_outside_rows_get_the_zone_of_what_they_serve(load: Load) -> None:
    text = (Path(__file__).parent / "mini.yaml").read_text()
    text = text.replace("        zone: 1\n", "        zone: 7\n").replace(
        "    rows:\n", "    rows:\n      - {name: row-00, zone: 3}\n"
    )
    site = load(text)
    assert {site.asset(name).zone for name in ("cdu-1", "leaf-1", "loop-1", "crac-1")} == {7}
    assert {site.asset(name).zone for name in ("bess-1", "k8s-1", "grid-1", "mini")} == {3}
    assert site.asset("cdu-1").labels == {"zone": "7"}


def test_addresses_have_one_form_whatever_was_left_out(load: Load) -> None:
    text = (Path(__file__).parent / "mini.yaml").read_text()
    text = text.replace('"127.0.0.1:30001"', "pdu-1.example").replace('"127.0.0.1:1502"', '"[fd00::1]"')
    site = load(text)
    assert site.asset("pdu-r01-a").endpoint("snmp").address == "pdu-1.example:161"
    assert site.asset("bess-1").endpoint("modbus").address == "[fd00::1]:502"
    assert site.asset("bess-1").endpoint("modbus").options == {"unit": 1}


def test_endpoints_by_wire_and_the_reference_to_their_secret(load: Load) -> None:
    site = load()
    assert {wire: len(site.endpoints(wire)) for wire in Wire if site.endpoints(wire)} == {
        Wire.SNMP: 2, Wire.IPMI: 4, Wire.PROMETHEUS: 5, Wire.AGENT: 4, Wire.MODBUS: 2, Wire.KUBERNETES: 1,
    }  # fmt: skip
    assert len(site.endpoints()) == 18
    bmc, cdu = site.asset("dgx-001").endpoint("bmc"), site.asset("cdu-1").endpoint("modbus")
    assert site.credentials_for(bmc) == "file:secrets/bmc-read.yaml"
    assert site.credentials_for(bmc, write=True) == "file:secrets/bmc-write.yaml"
    assert site.credentials_for(cdu) is None
    assert site.credentials["pdu"] == CredentialRefs(
        read="file:secrets/pdu-read.yaml", write="file:secrets/pdu-write.yaml"
    )


def test_an_asset_that_is_not_there_is_named_with_the_nearest_that_is(load: Load) -> None:
    site = load()
    with pytest.raises(UnknownAsset, match="no asset 'dgx-01' in the inventory, try 'dgx-001'"):
        site.asset("dgx-01")
    with pytest.raises(KeyError):
        site.graph.downstream(AssetId("dgx-01"))


def test_every_mistake_is_reported_at_once_in_the_order_of_the_file(mistakes: Callable[..., list[str]]) -> None:
    found = mistakes(
        ("simulated: true", "simulated: perhaps"),
        ("zone: 1", "zone: 1.5"),
        ("power_limit_watts", "power_limt_watts"),
        ('"127.0.0.1:{index+31000}"', "127.0.0.1:31001"),
        ("fed_by: [sub-b]", "fed_by: [sub-c]"),
        ("rack: r01", "rack: r02"),
        ("profile: eaton-epdu-g3", "profile: eaton-epdu"),
        ("outlet: 2,", "outlet: 1,"),
        ("protected: [cdu-1", "protected: [cdu-9"),
    )
    assert [line.split(": ", 2)[1] for line in found] == [
        "simulated",
        "halls[0].rows[0].zone",
        "halls[0].rows[0].racks[0].power_limt_watts",
        "halls[0].rows[0].racks[0].nodes[0].bmc.address",
        "power.busbars[1].fed_by[0]",
        "power.pdus[0].rack",
        "power.pdus[0].profile",
        "power.pdus[0].outlets[1].outlet",
        "protected[0]",
    ]
    assert all(", try " in line for line in found)


def test_nothing_is_half_loaded(load: Load, folder: Path) -> None:
    with pytest.raises(SiteError) as caught:
        load("site: mini\nhalls: [{name: hall-1}]\npower: {pdus: 3}\n")
    assert str(caught.value) == (
        f"{folder}/site.yaml:3:15: power.pdus: must be a list, is a number, try `- ` before each item, or [a, b]"
    )


def test_the_least_site_is_a_name_and_a_hall(load: Load) -> None:
    site = load("site: least\nhalls: [{name: hall-1}]\n")
    assert [asset.id for asset in site.assets.values()] == ["least", "hall-1"]
    assert site.zones() == ()


def test_anchors_and_merge_keys_save_typing(load: Load) -> None:
    text = (Path(__file__).parent / "mini.yaml").read_text()
    text = text.replace("    - name: pdu-r01-a\n", "    - &pdu\n      name: pdu-r01-a\n")
    start = text.index("      rack: r01\n      feed: b\n")
    text = text[:start] + "      <<: *pdu\n      feed: b\n" + text[start:].split("      feed: b\n")[1]
    site = load(text)
    assert site.asset("pdu-r01-b").parent == "r01"
    assert site.asset("pdu-r01-b").labels["feed"] == "b"


def test_a_caller_may_know_more_device_families(load: Load) -> None:
    text = (Path(__file__).parent / "mini.yaml").read_text().replace("eaton-epdu-g3", "acme")
    assert load(text, profiles={"acme", "openbmc", "sunspec-battery", "cdu-modbus"}).asset("pdu-r01-a")


def test_a_path_may_be_text(folder: Path, load: Load) -> None:
    load()
    assert load_site(str(folder / "site.yaml")).base == folder
