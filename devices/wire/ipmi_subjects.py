"""What each IPMI verb is about: the state before, the one request, and the goal, all asked over one session."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from devices.orders import POWER_GOALS
from devices.wire import rmcp_bmc, rmcp_dcmi
from devices.wire import rmcp_commands as ipmi
from devices.wire.rmcp import Client
from devices.wire.rmcp_session import ADMINISTRATOR, OPERATOR
from fleet.errors import Refused

LEAST_WATTS = 100
"""No machine is held below this by mistake (a default to tune; a node draws some kW)."""
RUNS = "runs"
"""A BMC that answers; a restart cannot be read as a state."""


class Subject(Protocol):
    """One verb on one BMC."""

    @property
    def privilege(self) -> int:
        """What the account must be allowed."""
        ...

    @property
    def goal(self) -> str | None:
        """The word of `look` that ends the watch; None where no state shows the effect."""
        ...

    async def look(self, client: Client) -> str:
        """The state in a word. Raises `Unreachable`, `Refused` or `Malformed`."""
        ...

    def request(self) -> tuple[ipmi.Command, bytes]:
        """The one command that changes it, made from what the last look found."""
        ...


def subject_of(verb: str, arguments: Mapping[str, object]) -> Subject:
    """Raises `Refused` for a verb that BMCs do not take, `ValueError` for arguments that are none."""
    match verb:
        case "power_off" | "power_on" | "rack_power_off" | "rack_power_on" | "soft_off":
            return _Power(verb)
        case "dcmi_power_limit":
            return _Limit(_watts(arguments))
        case "dcmi_limit_on" | "dcmi_limit_off":
            return _Activation(verb == "dcmi_limit_on")
        case "bmc_cold_reset":
            return ColdReset()
        case _:
            raise Refused(f"{verb!r} is no verb of a BMC, try one of devices.orders.VERBS")


def _watts(arguments: Mapping[str, object]) -> int:
    watts = arguments.get("watts")
    if (
        not isinstance(watts, int | float)
        or isinstance(watts, bool)
        or not LEAST_WATTS <= watts <= rmcp_dcmi.MOST_WATTS
    ):
        raise ValueError(f"watts is {watts!r}, try a number from {LEAST_WATTS} to {rmcp_dcmi.MOST_WATTS}")
    return round(watts)


@dataclass(slots=True)
class _Power:
    """A machine on or off: chassis control 0, 1 and 5 (ask the operating system), and nothing else."""

    verb: str
    privilege: int = OPERATOR

    @property
    def goal(self) -> str:
        return POWER_GOALS[self.verb]

    async def look(self, client: Client) -> str:
        return "on" if (await rmcp_bmc.chassis_status(client)).power_on else "off"

    def request(self) -> tuple[ipmi.Command, bytes]:
        return ipmi.CHASSIS_CONTROL, ipmi.POWER_COMMANDS[self.verb]


@dataclass(slots=True)
class _Limit:
    """The watts of the power limit, active or not."""

    watts: int
    privilege: int = OPERATOR
    _held: rmcp_dcmi.PowerLimit | None = None

    @property
    def goal(self) -> str:
        return f"{self.watts} W"

    async def look(self, client: Client) -> str:
        self._held = await _held(client)
        return f"{self._held.watts} W"

    def request(self) -> tuple[ipmi.Command, bytes]:
        assert self._held is not None
        return rmcp_dcmi.SET_POWER_LIMIT, rmcp_dcmi.set_request(self.watts, self._held)


@dataclass(slots=True)
class _Activation:
    """Whether the limit counts."""

    wanted: bool
    privilege: int = OPERATOR

    @property
    def goal(self) -> str:
        return "active" if self.wanted else "inactive"

    async def look(self, client: Client) -> str:
        return "active" if (await _held(client)).active else "inactive"

    def request(self) -> tuple[ipmi.Command, bytes]:
        return rmcp_dcmi.ACTIVATE_POWER_LIMIT, rmcp_dcmi.activate_request(self.wanted)


async def _held(client: Client) -> rmcp_dcmi.PowerLimit:
    return rmcp_dcmi.decode_power_limit(await client.read(rmcp_dcmi.GET_POWER_LIMIT, rmcp_dcmi.GET_REQUEST))


@dataclass(slots=True)
class ColdReset:
    """A BMC that starts anew; the machine behind it runs on."""

    privilege: int = ADMINISTRATOR
    goal: str | None = None

    async def look(self, client: Client) -> str:
        await rmcp_bmc.device_id(client)
        return RUNS

    def request(self) -> tuple[ipmi.Command, bytes]:
        return ipmi.COLD_RESET, b""
