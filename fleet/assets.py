"""The things a site is made of, as plain frozen facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

AssetId = NewType("AssetId", str)
"""Unique in the whole site; the asset's name, and `<pdu>#<outlet>` for an outlet."""


class Kind(StrEnum):
    """What an asset is."""

    SITE = "site"
    HALL = "hall"
    ROW = "row"
    RACK = "rack"
    NODE = "node"
    PDU = "pdu"
    OUTLET = "outlet"
    BUSBAR = "busbar"
    SUBSTATION = "substation"
    GRID_SUPPLY = "grid_supply"
    GENERATOR_STRING = "generator_string"
    BESS = "bess"
    CDU = "cdu"
    LOOP = "loop"
    CRAC = "crac"
    SCHEDULER = "scheduler"
    SWITCH = "switch"


class Wire(StrEnum):
    """How an endpoint is spoken to."""

    SNMP = "snmp"
    IPMI = "ipmi"
    PROMETHEUS = "prometheus"
    AGENT = "agent"
    MODBUS = "modbus"
    KUBERNETES = "kubernetes"
    SLURM = "slurm"
    REDFISH = "redfish"
    HOOK = "hook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address of an asset that answers over one wire."""

    asset: AssetId
    name: str
    """PDU `snmp`; node `bmc`, `dcgm`, `node`, `agent`; BESS and CDU `modbus`; switch `exporter`; node `redfish`;
    scheduler `api`, `hook`."""
    wire: Wire
    address: str
    """`host:port` (the port is always there) for SNMP, IPMI and Modbus; a URL for the others."""
    profile: str
    credentials: str | None
    """Name of a credentials group, or None where the device asks for none."""
    job: str
    """The kind of source, as in Prometheus: snmp, ipmi, dcgm, amd, node, smartctl, rdma, agent, modbus, fabric,
    kubernetes."""
    options: Mapping[str, object] = field(default_factory=dict)
    """What the file says beyond that: `refresh_seconds`, Modbus `unit`, `protective`."""

    @property
    def source(self) -> str:
        """Key of its frames on the bus."""
        return f"{self.asset}/{self.name}"

    @property
    def instance(self) -> str:
        """The label `instance` of its series."""
        return self.address


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One thing of the site, with all that the inventory says about it."""

    id: AssetId
    kind: Kind
    zone: int
    """Unit of polling and partition number on the bus; assets outside any row take the zone that polls them."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Those of hall, row, rack, node, zone that apply; a PDU adds feed; an outlet adds feed, pdu, outlet, supply."""
    parent: AssetId | None = None
    """Where it stands: node in rack, rack in row, outlet on PDU; the site itself has none."""
    fed_by: tuple[AssetId, ...] = ()
    cooled_by: tuple[AssetId, ...] = ()
    ports: Mapping[str, AssetId] = field(default_factory=dict)
    """Switch only: port name to the node behind it."""
    endpoints: tuple[Endpoint, ...] = ()
    ratings: Mapping[str, float] = field(default_factory=dict)
    """Node: gpus, idle_watts, max_watts. PDU: rated_amperes (per phase), phases, volts, rated_watts. Outlet: phase,
    and rated_amperes where given. Rack: power_limit_watts. Busbar, substation, grid supply, generator string, BESS:
    rated_watts; BESS: capacity_watt_hours."""
    model: str = ""
    protected: bool = False
    """Never acted upon by anything."""
    effect_latency_seconds: float = 90.0
    """How long a command may take to show; a default to tune per device family."""

    def endpoint(self, name: str) -> Endpoint | None:
        """Its endpoint of that name, or None."""
        return next((endpoint for endpoint in self.endpoints if endpoint.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A part of the plant whose failure takes its members with it."""

    kind: Kind
    id: AssetId

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What may not be exceeded at one place of the power tree."""

    asset: AssetId
    quantity: str
    """`watts` or `amperes`."""
    value: float
    phase: str | None = None
    """`1`, `2` or `3` where the limit holds for one phase alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRefs:
    """Where a group's secrets lie; never the secrets themselves."""

    read: str | None = None
    write: str | None = None
