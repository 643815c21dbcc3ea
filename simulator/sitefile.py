"""The `site.yaml` of the simulated site: its layout with the ports that the servers were given."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from simulator.layout import GPUS, IDLE_WATTS, MAX_WATTS, PHASES, ROWS_PER_BUSBAR, VOLTS, Layout
from simulator.secretfiles import CREDENTIAL_GROUPS
from simulator.settings import PlantSettings

EFFECT_LATENCY_SECONDS = 5
REFRESH_SECONDS = 0.5
"""The plant moves four times a second; meters are read from it as it stands."""
RACK_LIMIT_WATTS = 50_000
FEEDS = "ab"


@dataclass(slots=True)
class Ports:
    """Where each server listens, by asset."""

    pdus: dict[str, int] = field(default_factory=dict)
    bmcs: dict[str, int] = field(default_factory=dict)
    exporters: dict[str, int] = field(default_factory=dict)
    agents: dict[str, int] = field(default_factory=dict)
    cdus: dict[str, int] = field(default_factory=dict)
    switches: dict[str, int] = field(default_factory=dict)
    battery: int = 0
    generators: dict[str, int] = field(default_factory=dict)
    kubernetes: int = 0


def invented_ports(layout: Layout, first: int = 20_000) -> Ports:
    """An address for everybody where nothing listens: for a site that is never connected to."""
    names = {
        "pdus": layout.pdus,
        "bmcs": layout.nodes,
        "exporters": layout.nodes,
        "agents": layout.nodes,
        "cdus": layout.cdus,
        "switches": layout.switches,
    }
    ports, port = Ports(battery=first, kubernetes=first + 1), first + 2
    for attribute, owners in names.items():
        setattr(ports, attribute, {name: port + number for number, name in enumerate(owners)})
        port += len(owners)
    return ports


def pdu_group(layout: Layout, rack: int) -> str:
    """Credentials group of a rack's PDUs: every fourth rack speaks v2c, the one after it v3 with SHA-1, the rest SHA-256."""
    if rack == layout.overload_rack:
        return "pdu"
    return {0: "pdu-v2c", 1: "pdu-sha1"}.get(rack % layout.racks_per_row, "pdu")


def _flow(value: Mapping[str, object]) -> str:
    return json.dumps(value)


def _section(indent: int, name: str, items: Iterable[Mapping[str, object]]) -> Iterator[str]:
    pad = " " * indent
    yield f"{pad}{name}:"
    for item in items:
        yield f"{pad}  - {_flow(item)}"


def _node(name: str, ports: Ports) -> Mapping[str, object]:
    return {
        "name": name, "model": "dgx-h100", "gpus": GPUS, "idle_watts": IDLE_WATTS, "max_watts": MAX_WATTS,
        "bmc": {"address": f"127.0.0.1:{ports.bmcs[name]}", "profile": "openbmc", "credentials": "bmc"},
        "exporters": [{"kind": "dcgm", "address": f"http://127.0.0.1:{ports.exporters[name]}/metrics", "refresh_seconds": 1}],
        "agent": {"address": f"https://127.0.0.1:{ports.agents[name]}", "credentials": "agent"},
    }  # fmt: skip


def _halls(layout: Layout, ports: Ports) -> Iterator[str]:
    yield "halls:"
    yield "  - name: hall-1"
    yield "    rows:"
    for row, name in enumerate(layout.rows):
        yield f"      - name: {name}"
        yield f"        zone: {row + 1}"
        yield "        racks:"
        for rack in layout.racks_of_row(row):
            yield f"          - name: {layout.racks[rack]}"
            yield f"            power_limit_watts: {RACK_LIMIT_WATTS}"
            yield from _section(12, "nodes", (_node(layout.nodes[node], ports) for node in layout.nodes_of_rack(rack)))


def _busbar(layout: Layout, rack: int, feed: str) -> str:
    return f"busbar-{rack // layout.racks_per_row // ROWS_PER_BUSBAR + 1}{feed}"


def _pdu(layout: Layout, ports: Ports, pdu: int) -> Mapping[str, object]:
    rack, side = divmod(pdu, 2)
    name, feed = layout.pdus[pdu], FEEDS[side]
    outlets = [
        {
            "outlet": place,
            "node": layout.nodes[node],
            "supply": f"psu-{side + 1}",
            "phase": int(layout.phase_of[node]) + 1,
        }
        for place, node in enumerate(layout.nodes_of_rack(rack), start=1)
    ]
    return {
        "name": name, "rack": layout.racks[rack], "feed": feed, "fed_by": [_busbar(layout, rack, feed)],
        "profile": "apc-rpdu2" if layout.is_apc(rack) else "eaton-epdu-g3", "address": f"127.0.0.1:{ports.pdus[name]}",
        "credentials": pdu_group(layout, rack), "phases": PHASES, "rated_amperes": layout.rated_amperes(rack), "volts": VOLTS,
        "effect_latency_seconds": EFFECT_LATENCY_SECONDS, "refresh_seconds": REFRESH_SECONDS, "protective": True, "outlets": outlets,
    }  # fmt: skip


