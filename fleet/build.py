"""From a right site file to its assets: places and nodes here, the plant around them in `fleet.buildplant`."""

from collections.abc import Iterator, Mapping

from fleet.assets import Asset, AssetId, Endpoint, Kind, Wire
from fleet.buildplant import plant_assets
from fleet.endpoints import EXPORTER_PROFILES, canonical
from fleet.plan import Plan, names_of, plan_of
from fleet.ranges import fill
from fleet.sitefile import Node, Rack, Row, SiteFile


def assets_of(file: SiteFile) -> Mapping[AssetId, Asset]:
    """Every asset of a file that has passed all checks: places and nodes, then the plant, in the order of the file."""
    plan = plan_of(file)
    return {asset.id: asset for part in (_places(plan), plant_assets(plan)) for asset in part}


def _places(plan: Plan) -> Iterator[Asset]:
    file = plan.file
    yield plan.asset(file.site, Kind.SITE, zone=plan.first_zone, labels={}, parent=None)
    for hall in file.halls:
        zone = min((row.zone for row in hall.rows), default=plan.first_zone)
        yield plan.asset(hall.name, Kind.HALL, zone=zone, labels={"hall": hall.name}, parent=file.site)
        for row in hall.rows:
            labels = {"hall": hall.name, "row": row.name, "zone": str(row.zone)}
            cracs = plan.cracs_of_row.get(row.name, ())
            yield plan.asset(row.name, Kind.ROW, zone=row.zone, labels=labels, parent=hall.name, cooled_by=cracs)
            for rack in row.racks:
                yield from _rack(plan, row, rack)


def _rack(plan: Plan, row: Row, rack: Rack) -> Iterator[Asset]:
    labels = plan.place_of_rack[rack.name][1]
    yield plan.asset(
        rack.name,
        Kind.RACK,
        zone=row.zone,
        labels=labels,
        parent=row.name,
        cooled_by=plan.loops_of_rack.get(rack.name, ()),
        ratings={"power_limit_watts": rack.power_limit_watts},
    )
    for node in rack.nodes:
        for index, name in enumerate(names_of(node.name, node.names), 1):
            yield plan.asset(
                name,
                Kind.NODE,
                zone=row.zone,
                labels={**labels, "node": name},
                parent=rack.name,
                fed_by=plan.outlets_of_node.get(name, ()),
                endpoints=tuple(_endpoints(node, AssetId(name), index)),
                ratings={"gpus": float(node.gpus), "idle_watts": node.idle_watts, "max_watts": node.max_watts},
                model=node.model,
                protected=node.protected,
                latency=node.effect_latency_seconds,
            )


def _endpoints(node: Node, name: AssetId, index: int) -> Iterator[Endpoint]:
    def address(wire: Wire, template: str) -> str:
        return canonical(wire, fill(template, name=name, index=index))

    if node.bmc is not None:
        yield Endpoint(
            asset=name,
            name="bmc",
            wire=Wire.IPMI,
            address=address(Wire.IPMI, node.bmc.address),
            profile=node.bmc.profile,
            credentials=node.bmc.credentials,
            job="ipmi",
        )
    for exporter in node.exporters:
        yield Endpoint(
            asset=name,
            name=exporter.kind,
            wire=Wire.PROMETHEUS,
            address=address(Wire.PROMETHEUS, exporter.address),
            profile=exporter.profile or EXPORTER_PROFILES[exporter.kind],
            credentials=exporter.credentials,
            job=exporter.kind,
            options={} if exporter.refresh_seconds is None else {"refresh_seconds": exporter.refresh_seconds},
        )
    if node.agent is not None:
        yield Endpoint(
            asset=name,
            name="agent",
            wire=Wire.AGENT,
            address=address(Wire.AGENT, node.agent.address),
            profile="agent",
            credentials=node.agent.credentials,
            job="agent",
        )
    if node.redfish is not None:
        yield Endpoint(
            asset=name,
            name="redfish",
            wire=Wire.REDFISH,
            address=address(Wire.REDFISH, node.redfish.address),
            profile="redfish",
            credentials=node.redfish.credentials,
            job="redfish",
        )
