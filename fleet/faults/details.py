"""What the text of a GPU error says beyond its number: where it happened, and how grave it is. Pure.

XID 74 names its link and seven registers, `… NVLink: fatal error detected on link 6(0x10000, 0x0, …)`; some bits go to the
maker at once, others count per link (NVSentinel's rules for XID 74). XID 13 names the place in the GPU, `(GPC 1, TPC 0, SM
1)`. XID 154 names the driver's recovery action. SXIDs name their link, `… Non-fatal, Link 61 …`. A BMC's event log tells the
end of a condition under the same code as its beginning: such a record's text ends in `, over`, and it is graded so.
"""

import re
from collections.abc import Mapping
from typing import Final

_LINK_AND_REGISTERS: Final = re.compile(r"\blink (\d{1,3})\s{0,2}\(((?:0x[0-9a-fA-F]{1,8}(?:,\s{0,2})?){5,7})\)")
_LINK: Final = re.compile(r"\b[Ll]ink (\d{1,3})\b")
_PLACE: Final = re.compile(r"\(GPC (\d{1,2}), TPC (\d{1,2})")
_RECOVERY: Final = re.compile(
    r"recovery action changed from 0x[0-9a-fA-F]{1,4} \([^)]{0,60}\) to 0x([0-9a-fA-F]{1,4})\b"
)
NVLINK_MAKER_BITS: Final[Mapping[int, int]] = {0: 1 << 1 | 1 << 20 | 1 << 21 | 1 << 22, 2: 1 << 13, 3: ~0, 4: ~0}
"""Registers of XID 74 by their number: bits that one event is enough for (any bit of the fourth and fifth)."""
OVER: Final = ", over"
RECOVERIES: Final[Mapping[int, str]] = {0: "none", 1: "reset", 2: "reboot", 3: "drain_peers", 4: "drain_and_reset"}
"""The names of `recovery.csv`, for series."""


def details(kind: str, code: str, text: str) -> dict[str, str]:
    """Labels `place` and `grade` of an event, as far as its text has them; every value is one of a few."""
    if kind == "sxid":
        return _labels("link", _LINK.search(text))
    if kind == "sel":
        return {"grade": "over"} if text.endswith(OVER) else {}
    match code if kind == "xid" else "":
        case "13":
            found = _PLACE.search(text)
            return {"place": f"gpc {int(found[1])} tpc {int(found[2])}"} if found else {}
        case "74":
            return _nvlink(text)
        case "154":
            named = named_action(text)
            return {"grade": named} if named else {}
        case _:
            return {}


def named_action(text: str) -> str | None:
    """The recovery action that an XID 154 names: `none`, `reset`, `reboot`, `drain_peers`, `drain_and_reset`."""
    found = _RECOVERY.search(text)
    return None if found is None else RECOVERIES.get(int(found[1], 16), "unknown")


def _nvlink(text: str) -> dict[str, str]:
    found = _LINK_AND_REGISTERS.search(text)
    if found is None:
        return _labels("link", _LINK.search(text))
    registers = [int(each, 16) for each in found[2].split(",")]
    at_once = any(registers[number] & bits for number, bits in NVLINK_MAKER_BITS.items())
    return {"place": f"link {int(found[1])}", "grade": "maker" if at_once else "count"}


def _labels(what: str, found: re.Match[str] | None) -> dict[str, str]:
    return {} if found is None else {"place": f"{what} {int(found[1])}"}
