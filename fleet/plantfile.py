"""The plant's part of `site.yaml`: power, cooling, fabric and schedulers, with NetBox's word for each thing."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from fleet.entry import Entry, Several, SomeOf, text_check, wrong
from fleet.ranges import NAME


def _name(text: str) -> str | None:
    if NAME.match(text):
        return None
    return "must be 1 to 63 letters, digits, dots, dashes or underscores, with a letter or digit at both ends|dgx-001"


Name = Annotated[str, text_check(_name)]
Watts = Annotated[float, Field(gt=0, le=1e10)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Zone = Annotated[int, Field(ge=0, le=9999)]
Phase = Annotated[int, Field(ge=1, le=3)]


def _slots(value: Any, validate: ValidatorFunctionWrapHandler) -> int | str:
    try:
        slots: int | str = validate(value)
    except ValidationError:
        raise wrong("must be a number, a short name, or a range in brackets", '1, or "[1-4]"') from None
    return slots


Slots = Annotated[
    Annotated[int, Field(ge=0, le=99_999)] | Annotated[str, Field(pattern=r"^[A-Za-z0-9._/:,\[\]-]{1,60}$")],
    WrapValidator(_slots),
]
"""Outlets or ports: one by number or name, or a range."""


class Source(Entry):
    """A grid supply or a generator string. NetBox: PowerPanel's upstream, which NetBox leaves out."""

    name: Name
    """Its name."""
    rated_watts: Watts
    """What it can give, in W."""


class Bounds(Entry):
    """What one writable point may be set to, how far at once and how often."""

    low: float
    """The least that may be asked for."""
    high: float
    """The most that may be asked for."""
    step: Annotated[float, Field(gt=0)]
    """The farthest that one act may move it."""
    every_seconds: Annotated[float, Field(gt=0, le=86400)]
    """The least time between two acts, in seconds."""


class Bess(Source):
    """Battery storage."""

    capacity_watt_hours: Annotated[float, Field(gt=0, le=1e11)]
    """Energy when full, in Wh."""
    writable: dict[Literal["bess_set_point"], Bounds] = Field(default_factory=dict)
    """What may be set at all, and within which bounds, in W (positive when it discharges); nothing where left out."""
    address: str | None = None
    """host or host:port (502 by default) of its Modbus server."""
    profile: str = "sunspec-battery"
    """Device family."""
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    """Modbus unit number."""
    zone: Zone | None = None
    """Zone that polls it; the lowest where left out."""
    refresh_seconds: Seconds | None = None
    """How old a value may be inside the device, in seconds; the profile's where left out."""


class Fed(Source):
    """A substation or busbar. NetBox: PowerPanel."""

    fed_by: SomeOf[Name]
    """What feeds it: grid supplies, generator strings, BESS, substations, busbars."""


class Outlet(Entry):
    """One outlet, or a range of equal ones, and what is plugged in. NetBox: PowerOutlet, with the cable to a PowerPort."""

    outlet: Slots
    """Number on the PDU, or a range such as [1-4] for as many nodes. NetBox: PowerOutlet.name."""
    node: Annotated[str, Field(min_length=1, max_length=1000)]
    """The node that it feeds, or a range of as many. NetBox: PowerPort.device."""
    supply: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")] | None = None
    """The node's power supply. NetBox: PowerPort.name."""
    phase: Phase | None = None
    """Phase that it hangs on, 1 to 3. NetBox: PowerOutlet.feed_leg (A, B, C)."""
    rated_amperes: Annotated[float, Field(gt=0, le=1000)] | None = None
    """What its breaker carries, in A."""


class Pdu(Entry):
    """A rack PDU. NetBox: Device with PowerOutlets, on a PowerFeed."""

    name: Name
    """NetBox: Device.name."""
    rack: Name
    """Where it hangs. NetBox: Device.rack."""
    feed: Literal["a", "b"]
    """Which of the two feeds it is. NetBox: PowerFeed.type (primary, redundant)."""
    fed_by: SomeOf[Name]
    """What feeds it. NetBox: PowerFeed.power_panel."""
    profile: str
    """Device family."""
    address: Annotated[str, Field(min_length=1)]
    """host or host:port (161 by default) of its SNMP agent."""
    credentials: str = "pdu"
    """Credentials group."""
    phases: Literal[1, 3] = 3
    """NetBox: PowerFeed.phase (single-phase, three-phase)."""
    rated_amperes: Annotated[float, Field(gt=0, le=1000)]
    """What each phase carries, in A. NetBox: PowerFeed.amperage."""
    volts: Annotated[float, Field(ge=48, le=1000)] = 230.0
    """Phase to neutral, in V. NetBox: PowerFeed.voltage."""
    rated_watts: Watts | None = None
    """What it carries in all, in W; amperes x volts x phases where left out. NetBox: PowerFeed.available_power."""
    effect_latency_seconds: Seconds | None = None
    """How long a switching command may take to show, in seconds."""
    protective: bool = False
    """Its meter serves the protective lane; it must then be fresher than 2 s."""
    refresh_seconds: Seconds | None = None
    """How old a value may be inside the PDU, in seconds; the profile's where left out."""
    outlets: Annotated[Several[Outlet], Field(max_length=200)] = ()
    """Its outlets in use."""


