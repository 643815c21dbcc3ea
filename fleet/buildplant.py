"""From a right site file to its plant: the power tree, cooling, fabric and schedulers, with their endpoints."""

from collections.abc import Iterator

from fleet.assets import Asset, AssetId, Endpoint, Kind, Wire
from fleet.endpoints import canonical
from fleet.plan import Plan, Plug, slots_of
from fleet.plantfile import Bess, Cdu, Pdu, Scheduler, Switch
from fleet.ranges import expand


def plant_assets(plan: Plan) -> Iterator[Asset]:
    """Every asset that is neither a place nor a node."""
    yield from _sources(plan)
    for pdu in plan.file.power.pdus:
        yield from _pdu(plan, pdu)
    yield from _cooling(plan)
    for switch in plan.file.fabric.switches:
        yield _switch(plan, switch)
    for scheduler in plan.file.schedulers:
        yield _scheduler(plan, scheduler)


def _sources(plan: Plan) -> Iterator[Asset]:
    power, site, zone = plan.file.power, plan.file.site, plan.first_zone
    for kind, sources in ((Kind.GRID_SUPPLY, power.grid_supplies), (Kind.GENERATOR_STRING, power.generator_strings)):
        for source in sources:
            ratings = {"rated_watts": source.rated_watts}
            yield plan.asset(source.name, kind, zone=zone, labels={}, parent=site, ratings=ratings)
    for bess in power.bess:
        yield _bess(plan, bess)
    for kind, panels in ((Kind.SUBSTATION, power.substations), (Kind.BUSBAR, power.busbars)):
        for panel in panels:
            ratings = {"rated_watts": panel.rated_watts}
            yield plan.asset(panel.name, kind, zone=zone, labels={}, parent=site, fed_by=panel.fed_by, ratings=ratings)


def _bess(plan: Plan, bess: Bess) -> Asset:
    zone = plan.first_zone if bess.zone is None else bess.zone
    return plan.asset(
        bess.name,
        Kind.BESS,
        zone=zone,
        labels={"zone": str(zone)},
        parent=plan.file.site,
        endpoints=_modbus(bess),
        ratings={"rated_watts": bess.rated_watts, "capacity_watt_hours": bess.capacity_watt_hours},
    )


def _pdu(plan: Plan, pdu: Pdu) -> Iterator[Asset]:
    row, place = plan.place_of_rack[pdu.rack]
    labels = {**place, "feed": pdu.feed}
    yield plan.asset(
        pdu.name,
        Kind.PDU,
        zone=row.zone,
        labels=labels,
        parent=pdu.rack,
        fed_by=pdu.fed_by,
        endpoints=(_snmp(pdu),),
        ratings={
            "rated_amperes": pdu.rated_amperes,
            "phases": float(pdu.phases),
            "volts": pdu.volts,
            "rated_watts": pdu.rated_watts or pdu.rated_amperes * pdu.volts * pdu.phases,
        },
        latency=pdu.effect_latency_seconds,
    )
    for plug in plan.plugs_of_pdu[pdu.name]:
        yield _outlet(plan, plug, row.zone, labels)


def _outlet(plan: Plan, plug: Plug, zone: int, labels: dict[str, str]) -> Asset:
    supply = {} if plug.outlet.supply is None else {"supply": plug.outlet.supply}
    return plan.asset(
        plug.id,
        Kind.OUTLET,
        zone=zone,
        labels={**labels, "pdu": plug.pdu.name, "outlet": plug.number, **supply},
        parent=plug.pdu.name,
        fed_by=(plug.pdu.name,),
        ratings={"phase": plug.outlet.phase, "rated_amperes": plug.outlet.rated_amperes},
        latency=plug.pdu.effect_latency_seconds,
    )


