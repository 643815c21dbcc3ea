"""DCMI's power limit: what a BMC keeps a machine's draw below. Pure.

Source: DCMI v1.5, sections 6.6.2 to 6.6.4 (Get Power Limit, Set Power Limit, Activate/Deactivate Power Limit). The limit's
value and its activation are two commands; setting a value changes nothing while it is inactive.
"""

import struct
from dataclasses import dataclass

from devices.wire.rmcp_commands import DCMI_GROUP, GROUP, Command, accepted, need
from devices.wire.rmcp_packet import Answer
from fleet.errors import Malformed

GET_POWER_LIMIT: Command = (GROUP, 0x03)
SET_POWER_LIMIT: Command = (GROUP, 0x04)
ACTIVATE_POWER_LIMIT: Command = (GROUP, 0x05)

GET_REQUEST = bytes((DCMI_GROUP, 0x00, 0x00))
NO_LIMIT_ACTIVE = 0x80
"""Completion code of Get Power Limit: none is active; the values follow all the same."""
MOST_WATTS = 0xFFFF
_LIMIT = struct.Struct("<B2xBHI2xH")
"""Group, exception action, watts, correction time in ms, sampling period in s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLimit:
    """What the BMC holds the machine to."""

    active: bool
    watts: int
    correction_ms: int
    """Within which the draw comes down, or the exception action is taken."""
    exception: int
    """0 nothing, 1 hard power off, 2 to 16 the vendor's own, 17 only logs."""
    sampling_s: int


def decode_power_limit(answer: Answer) -> PowerLimit:
    """The limit, active or not. Raises `Refused` and `Malformed`."""
    data = answer.data if answer.code == NO_LIMIT_ACTIVE else accepted(answer)
    need(data, _LIMIT.size, "DCMI power limit")
    group, exception, watts, correction_ms, sampling_s = _LIMIT.unpack_from(data)
    if group != DCMI_GROUP:
        raise Malformed(f"DCMI power limit of group 0x{group:02x}, not 0xdc")
    return PowerLimit(
        active=answer.code == 0,
        watts=watts,
        correction_ms=correction_ms,
        exception=exception,
        sampling_s=sampling_s,
    )


def set_request(watts: int, held: PowerLimit) -> bytes:
    """Another value, correction and sampling kept; what happens when it cannot be kept is only logged, never a power off."""
    log_only = 0x11
    return struct.pack(
        "<B3xBHI2xH", DCMI_GROUP, log_only, watts, max(held.correction_ms, 1_000), max(held.sampling_s, 1)
    )


def activate_request(active: bool) -> bytes:
    return bytes((DCMI_GROUP, 0x01 if active else 0x00, 0x00, 0x00))
