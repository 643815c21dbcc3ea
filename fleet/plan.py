"""A right site file turned round: what is asked while assets are made, answered without searching."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fleet.assets import Asset, AssetId, Endpoint, Kind
from fleet.plantfile import Outlet, Pdu
from fleet.ranges import expand
from fleet.sitefile import Rack, Row, SiteFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Plug:
    """One outlet of one PDU and the node in it."""

    pdu: Pdu
    outlet: Outlet
    number: str
    node: str

    @property
    def id(self) -> AssetId:
        return AssetId(f"{self.pdu.name}#{self.number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The file and its relations by the name that one asks with."""

    file: SiteFile
    first_zone: int
    """The lowest zone: it polls what stands in no row."""
    protected: frozenset[str]
    place_of_rack: Mapping[str, tuple[Row, Mapping[str, str]]]
    """Row of a rack, and the labels that everything in the rack carries."""
    loops_of_rack: Mapping[str, tuple[AssetId, ...]]
    cracs_of_row: Mapping[str, tuple[AssetId, ...]]
    plugs_of_pdu: Mapping[str, tuple[Plug, ...]]
    outlets_of_node: Mapping[str, tuple[AssetId, ...]]
    rack_of_node: Mapping[str, str]

    def asset(
        self,
        name: str,
        kind: Kind,
        *,
        zone: int,
        labels: Mapping[str, str],
        parent: str | None,
        fed_by: Iterable[str] = (),
        cooled_by: tuple[AssetId, ...] = (),
        endpoints: tuple[Endpoint, ...] = (),
        ratings: Mapping[str, float | None] | None = None,
        ports: Mapping[str, AssetId] | None = None,
        model: str = "",
        protected: bool = False,
        latency: float | None = None,
    ) -> Asset:
        """An asset with the file's defaults; ratings that are None are left out."""
        return Asset(
            id=AssetId(name),
            kind=kind,
            zone=zone,
            labels=labels,
            parent=None if parent is None else AssetId(parent),
            fed_by=tuple(AssetId(feeder) for feeder in fed_by),
            cooled_by=cooled_by,
            ports=ports or {},
            endpoints=endpoints,
            ratings={key: value for key, value in (ratings or {}).items() if value is not None},
            model=model,
            protected=protected or name in self.protected,
            effect_latency_seconds=latency or self.file.defaults.effect_latency_seconds,
        )


def plan_of(file: SiteFile) -> Plan:
    """The relations of a file that has passed all checks."""
    rows = [(hall, row) for hall in file.halls for row in hall.rows]
    racks = [(hall.name, row, rack) for hall, row in rows for rack in row.racks]
    plugs = {pdu.name: tuple(_plugs(pdu)) for pdu in file.power.pdus}
    return Plan(
        file=file,
        first_zone=min((row.zone for _, row in rows), default=0),
        protected=frozenset(file.protected),
        place_of_rack={rack.name: (row, _labels(hall, row, rack)) for hall, row, rack in racks},
        loops_of_rack=_gathered((rack, loop.name) for loop in file.cooling.loops for rack in loop.racks),
        cracs_of_row=_gathered((row, crac.name) for crac in file.cooling.cracs for row in crac.rows),
        plugs_of_pdu=plugs,
        outlets_of_node=_gathered((plug.node, plug.id) for group in plugs.values() for plug in group),
        rack_of_node={
            name: rack.name for _, _, rack in racks for node in rack.nodes for name in names_of(node.name, node.names)
        },
    )


def names_of(name: str | None, names: str | None) -> tuple[str, ...]:
    """The names that an entry with `name` or `names` stands for."""
    return (name,) if name is not None else expand(names or "")


def slots_of(slot: int | str) -> tuple[str, ...]:
    """The outlets or ports that one entry stands for."""
    return (str(slot),) if isinstance(slot, int) else expand(slot)


def _labels(hall: str, row: Row, rack: Rack) -> Mapping[str, str]:
    return {"hall": hall, "row": row.name, "rack": rack.name, "zone": str(row.zone)}


def _plugs(pdu: Pdu) -> Iterable[Plug]:
    for outlet in pdu.outlets:
        for number, node in zip(slots_of(outlet.outlet), expand(outlet.node), strict=True):
            yield Plug(pdu=pdu, outlet=outlet, number=number, node=node)


def _gathered(pairs: Iterable[tuple[str, str]]) -> Mapping[str, tuple[AssetId, ...]]:
    gathered: dict[str, dict[AssetId, None]] = defaultdict(dict)
    for key, name in pairs:
        gathered[key][AssetId(name)] = None
    return {key: tuple(names) for key, names in gathered.items()}