def _cooling(plan: Plan) -> Iterator[Asset]:
    cooling, site = plan.file.cooling, plan.file.site
    for cdu in cooling.cdus:
        racks = [rack for loop in cooling.loops if loop.cdu == cdu.name for rack in loop.racks]
        zone = cdu.zone if cdu.zone is not None else _zone_of_racks(plan, racks)
        yield plan.asset(
            cdu.name,
            Kind.CDU,
            zone=zone,
            labels={"zone": str(zone)},
            parent=site,
            fed_by=cdu.fed_by,
            endpoints=_modbus(cdu),
        )
    for loop in cooling.loops:
        zone = _zone_of_racks(plan, loop.racks)
        driver = (AssetId(loop.cdu),)
        yield plan.asset(loop.name, Kind.LOOP, zone=zone, labels={}, parent=site, cooled_by=driver)
    zones = {row.name: row.zone for row, _ in plan.place_of_rack.values()}
    for crac in cooling.cracs:
        zone = min((zones[row] for row in crac.rows if row in zones), default=plan.first_zone)
        yield plan.asset(crac.name, Kind.CRAC, zone=zone, labels={}, parent=site, fed_by=crac.fed_by)


def _zone_of_racks(plan: Plan, racks: tuple[str, ...] | list[str]) -> int:
    return plan.place_of_rack[racks[0]][0].zone if racks else plan.first_zone


def _switch(plan: Plan, switch: Switch) -> Asset:
    ports: dict[str, AssetId] = {}
    for port in switch.ports:
        ports.update(zip(slots_of(port.port), map(AssetId, expand(port.node)), strict=True))
    zone = switch.zone
    if zone is None:
        zone = _zone_of_racks(plan, [plan.rack_of_node[node] for node in ports.values()])
    endpoints: tuple[Endpoint, ...] = ()
    if switch.exporter is not None:
        endpoints = (
            Endpoint(
                asset=AssetId(switch.name),
                name="exporter",
                wire=Wire.PROMETHEUS,
                address=canonical(Wire.PROMETHEUS, switch.exporter),
                profile="fabric",
                credentials=None,
                job="fabric",
                options={} if switch.refresh_seconds is None else {"refresh_seconds": switch.refresh_seconds},
            ),
        )
    return plan.asset(
        switch.name,
        Kind.SWITCH,
        zone=zone,
        labels={"zone": str(zone)},
        parent=plan.file.site,
        fed_by=switch.fed_by,
        endpoints=endpoints,
        ports=ports,
    )


def _scheduler(plan: Plan, scheduler: Scheduler) -> Asset:
    zone = plan.first_zone if scheduler.zone is None else scheduler.zone
    wire = Wire(scheduler.kind)
    endpoints = [_api(scheduler, "api", wire, scheduler.address)]
    if scheduler.hook is not None:
        endpoints.append(_api(scheduler, "hook", Wire.HOOK, scheduler.hook))
    labels = {"zone": str(zone)}
    return plan.asset(
        scheduler.name, Kind.SCHEDULER, zone=zone, labels=labels, parent=plan.file.site, endpoints=tuple(endpoints)
    )


def _api(scheduler: Scheduler, name: str, wire: Wire, address: str) -> Endpoint:
    return Endpoint(
        asset=AssetId(scheduler.name),
        name=name,
        wire=wire,
        address=canonical(wire, address),
        profile=wire.value,
        credentials=scheduler.credentials,
        job=wire.value,
    )


def _snmp(pdu: Pdu) -> Endpoint:
    return Endpoint(
        asset=AssetId(pdu.name),
        name="snmp",
        wire=Wire.SNMP,
        address=canonical(Wire.SNMP, pdu.address),
        profile=pdu.profile,
        credentials=pdu.credentials,
        job="snmp",
        options=_metering(pdu.protective, pdu.refresh_seconds),
    )


def _modbus(device: Bess | Cdu) -> tuple[Endpoint, ...]:
    if device.address is None:
        return ()
    protective = isinstance(device, Cdu) and device.protective
    return (
        Endpoint(
            asset=AssetId(device.name),
            name="modbus",
            wire=Wire.MODBUS,
            address=canonical(Wire.MODBUS, device.address),
            profile=device.profile,
            credentials=None,
            job="modbus",
            options={"unit": device.unit, **_metering(protective, device.refresh_seconds), **_writable(device)},
        ),
    )


def _writable(device: Bess | Cdu) -> dict[str, object]:
    allowed = {verb: bounds.model_dump() for verb, bounds in device.writable.items()}
    return {"writable": allowed} if allowed else {}


def _metering(protective: bool, refresh_seconds: float | None) -> dict[str, object]:
    refresh: dict[str, object] = {} if refresh_seconds is None else {"refresh_seconds": refresh_seconds}
    return {"protective": True, **refresh} if protective else refresh
