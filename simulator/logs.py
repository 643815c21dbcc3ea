"""What a node writes about itself: the kernel's log, and its BMC's event log."""

from dataclasses import dataclass

from simulator.identity import pci_bus_id

WATCHDOG2, TIMER_EXPIRED = 0x23, 0x00
"""Sensor type Watchdog 2, offset 0: timer expired, status only."""
WATCHDOG_SENSOR = 0x60


@dataclass(frozen=True, slots=True)
class SelRecord:
    """One record of a BMC's event log, before encoding."""

    at_seconds: float
    sensor_type: int
    offset: int
    sensor_number: int


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """One event that the node's kernel logged and its agent hands out."""

    at_seconds: float
    kind: str
    code: str
    gpu: int
    text: str


def watchdog_record(at_seconds: float) -> SelRecord:
    """The BMC's watchdog was not fed in time."""
    return SelRecord(at_seconds, WATCHDOG2, TIMER_EXPIRED, WATCHDOG_SENSOR)


def xid_event(at_seconds: float, gpu: int, code: int, text: str) -> NodeEvent:
    """The driver's line about an error of a GPU."""
    line = f"NVRM: Xid (PCI:{pci_bus_id(gpu)[4:-2].lower()}): {code}, {text}"
    return NodeEvent(at_seconds, "xid", str(code), gpu, line)


def sxid_event(at_seconds: float, code: int, *, fatal: bool) -> NodeEvent:
    """The driver's line about an error of an NVSwitch: of the node, not of one GPU."""
    grade = "Fatal" if fatal else "Non-fatal"
    line = f"nvidia-nvswitch0: SXid (PCI:0000:85:00.0): {code}, {grade}, Link 61"
    return NodeEvent(at_seconds, "sxid", str(code), 0, line)
