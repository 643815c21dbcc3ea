"""Endpoints and sites for tests of devices and collectors."""

from pathlib import Path

from fleet.model import Asset, AssetId, Endpoint, Kind, PlantGraph, Site, Wire

V2C = {"version": "2c", "community": "public"}


def pdu_endpoint(address: str, *, profile: str = "eaton-epdu-g3", asset: str = "pdu-1", **options: object) -> Endpoint:
    return Endpoint(
        asset=AssetId(asset),
        name="snmp",
        wire=Wire.SNMP,
        address=address,
        profile=profile,
        credentials=None,
        job="snmp",
        options=options,
    )


def exporter_endpoint(url: str, *, asset: str = "dgx-001", profile: str = "dcgm", **options: object) -> Endpoint:
    return Endpoint(
        asset=AssetId(asset),
        name="dcgm",
        wire=Wire.PROMETHEUS,
        address=url,
        profile=profile,
        credentials=None,
        job="dcgm",
        options=options,
    )


def node(endpoint: Endpoint, *, zone: int = 1, rack: str = "r01") -> Asset:
    return Asset(
        id=endpoint.asset,
        kind=Kind.NODE,
        zone=zone,
        endpoints=(endpoint,),
        labels={"hall": "hall-1", "row": "row-01", "rack": rack, "node": str(endpoint.asset), "zone": str(zone)},
    )


def site_of(*assets: Asset, name: str = "test") -> Site:
    by_id = {asset.id: asset for asset in assets}
    return Site(name=name, simulated=True, assets=by_id, graph=PlantGraph(by_id), path=Path("site.yaml"))
