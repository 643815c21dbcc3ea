"""What may be written over Modbus at all, family by family: requests to a unit's own controller, never to a breaker, valve,
contactor or emergency stop. A point that is not listed here cannot be written, whatever a site file says.

Bounds, step and pace come from the site file (`writable`), where the owner allows each point.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Writable:
    """One holding register that takes a request."""

    argument: str
    """Name of the order's argument that holds the value."""
    register: int
    """Zero-based address; one 16-bit word, signed."""
    scale: float
    """Value of one count."""
    unit: str


WRITABLE: Mapping[str, Mapping[str, Writable]] = MappingProxyType(
    {
        "cdu-modbus": MappingProxyType(
            {
                "coolant_set_point": Writable(argument="celsius", register=100, scale=0.1, unit="°C"),
                "standby_pump": Writable(argument="run", register=101, scale=1.0, unit=""),
            }
        ),
    }
)
"""By profile and verb. Batteries have no register here: model 704 of SunSpec says where theirs lie."""
