"""What the scheduler needs of a target: its signals, one answer, a close. One module a wire implements it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from bus.events import DeviceEvent
from devices.reading import Reading
from fleet.clock import Clock
from fleet.model import Endpoint, Wire
from fleet.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """What one poll brought: a reading for each due signal group, and what happened on the device meanwhile."""

    readings: tuple[Reading, ...] = ()
    events: tuple[DeviceEvent, ...] = ()


class Poller(Protocol):
    """One target: a session with one endpoint, asked by the scheduler alone and never twice at once."""

    signals: Mapping[str, float]
    """Signal group to default interval in seconds."""

    async def poll(self, due: frozenset[str]) -> Poll:
        """Ask for the due groups. Raises `Unreachable` (nobody answered), `Malformed` (quarantine) or `Refused`."""

    async def close(self) -> None:
        """End the session; a poller that never polled closes too."""


Secret = Mapping[str, object]
PollerFactory = Callable[[Endpoint, Secret | None, Settings, Clock], Poller]

MODULES: Mapping[Wire, str] = {
    Wire.SNMP: "collectors.snmp",
    Wire.PROMETHEUS: "collectors.exporter",
    Wire.IPMI: "collectors.ipmi",
    Wire.MODBUS: "collectors.modbus",
    Wire.AGENT: "collectors.agent",
    Wire.KUBERNETES: "collectors.kubernetes",
}
"""The module of each wire; its `open_poller` is the factory. Imported when the first target of that wire appears, so
that a site without battery needs no Modbus library."""

NEVER_POLLED = frozenset({Wire.REDFISH, Wire.HOOK, Wire.SLURM})
"""Wires that only carry orders and the looks around them; no series are read over them."""


def factory_of(wire: Wire) -> PollerFactory:
    """The `open_poller(endpoint, secret, settings, clock)` of the wire's module; it opens nothing before the first poll."""
    factory: PollerFactory = import_module(MODULES[wire]).open_poller
    return factory
