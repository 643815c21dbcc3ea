"""The site file as series to join on."""

from pathlib import Path

from bus.frames import FrameWriter, SeriesTable, decode, values_of
from collectors.inventory import SERIES_A_FRAME, messages_of, sheets_of
from fleet.loader import load_site
from fleet.thresholds import METRIC, THRESHOLDS

SITE = """
site: mini
simulated: true
credentials: {pdu: {read: "file:pdu-read.yaml"}}
halls:
  - name: hall-1
    rows:
      - name: row-01
        zone: 3
        racks:
          - name: r01
            power_limit_watts: 50000
            nodes:
              - {names: "dgx-[001-002]", model: dgx-h100, gpus: 8, idle_watts: 2000, max_watts: 10200}
power:
  grid_supplies: [{name: grid-1, rated_watts: 50000000}]
  substations: [{name: sub-a, rated_watts: 30000000, fed_by: [grid-1]}]
  busbars: [{name: busbar-a, rated_watts: 1000000, fed_by: [sub-a]}]
  pdus:
    - {name: pdu-a, rack: r01, feed: a, fed_by: [busbar-a], profile: eaton-epdu-g3, address: "127.0.0.1:30001", phases: 3, rated_amperes: 48, volts: 230,
       outlets: [{outlet: 1, node: dgx-001, supply: psu-1, phase: 1}, {outlet: 2, node: dgx-002, supply: psu-1, phase: 2}]}
cooling:
  cdus: [{name: cdu-1, address: "127.0.0.1:1503", profile: cdu-modbus, unit: 1}]
  loops: [{name: loop-1, cdu: cdu-1, racks: [r01]}]
fabric:
  switches: [{name: leaf-1, exporter: "http://127.0.0.1:32900/metrics", ports: [{port: 1, node: dgx-001}]}]
"""


def series_of(tmp_path: Path, zones: frozenset[int] | None = None) -> dict[str, list[tuple[dict[str, str], float]]]:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    site = load_site(path, check_secrets=False)
    wanted = zones or frozenset(asset.zone for asset in site.assets.values())
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for sheet in sheets_of(site, wanted, {}):
        for (name, labels), value in zip(sheet.layout.series, sheet.values.tolist(), strict=True):
            found.setdefault(name, []).append((dict(labels), value))
    return found


def only(found: list[tuple[dict[str, str], float]], **labels: str) -> tuple[dict[str, str], float]:
    (one,) = [pair for pair in found if labels.items() <= pair[0].items()]
    return one


def test_nodes_say_where_they_stand_and_what_they_may_draw(tmp_path: Path) -> None:
    found = series_of(tmp_path)
    labels, value = only(found["fleet_node_info"], node="dgx-001")
    assert value == 1
    assert labels == {
        "job": "fleet",
        "instance": "mini",
        "asset": "dgx-001",
        "node": "dgx-001",
        "rack": "r01",
        "row": "row-01",
        "zone": "3",
        "model": "dgx-h100",
    }
    assert only(found["fleet_node_gpus"], node="dgx-002")[1] == 8
    assert only(found["fleet_node_idle_watts"], node="dgx-002")[1] == 2000


def test_feeds_join_outlets_to_nodes_on_asset_and_outlet(tmp_path: Path) -> None:
    labels, value = only(series_of(tmp_path)["fleet_feeds"], node="dgx-002")
    assert value == 1
    assert {name: labels[name] for name in ("asset", "pdu", "outlet", "feed", "phase")} == {
        "asset": "pdu-a",
        "pdu": "pdu-a",
        "outlet": "2",
        "feed": "a",
        "phase": "2",
    }


def test_limits_cooling_and_fabric_are_there(tmp_path: Path) -> None:
    found = series_of(tmp_path)
    assert only(found["fleet_rack_power_limit_watts"], rack="r01")[1] == 50_000
    assert [value for _, value in found["fleet_pdu_phase_rated_amperes"]] == [48, 48, 48]
    assert {labels["phase"] for labels, _ in found["fleet_pdu_phase_rated_amperes"]} == {"1", "2", "3"}
    assert only(found["fleet_cools"], cdu="cdu-1", loop="loop-1", rack="r01")[1] == 1
    assert only(found["fleet_fabric_links"], switch="leaf-1", port="1", node="dgx-001")[1] == 1


def test_the_power_tree_is_there_with_kinds_and_ratings(tmp_path: Path) -> None:
    found = series_of(tmp_path)
    kinds = {labels["asset"]: labels["kind"] for labels, _ in found["fleet_plant_info"]}
    assert kinds == {"grid-1": "grid_supply", "sub-a": "substation", "busbar-a": "busbar", "cdu-1": "cdu"}
    assert only(found["fleet_power_rated_watts"], kind="busbar") == (
        {"job": "fleet", "instance": "mini", "asset": "busbar-a", "kind": "busbar", "zone": "3"},
        1_000_000,
    )
    above = {labels["asset"]: labels["feeder"] for labels, _ in found["fleet_power_feeds"]}
    assert above == {"pdu-a": "busbar-a", "busbar-a": "sub-a", "sub-a": "grid-1"}
    assert only(found["fleet_pdu_info"], asset="pdu-a", rack="r01")[0]["feed"] == "a"
    assert only(found["fleet_pdu_nominal_volts"], asset="pdu-a")[1] == 230


def test_frames_of_the_inventory_go_to_their_zones_partition(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    sheets = sheets_of(load_site(path, check_secrets=False), frozenset({3}), {})
    messages = messages_of(sheets, FrameWriter(1), 1_000)
    tables = [one for message in messages if isinstance(one := decode(message.value), SeriesTable)]
    frames = [one for message in messages if not isinstance(one := decode(message.value), SeriesTable)]
    assert {message.key for message in messages} == {"site/fleet"}
    assert {message.partition for message in messages} == {3}
    assert sum(len(values_of(frame)) for frame in frames) == sum(len(table.series) for table in tables)
    assert all(len(table.series) <= SERIES_A_FRAME for table in tables)


def test_thresholds_are_published_once_for_the_site_as_its_settings_have_them(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    site = load_site(path, check_secrets=False)
    zones = sorted({asset.zone for asset in site.assets.values()})
    set_here = {"coolant_supply_hot_celsius": 46}
    by_zone = {
        zone: {
            dict(labels)["name"]: value
            for sheet in sheets_of(site, frozenset({zone}), set_here)
            for (name, labels), value in zip(sheet.layout.series, sheet.values.tolist(), strict=True)
            if name == METRIC
        }
        for zone in zones
    }
    assert by_zone.pop(zones[0]) == {name: one.default for name, one in THRESHOLDS.items()} | set_here
    assert len(by_zone) == len(zones) - 1
    assert not any(by_zone.values())
