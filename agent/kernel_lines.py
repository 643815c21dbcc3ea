"""Kernel log lines to GPU events. Pure.

Formats: `NVRM: Xid (PCI:0000:0f:00): 79, …` from the NVIDIA driver (NVIDIA's Xid catalogue), `nvidia-nvswitch2: SXid
(PCI:0000:85:00.0): 12028, …` from the NVSwitch driver; /dev/kmsg records as in the kernel's
Documentation/ABI/testing/dev-kmsg; journal entries as `journalctl -o json` writes them.
"""

import re
from dataclasses import dataclass

import msgspec

TEXT_LIMIT = 512
"""Characters kept of a line; the kernel's own records hold at most 1 kB."""

_PCI = r"\((?:PCI:)?((?:[0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.[0-7])?)\)"
_XID = re.compile(r"NVRM: Xid " + _PCI + r": (\d{1,6})(?:,|\s|$)")
_SXID = re.compile(r"nvidia-nvswitch\d*: SXid " + _PCI + r": (\d{1,6})(?:,|\s|$)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelLine:
    """One line of the kernel's own log."""

    text: str
    mark: str
    """Where to go on after it: the record's sequence number, or the journal's cursor."""
    uptime_us: int | None = None
    """Microseconds since boot, when the source says that."""
    at_ms: int | None = None
    """Unix milliseconds, when the source says that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuError:
    """An error number that the GPU's or the switch's driver wrote."""

    kind: str
    """`xid` for a GPU, `sxid` for an NVSwitch."""
    code: str
    pci: str
    """Normalised address, `0000:0f:00`."""
    text: str


def pci_address(text: str) -> str:
    """A PCI address in the one form used here: four-digit domain, bus, device, lower case, no function."""
    parts = text.strip().lower().split(".")[0].split(":")
    domain, bus, device = parts if len(parts) == 3 else ("0", *parts) if len(parts) == 2 else ("", "", "")
    if not all(re.fullmatch(r"[0-9a-f]+", part) for part in (domain, bus, device)):
        return ""
    return f"{int(domain, 16):04x}:{int(bus, 16):02x}:{int(device, 16):02x}"


def gpu_error(line: str) -> GpuError | None:
    """The error that a line of the kernel log reports, or None."""
    for kind, pattern in (("xid", _XID), ("sxid", _SXID)):
        if found := pattern.search(line):
            start = line[found.start() :]
            return GpuError(kind=kind, code=str(int(found[2])), pci=pci_address(found[1]), text=cleaned(start))
    return None


def cleaned(text: str) -> str:
    """The text without control characters, short enough to keep."""
    return _CONTROL.sub(" ", text)[:TEXT_LIMIT].strip()


_KMSG = re.compile(rb"(\d{1,10}),(\d{1,20}),(\d{1,20}),[^;]{0,64};([^\n]*)")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


def kmsg_line(record: bytes) -> KernelLine | None:
    """One record of /dev/kmsg, or None for what is not the kernel's own (root can write there too) or not a record."""
    found = _KMSG.match(record)
    if found is None or int(found[1]) >> 3 != 0:
        return None
    text = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), found[4].decode("utf-8", "replace"))
    return KernelLine(text=text, mark=str(int(found[2])), uptime_us=int(found[3]))


class _Entry(msgspec.Struct):
    cursor: str = msgspec.field(name="__CURSOR")
    message: str | list[int] | None = msgspec.field(name="MESSAGE", default=None)
    realtime_us: str = msgspec.field(name="__REALTIME_TIMESTAMP", default="")
    transport: str = msgspec.field(name="_TRANSPORT", default="kernel")


_ENTRY = msgspec.json.Decoder(_Entry)


def journal_line(record: bytes) -> KernelLine | None:
    """One line of `journalctl -k -o json`, or None for what is no kernel entry."""
    try:
        entry = _ENTRY.decode(record)
        message = bytes(entry.message).decode("utf-8", "replace") if isinstance(entry.message, list) else entry.message
    except (msgspec.DecodeError, ValueError, UnicodeDecodeError):
        return None
    if message is None or entry.transport != "kernel":
        return None
    stamp = entry.realtime_us
    at_ms = int(stamp) // 1000 if stamp.isascii() and stamp.isdigit() and len(stamp) <= 19 else None
    return KernelLine(text=message, mark=entry.cursor[:TEXT_LIMIT], at_ms=at_ms)


FRESH_MS = 10_000


def line_time_ms(line: KernelLine, *, now_ms: int, boottime_ns: int) -> int:
    """When the line was written, in Unix milliseconds.

    The kernel stamps with a clock that drifts from wall time over weeks: a line that seems just written is given the
    present, an older one (read after a restart) the time its stamp gives.
    """
    if line.at_ms is not None:
        return min(line.at_ms, now_ms)
    if line.uptime_us is None:
        return now_ms
    age_ms = max(0, boottime_ns // 1_000_000 - line.uptime_us // 1_000)
    return now_ms if age_ms < FRESH_MS else now_ms - age_ms
