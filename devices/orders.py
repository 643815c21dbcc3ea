"""An order to one device and what became of it: the words that every writer and the actuator share.

A writer carries out one order: it looks, sends at most one state-changing request, and looks again. It never resends.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from fleet.model import AssetId, Endpoint, Wire

SEND_MARGIN_NS = 10_000_000
"""A request is sent only while at least this much is left of `not_after`: from the comparison to the return of `send`
took at most 4.9 ms with two CPU hogs a core (measured); 10 ms covers that twice."""

FRESH_SECONDS = 5.0
"""The state before a command counts only when it was read at most this long before the send."""


class State(StrEnum):
    """How far one order has come. Streamed while it happens; a verdict carries the last that was proven."""

    NOT_SENT = "not_sent"
    """Nothing that changes state left this machine: refused, too late, goal already met, or the send failed."""
    SENT = "sent"
    """The one request is on the wire; no answer yet."""
    ACKNOWLEDGED = "acknowledged"
    """The device said, authenticated where the protocol can, that it accepted."""
    REFUSED = "refused"
    """The device said, authenticated where the protocol can, that it did not."""
    UNKNOWN = "unknown"
    """Sent, and nothing trustworthy came back: never resend, look."""
    FENCED = "fenced"
    """From here on no copy of the request can run any more: what is read back now is final. The last state of an order
    that was never answered; an answered one ends as `ACKNOWLEDGED` or `REFUSED` with the fence behind it."""
    UNCONFIRMED = "unconfirmed"
    """The fence could not be confirmed: a copy may still run until the device's session expires; it stays locked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One absolute verb for one device, with all that it takes to carry it out."""

    intent: str
    asset: AssetId
    verb: str
    arguments: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    endpoint: Endpoint
    secret: Mapping[str, object] = field(repr=False)
    not_after_boottime_ns: int
    """CLOCK_BOOTTIME after which nothing may be sent."""
    effect_latency_seconds: float
    """How long after the send the state is watched for the effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of an order: the last proven state, and the device's state before and after in the verb's own words."""

    state: State
    before: str | None = None
    after: str | None = None
    """Read back after the send (and after the fence, where the protocol has one); None when it could not be read."""
    text: str = ""
    """What happened, where, and what to try."""


Report = Callable[[State], None]
"""Told each state as it is reached; never blocks. `SENT` is reported right after the send returned."""


@runtime_checkable
class Writer(Protocol):
    """One wire's way to carry out an order."""

    async def act(self, order: Order, report: Report) -> Verdict:
        """Look, send at most once, look again. Never raises for what a device or network does."""
        ...


@runtime_checkable
class Settler(Protocol):
    """A writer that can make a possibly sent order of an earlier process harmless and read what it did."""

    async def settle(self, order: Order, note: str, report: Report) -> Verdict:
        """Fence what may still be under way and read the device; sends nothing that changes state."""
        ...


Remember = Callable[[str, str], None]
"""`remember(intent, note)`: durable before it returns; called right before the send with what a later process needs to
fence the request (an IPMI session's id; nothing secret)."""


def forget(intent: str, note: str) -> None:
    """For writers outside the actuator process, which have no journal: commissioning and tests."""
    del intent, note


VERBS_OF: Mapping[Wire, tuple[str, ...]] = MappingProxyType(
    {
        Wire.IPMI: (
            *("power_off", "power_on", "rack_power_off", "rack_power_on", "soft_off", "bmc_cold_reset"),
            *("dcmi_power_limit", "dcmi_limit_on", "dcmi_limit_off"),
        ),
        Wire.SNMP: ("outlet_off", "outlet_on"),
        Wire.AGENT: ("gpu_power_limit", "gpu_reset", "reboot", "checkpoint"),
        Wire.KUBERNETES: (
            *("cordon", "uncordon", "taint", "untaint", "taint_out_of_service", "untaint_out_of_service"),
            *("evict", "evict_override", "delete_pod", "suspend_job", "resume_job", "scale", "checkpoint_annotate"),
            *("stop_admissions", "allow_admissions"),
        ),
        Wire.SLURM: (
            *("slurm_drain", "slurm_resume", "slurm_requeue", "slurm_suspend", "slurm_unsuspend", "slurm_hold"),
            *("slurm_release", "slurm_signal", "slurm_reserve", "slurm_unreserve"),
            *("slurm_stop_admissions", "slurm_allow_admissions"),
        ),
        Wire.REDFISH: ("redfish_power_limit",),
        Wire.HOOK: ("checkpoint_http",),
        Wire.MODBUS: ("bess_set_point", "bess_release", "coolant_set_point", "standby_pump"),
    }
)
"""Every verb that a device is commanded with, all absolute, by the wire it travels on. There is none for breakers, valves,
contactors, generators, fire systems or emergency stops: those are never commanded."""

VERBS: Mapping[str, Wire] = MappingProxyType({verb: wire for wire, verbs in VERBS_OF.items() for verb in verbs})
"""The wire of each verb."""

POWER_GOALS: Mapping[str, str] = MappingProxyType(
    {
        "power_off": "off",
        "power_on": "on",
        "rack_power_off": "off",
        "rack_power_on": "on",
        "soft_off": "off",
        "outlet_off": "off",
        "outlet_on": "on",
    }
)
"""The state that a power verb asks for, in the words of `Verdict.before` and `.after`."""

INTERRUPTS = frozenset({"gpu_reset", "reboot", "bmc_cold_reset"})
"""Verbs that take a machine, or what watches it, away for a while: never done to what is protected, like switching it."""

_OUTLET = re.compile(r"[0-9]{1,5}(\.[0-9]{1,5}){0,3}")


def outlet_of(arguments: Mapping[str, object]) -> str:
    """The outlet's index, checked: it becomes part of an OID. Raises `ValueError` with what to try."""
    outlet = str(arguments.get("outlet", ""))
    if not _OUTLET.fullmatch(outlet):
        raise ValueError(f"{outlet!r} is no outlet, try its number as the inventory has it, such as '1'")
    return outlet


def in_time(boottime_ns: int, not_after_boottime_ns: int) -> bool:
    """Whether enough is left of `not_after` to send now."""
    return boottime_ns + SEND_MARGIN_NS <= not_after_boottime_ns
