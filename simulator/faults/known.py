"""Every kind of fault, by name."""

from collections.abc import Mapping
from types import MappingProxyType

from simulator.faults.cooling import COOLING
from simulator.faults.house import HOUSE
from simulator.faults.kind import Kind
from simulator.faults.machines import MACHINES
from simulator.faults.network import NETWORK
from simulator.faults.power import POWER
from simulator.faults.sensing import SENSING

KINDS: Mapping[str, Kind] = MappingProxyType({**MACHINES, **POWER, **COOLING, **NETWORK, **SENSING, **HOUSE})