class Power(Entry):
    """The power tree, from the grid down to the outlets."""

    grid_supplies: Several[Source] = ()
    """Utility connections."""
    generator_strings: Several[Source] = ()
    """Generators that start and stop together."""
    bess: Several[Bess] = ()
    """Battery storage."""
    substations: Several[Fed] = ()
    """Substations or main switchboards. NetBox: PowerPanel."""
    busbars: Several[Fed] = ()
    """Busbars or busways. NetBox: PowerPanel."""
    pdus: Several[Pdu] = ()
    """Rack PDUs."""


class Cdu(Entry):
    """Coolant distribution unit. NetBox: Device."""

    name: Name
    """NetBox: Device.name."""
    address: str | None = None
    """host or host:port (502 by default) of its Modbus server."""
    profile: str = "cdu-modbus"
    """Device family."""
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    """Modbus unit number."""
    writable: dict[Literal["coolant_set_point", "standby_pump"], Bounds] = Field(default_factory=dict)
    """What may be asked of it, and within which bounds (a supply temperature in °C, a pump 0 to 1); nothing where left out."""
    fed_by: Several[Name] = ()
    """What powers it, where that is known."""
    zone: Zone | None = None
    """Zone that polls it; that of the first rack it cools where left out."""
    protective: bool = False
    """Its meters serve the protective lane; they must then be fresher than 2 s."""
    refresh_seconds: Seconds | None = None
    """How old a value may be inside the device, in seconds; the profile's where left out."""


class Loop(Entry):
    """A liquid loop from a CDU to racks."""

    name: Name
    """Its name."""
    cdu: Name
    """The CDU that drives it."""
    racks: SomeOf[Name]
    """The racks on it."""


class Crac(Entry):
    """An air cooler. NetBox: Device."""

    name: Name
    """NetBox: Device.name."""
    rows: SomeOf[Name]
    """The rows that it cools."""
    fed_by: Several[Name] = ()
    """What powers it, where that is known."""


class Cooling(Entry):
    """What takes the heat away."""

    cdus: Several[Cdu] = ()
    """Coolant distribution units."""
    loops: Several[Loop] = ()
    """Liquid loops."""
    cracs: Several[Crac] = ()
    """Air coolers."""


class Port(Entry):
    """A switch port, or a range, and the node behind it. NetBox: Interface with its Cable."""

    port: Slots
    """Its name on the switch, or a range such as [1-32]. NetBox: Interface.name."""
    node: Annotated[str, Field(min_length=1, max_length=1000)]
    """The node behind it, or a range of as many."""


class Switch(Entry):
    """A fabric switch. NetBox: Device."""

    name: Name
    """NetBox: Device.name."""
    exporter: str | None = None
    """URL of its page of Prometheus text."""
    ports: Several[Port] = ()
    """Ports with nodes behind them."""
    fed_by: Several[Name] = ()
    """What powers it, where that is known."""
    zone: Zone | None = None
    """Zone that polls it; that of its first node where left out."""
    refresh_seconds: Seconds | None = None
    """How old a value may be inside the exporter, in seconds."""


class Fabric(Entry):
    """The network that jobs run over."""

    switches: Several[Switch] = ()
    """Its switches."""


class Scheduler(Entry):
    """What places jobs. NetBox: Cluster."""

    name: Name
    """NetBox: Cluster.name."""
    kind: Literal["kubernetes", "slurm"]
    """NetBox: Cluster.type."""
    address: Annotated[str, Field(min_length=1)]
    """https URL of its API; of slurmrestd also http on this machine."""
    credentials: str = "kubernetes"
    """Credentials group."""
    hook: Annotated[str, Field(min_length=1)] | None = None
    """https URL of a service that takes checkpoint requests for its jobs."""
    zone: Zone | None = None
    """Zone that polls it; the lowest where left out."""
