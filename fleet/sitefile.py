"""What `site.yaml` may say: the shape of the file, with NetBox's word for each thing.

The same classes give the JSON Schema for editors. What one entry cannot know by itself (names, references, addresses)
is judged by `fleet.checks`.
"""

from typing import Annotated, Literal

from pydantic import Field

from fleet.entry import Entry, Several, SomeOf
from fleet.plantfile import Cooling, Fabric, Name, Power, Scheduler, Seconds, Watts, Zone
from fleet.references import SecretRef


class CredentialGroup(Entry):
    """Where the secrets of a group of devices lie; references only."""

    read: SecretRef | None = None
    """Secret of the user that may only read: file:PATH (mode 0600) or credential:NAME (systemd)."""
    write: SecretRef | None = None
    """Secret of the user that may command; loaded by the actuator alone."""


class Defaults(Entry):
    """Values for assets that do not say otherwise."""

    effect_latency_seconds: Seconds = 90.0
    """How long a command may take to show, in seconds; a default to tune."""


class Bmc(Entry):
    """Management controller of a node. NetBox: an interface with "management only", and its IP address."""

    address: Annotated[str, Field(min_length=1)]
    """host or host:port (623 by default); {name}, {index} and {number} are filled in."""
    profile: str = "openbmc"
    """Device family."""
    credentials: str = "bmc"
    """Credentials group."""


class Exporter(Entry):
    """A page of Prometheus text on a node. NetBox: Service."""

    kind: Literal["dcgm", "node", "amd", "smartctl", "rdma"]
    """dcgm for NVIDIA's GPUs, amd for AMD's, node for node_exporter, smartctl for disks, rdma for hardware counters of ports."""
    address: Annotated[str, Field(min_length=1)]
    """URL of the page."""
    profile: str | None = None
    """Device family; by kind where left out (dcgm, node-exporter, amd-gpu, smartctl, rdma)."""
    refresh_seconds: Seconds | None = None
    """How old a value may be inside the exporter: its collect interval (dcgm-exporter -c), in seconds."""
    credentials: str | None = None
    """Credentials group, where the page asks for a token."""


class Agent(Entry):
    """Hallkeeper's agent on a node. NetBox: Service."""

    address: Annotated[str, Field(min_length=1)]
    """https URL."""
    credentials: str = "agent"
    """Credentials group."""


class Redfish(Entry):
    """Redfish service of a node's management controller. NetBox: Service."""

    address: Annotated[str, Field(min_length=1)]
    """https URL; {name}, {index} and {number} are filled in."""
    credentials: str = "redfish"
    """Credentials group."""


class Node(Entry):
    """One machine or a range of equal ones. NetBox: Device."""

    name: Name | None = None
    """Name of the one machine. NetBox: Device.name."""
    names: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    """Range instead of a name: dgx-[001-004], [1-3,7], several brackets."""
    model: str = ""
    """NetBox: DeviceType.model."""
    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    """How many GPUs it has when whole."""
    idle_watts: Watts
    """What it draws with no job, in W."""
    max_watts: Watts
    """The most it draws, in W. NetBox: PowerPort.maximum_draw."""
    bmc: Bmc | None = None
    """Its management controller."""
    exporters: Annotated[Several[Exporter], Field(max_length=8)] = ()
    """Its pages of Prometheus text."""
    agent: Agent | None = None
    """Hallkeeper's agent on it."""
    redfish: Redfish | None = None
    """Its Redfish service, for power limits."""
    protected: bool = False
    """Never acted upon by anything (control plane, storage)."""
    effect_latency_seconds: Seconds | None = None
    """How long a command to it may take to show, in seconds."""


class Rack(Entry):
    """A cabinet. NetBox: Rack."""

    name: Name
    """NetBox: Rack.name."""
    power_limit_watts: Watts | None = None
    """The most that may be drawn in it, in W."""
    nodes: Several[Node] = ()
    """Its machines."""


class Row(Entry):
    """A row of racks, the unit of polling. NetBox: Location inside the hall."""

    name: Name
    """NetBox: Location.name."""
    zone: Zone
    """Number of the row's zone, used once and never again: unit of polling, partition on the bus."""
    racks: Several[Rack] = ()
    """Its racks."""


class Hall(Entry):
    """A data hall. NetBox: Location."""

    name: Name
    """NetBox: Location.name."""
    rows: Several[Row] = ()
    """Its rows."""


class SiteFile(Entry):
    """A Hallkeeper site: halls, power, cooling, fabric, schedulers, and where the secrets lie. NetBox: Site."""

    site: Name
    """Name of the site. NetBox: Site.slug."""
    simulated: bool = False
    """True for a simulated site, where remedies may act without a back-test."""
    credentials: dict[str, CredentialGroup] = Field(default_factory=dict)
    """Groups of secrets by name; references only."""
    defaults: Defaults = Defaults()
    """Values for assets that do not say otherwise."""
    halls: SomeOf[Hall]
    """Data halls."""
    power: Power = Power()
    """The power tree."""
    cooling: Cooling = Cooling()
    """What takes the heat away."""
    fabric: Fabric = Fabric()
    """The network that jobs run over."""
    schedulers: Several[Scheduler] = ()
    """What places jobs."""
    protected: Several[Name] = ()
    """Assets that nothing ever acts upon, by name."""
