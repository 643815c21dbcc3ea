"""What a BMC carries out beyond switching: a graceful end of its host, its own restart, DCMI's power limit (v1.5, section 6.6)."""

import struct
from typing import TYPE_CHECKING

from simulator.hosts import limit_node, restart_bmc, soft_off
from simulator.ipmi.sessions import PRIVILEGE_OPERATOR, Session

if TYPE_CHECKING:
    from simulator.ipmi.commands import Bmc

OK, WRONG_LENGTH, INVALID_FIELD, PRIVILEGE, NO_LIMIT = 0x00, 0xC7, 0xCC, 0xD4, 0x80
DCMI = 0xDC
LIMIT = struct.Struct("<B2xBHI2xH")
"""Group, exception action, watts, correction time in ms, sampling in s."""
LEAST_WATTS, MOST_WATTS = 2_500, 10_200
"""Idle with room for fans, and the data sheet's maximum."""
ONLY_LOG = 0x11
Answer = tuple[int, bytes]


def shut_down(bmc: "Bmc") -> Answer:
    """Chassis control 5: the ACPI button."""
    bmc.seen("soft_shutdown", {}, True, True)
    soft_off(bmc.plant, bmc.node)
    return OK, b""


def cold_reset(bmc: "Bmc", data: bytes, session: Session) -> Answer:
    """The BMC starts anew and forgets every session."""
    if session.privilege < PRIVILEGE_OPERATOR or data:
        return _refused(bmc, "cold_reset", PRIVILEGE if not data else WRONG_LENGTH)
    bmc.seen("cold_reset", {}, True, True)
    restart_bmc(bmc.plant, bmc.node)
    bmc.forget()
    return OK, b""


def get_limit(bmc: "Bmc", data: bytes, _: Session) -> Answer:
    """The limit's values, with 0x80 while it is not active."""
    if len(data) != 3 or data[0] != DCMI:
        return INVALID_FIELD, b""
    body = LIMIT.pack(DCMI, ONLY_LOG, bmc.limit_watts, bmc.limit_correction_ms, 1)
    return (OK if bmc.limit_active else NO_LIMIT), body


def set_limit(bmc: "Bmc", data: bytes, session: Session) -> Answer:
    """Another value; in force at once where the limit is active."""
    if session.privilege < PRIVILEGE_OPERATOR or len(data) != 15 or data[0] != DCMI:
        return _refused(bmc, "set_power_limit", PRIVILEGE if len(data) == 15 else WRONG_LENGTH)
    action, watts, correction = data[4], int.from_bytes(data[5:7], "little"), int.from_bytes(data[7:11], "little")
    if action != ONLY_LOG or not LEAST_WATTS <= watts <= MOST_WATTS:
        return _refused(bmc, "set_power_limit", 0x84 if action == ONLY_LOG else INVALID_FIELD)
    bmc.seen("set_power_limit", {"watts": watts}, True, True)
    bmc.limit_watts, bmc.limit_correction_ms = watts, correction
    _enforce(bmc)
    return OK, bytes((DCMI,))


def activate_limit(bmc: "Bmc", data: bytes, session: Session) -> Answer:
    """Put the limit in force, or lift it."""
    if session.privilege < PRIVILEGE_OPERATOR or len(data) != 4 or data[0] != DCMI or data[1] > 1:
        return _refused(bmc, "activate_power_limit", PRIVILEGE if len(data) == 4 else WRONG_LENGTH)
    bmc.seen("activate_power_limit", {"active": bool(data[1])}, True, True)
    bmc.limit_active = bool(data[1])
    _enforce(bmc)
    return OK, bytes((DCMI,))


def _enforce(bmc: "Bmc") -> None:
    limit_node(bmc.plant, bmc.node, float(bmc.limit_watts) if bmc.limit_active else None)


def _refused(bmc: "Bmc", verb: str, code: int) -> Answer:
    bmc.seen(verb, {"completion": code}, False, False)
    return code, b""
