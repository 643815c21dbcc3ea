"""Endpoints of a site file: every address brought into one form, checked, and used by one device only."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from fleet.addresses import DEFAULT_PORTS, BadAddress, host_port, http_url
from fleet.assets import Wire
from fleet.document import Document, Loc
from fleet.errors import Problem
from fleet.names import NODES, Names
from fleet.nearest import nearest
from fleet.ranges import BadRange, fill, has_places
from fleet.walk import Item, root_of

PROFILES = frozenset(
    {
        "eaton-epdu-g3",
        "apc-rpdu2",
        "openbmc",
        "dcgm",
        "node-exporter",
        "amd-gpu",
        "smartctl",
        "rdma",
        "fabric",
        "sunspec-battery",
        "cdu-modbus",
        "agent",
        "kubernetes",
        "slurm",
    }
)
"""Device families that Hallkeeper ships; whoever knows more passes them to the loader."""

EXPORTER_PROFILES = {
    "dcgm": "dcgm",
    "node": "node-exporter",
    "amd": "amd-gpu",
    "smartctl": "smartctl",
    "rdma": "rdma",
}
"""Profile of an exporter that names none, by its kind."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """Where the file names an address, and the wire that it is spoken to over."""

    path: tuple[str, ...]
    key: str
    wire: Wire


ADDRESSES = (
    Spoken((*NODES, "bmc"), "address", Wire.IPMI),
    Spoken((*NODES, "exporters"), "address", Wire.PROMETHEUS),
    Spoken((*NODES, "agent"), "address", Wire.AGENT),
    Spoken(("power", "pdus"), "address", Wire.SNMP),
    Spoken(("power", "bess"), "address", Wire.MODBUS),
    Spoken(("cooling", "cdus"), "address", Wire.MODBUS),
    Spoken(("fabric", "switches"), "exporter", Wire.PROMETHEUS),
    Spoken((*NODES, "redfish"), "address", Wire.REDFISH),
    Spoken(("schedulers",), "address", Wire.KUBERNETES),
    Spoken(("schedulers",), "hook", Wire.HOOK),
)


def canonical(wire: Wire, text: str) -> str:
    """An address in the one form that `Endpoint` holds. Raises `BadAddress`."""
    if wire in (Wire.SNMP, Wire.IPMI, Wire.MODBUS):
        return host_port(text, DEFAULT_PORTS[wire])
    return http_url(text, ("http", "https") if wire in (Wire.PROMETHEUS, Wire.SLURM) else ("https",))


def check_endpoints(document: Document, names: Names, profiles: Collection[str]) -> Iterator[Problem]:
    """Addresses that are none or are used twice, templates that do not fit, device families that nobody knows."""
    root = root_of(document.data)
    taken: dict[tuple[str, ...], Loc] = {}
    for spoken in ADDRESSES:
        for item in root.under(*spoken.path):
            text = item.text(spoken.key)
            if text is not None:
                slurm = spoken.wire is Wire.KUBERNETES and item.text("kind") == "slurm"
                said = replace(spoken, wire=Wire.SLURM) if slurm else spoken
                yield from _check_address(document, _Address(said, item, text, _nodes_around(item, names)), taken)
            yield from _check_profile(document, item, profiles)
    for node in root.under(*NODES):
        yield from _check_kinds(document, node)


@dataclass(frozen=True, slots=True)
class _Address:
    """One address of the file: on what wire, in which entry, and for which nodes where it is a template."""

    spoken: Spoken
    item: Item
    text: str
    nodes: tuple[str, ...] | None

    def each(self) -> list[str]:
        """The addresses that it stands for, in their one form. Raises `BadAddress` and `BadRange`."""
        filled = [self.text]
        if self.nodes is not None:
            filled = [fill(self.text, name=name, index=index) for index, name in enumerate(self.nodes, 1)]
        return [canonical(self.spoken.wire, address) for address in filled]


def _nodes_around(item: Item, names: Names) -> tuple[str, ...] | None:
    """The names of the node entry that an item is part of; None for what is no part of a node."""
    return names.nodes_of.get(item.loc[: item.loc.index("nodes") + 2]) if "nodes" in item.loc else None


def _check_address(document: Document, address: _Address, taken: dict[tuple[str, ...], Loc]) -> Iterator[Problem]:
    loc, wire = address.item.at(address.spoken.key), address.spoken.wire
    try:
        each = address.each()
    except (BadAddress, BadRange) as fault:
        yield document.problem(loc, fault.message, fault.suggestion)
        return
    if len(each) > 1 and not has_places(address.text):
        message = f"the same address for all {len(each)} names of the range"
        yield document.problem(loc, message, "{name}, {index} or {number} in it")
        return
    unit = str(address.item.data.get("unit", 1)) if wire is Wire.MODBUS else ""
    for one in each:
        first = taken.setdefault((wire, one, unit), loc)
        if first is not loc:
            line = document.problem(first, "").line
            yield document.problem(
                loc, f"the address {one} is used twice, also in line {line}", "the device's own address"
            )
            return


def _check_profile(document: Document, item: Item, profiles: Collection[str]) -> Iterator[Problem]:
    profile = item.text("profile")
    if profile is not None and profile not in profiles:
        near = nearest(profile, sorted(profiles))
        suggestion = f"{near!r}" if near else f"one of {', '.join(sorted(profiles))}"
        yield document.problem(item.at("profile"), f"unknown device family {profile!r}", suggestion)


def _check_kinds(document: Document, node: Item) -> Iterator[Problem]:
    """Two exporters of one kind would be one endpoint, and one source on the bus."""
    kinds: set[str] = set()
    for exporter in node.under("exporters"):
        kind = exporter.text("kind")
        if kind in kinds:
            yield document.problem(exporter.at("kind"), f"a second {kind} exporter of one node", "one page a kind")
        kinds.add(str(kind))
