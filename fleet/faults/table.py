"""One fault, and the answer that it asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What a fault asks for; the words are ours, the assignment is the source's."""

    NONE = "none"
    RESTART_APPLICATION = "restart_application"
    RESET_GPU = "reset_gpu"
    RESET_FABRIC = "reset_fabric"
    """All GPUs of the node, and its fabric manager."""
    DRAIN_PEERS = "drain_peers"
    """No new traffic between GPUs; the jobs on them may end."""
    DRAIN_AND_RESET = "drain_and_reset"
    REBOOT_NODE = "reboot_node"
    RESTART_MACHINE = "restart_machine"
    RUN_DIAGNOSIS = "run_diagnosis"
    CHECK_MECHANICS = "check_mechanics"
    CHECK_THERMALS = "check_thermals"
    CHECK_LINK = "check_link"
    CHECK_FABRIC_MANAGER = "check_fabric_manager"
    UPDATE_SOFTWARE = "update_software"
    REPORT = "report"
    FOLLOW_MEMORY = "follow_memory"
    """Reset; with a row remapping beside it, drain first."""
    FOLLOW_NVLINK = "follow_nvlink"
    """By link and registers: reset all GPUs, or the maker."""
    FOLLOW_CAUSE = "follow_cause"
    """By the fault that came before it; alone it is the application's."""
    FOLLOW_NAMED = "follow_named"
    """What the driver itself named."""


class Checker(StrEnum):
    """Public health checkers whose verdicts are noted."""

    EKS = "eks"
    AZURE = "azure"
    IMBUE = "imbue"
    GCM = "gcm"


class Verdict(StrEnum):
    """What a checker makes of a code."""

    FAULT = "fault"
    HARMLESS = "harmless"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What one error number means."""

    code: int
    meaning: str
    action: Action
    fatal: bool
    """The GPU or the switch cannot go on without the action."""
    verdicts: Mapping[Checker, Verdict]
    note: str = ""

    @property
    def disputed(self) -> bool:
        """A checker says otherwise than the source of the action."""
        ours = Verdict.FAULT if self.fatal else Verdict.HARMLESS
        return any(verdict is not ours for verdict in self.verdicts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """All tables."""

    xid: Mapping[int, Fault]
    """By XID; codes that are not in it ask for a report."""
    sxid: Mapping[int, Fault]
    """By SXID; codes that are not in it are harmless."""
    dcgm: Mapping[str, Action]
    """By name of the result, without DCGM_FR_."""
    recovery: Mapping[int, tuple[str, Action]]
    """By value of the driver's recovery action: its name here, and what it asks for."""

    def codes(self, kind: str, *actions: Action) -> frozenset[int]:
        """The codes of a kind (`xid`, `sxid`) that ask for one of these actions."""
        table = self.xid if kind == "xid" else self.sxid
        return frozenset(code for code, fault in table.items() if fault.action in actions)

    @property
    def fatal_xids(self) -> frozenset[int]:
        """XIDs after which the GPU cannot go on by itself."""
        return frozenset(code for code, fault in self.xid.items() if fault.fatal)


def answer(faults: Faults, xid: int, *, named: str | None = None) -> Action:
    """What an XID asks for; the recovery action that the driver named (`reset`, `reboot`, …) overrides the table.

    A driver that names no action (`none`) takes nothing back: the table holds.
    """
    for name, action in faults.recovery.values():
        if name == named and action is not Action.NONE:
            return action
    fault = faults.xid.get(xid)
    return Action.REPORT if fault is None else fault.action