def _bounds(low: float, high: float, step: float, every_seconds: float) -> Mapping[str, float]:
    """What the owner allows of a writable point."""
    return {"low": low, "high": high, "step": step, "every_seconds": every_seconds}


def _power(layout: Layout, ports: Ports, settings: PlantSettings) -> Iterator[str]:
    sources = {
        feed: [f"grid-{side}", f"gen-{side}", f"gen-{side + 2}", "bess-1"] for side, feed in enumerate(FEEDS, start=1)
    }
    battery = {
        "name": "bess-1", "rated_watts": settings.bess_watts, "capacity_watt_hours": settings.bess_watt_hours,
        "address": f"127.0.0.1:{ports.battery}", "profile": "sunspec-battery", "unit": 1,
        "writable": {"bess_set_point": _bounds(-settings.bess_watts, settings.bess_watts, settings.bess_watts / 4, 10)},
    }  # fmt: skip
    yield "power:"
    yield from _section(
        2, "grid_supplies", ({"name": f"grid-{side}", "rated_watts": settings.grid_watts} for side in (1, 2))
    )
    yield from _section(
        2,
        "generator_strings",
        ({"name": f"gen-{place}", "rated_watts": settings.generator_watts} for place in (1, 2, 3, 4)),
    )
    yield from _section(2, "bess", [battery])
    yield from _section(
        2, "substations", ({"name": f"sub-{feed}", "rated_watts": 30e6, "fed_by": sources[feed]} for feed in FEEDS)
    )
    yield from _section(
        2, "busbars", ({"name": name, "rated_watts": 1e6, "fed_by": [f"sub-{name[-1]}"]} for name in layout.busbars)
    )
    yield from _section(2, "pdus", (_pdu(layout, ports, pdu) for pdu in range(len(layout.pdus))))


def _racks_of_row(layout: Layout, row: int) -> list[str]:
    return [layout.racks[rack] for rack in layout.racks_of_row(row)]


def _cooling(layout: Layout, ports: Ports) -> Iterator[str]:
    rows = range(len(layout.rows))
    yield "cooling:"
    yield from _section(
        2,
        "cdus",
        (
            {
                "name": name, "address": f"127.0.0.1:{ports.cdus[name]}", "profile": "cdu-modbus", "unit": 1, "protective": True,
                "refresh_seconds": REFRESH_SECONDS,
                "writable": {"coolant_set_point": _bounds(25, 45, 1, 60), "standby_pump": _bounds(0, 1, 1, 10)},
            }
            for name in layout.cdus
        ),
    )  # fmt: skip
    yield from _section(
        2,
        "loops",
        ({"name": f"loop-{row + 1}", "cdu": layout.cdus[row], "racks": _racks_of_row(layout, row)} for row in rows),
    )
    yield from _section(2, "cracs", ({"name": f"crac-{row + 1}", "rows": [layout.rows[row]]} for row in rows))


def _fabric(layout: Layout, ports: Ports) -> Iterator[str]:
    yield "fabric:"
    switches = []
    for row, name in enumerate(layout.switches):
        nodes = [node for node, at in enumerate(layout.row_of.tolist()) if at == row]
        wired = [{"port": port, "node": layout.nodes[node]} for port, node in enumerate(nodes, start=1)]
        switches.append({"name": name, "exporter": f"http://127.0.0.1:{ports.switches[name]}/metrics", "ports": wired})
    yield from _section(2, "switches", switches)


def site_yaml(layout: Layout, ports: Ports, settings: PlantSettings | None = None) -> str:
    """The whole file."""
    settings = settings or PlantSettings()
    credentials = {
        group: {mode: f"file:secrets/{group}-{mode}.yaml" for mode in ("read", "write")} for group in CREDENTIAL_GROUPS
    }
    scheduler = {
        "name": "k8s-1",
        "kind": "kubernetes",
        "address": f"https://127.0.0.1:{ports.kubernetes}",
        "credentials": "kubernetes",
    }
    protected = [*layout.cdus, "bess-1", "k8s-1", *layout.switches]
    lines = [
        "site: simulated",
        "simulated: true",
        "credentials:",
        *(f"  {group}: {_flow(files)}" for group, files in credentials.items()),
        f"defaults: {_flow({'effect_latency_seconds': EFFECT_LATENCY_SECONDS})}",
        *_halls(layout, ports),
        *_power(layout, ports, settings),
        *_cooling(layout, ports),
        *_fabric(layout, ports),
        *_section(0, "schedulers", [scheduler]),
        f"protected: {json.dumps(protected)}",
    ]
    return "\n".join(lines) + "\n"


def write_site(directory: Path, layout: Layout, ports: Ports, settings: PlantSettings | None = None) -> Path:
    """Write `site.yaml` into `directory`; whole or not at all."""
    path = directory / "site.yaml"
    draft = directory / "site.yaml.part"
    draft.write_text(site_yaml(layout, ports, settings))
    draft.replace(path)
    return path
