"""Whether outlets feed the node that the inventory says, as switching them shows; what is shown wrong is quarantined.

Watts that do not fall to zero behind an outlet that says "off", or another machine that falls silent with it, mean that the
inventory is wrong: nothing more is switched by it until a person has proven the wiring anew.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from fleet.model import AssetId
from remediator.durable import write_durably
from remediator.proof import Finding, Verdict

QUARANTINE = "quarantined-outlets.json"


class Wiring(StrEnum):
    """What a switched outlet says of the inventory."""

    RIGHT = "right"
    OPEN = "open"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """A node's outlets after they were switched off."""

    node: AssetId
    off: Mapping[AssetId, Finding]
    """By outlet: whether its own meter is proven at standby watts."""
    wanted: Collection[AssetId]
    """Every outlet of the node, on both feeds."""
    alive: bool | None
    """Whether the node's agent or BMC was heard after the last outlet went off; None while nobody has listened long enough."""
    silenced: Sequence[AssetId] = ()
    """Other nodes that fell silent in the same moment."""


def wiring_of(seen: Switched) -> tuple[Wiring, str]:
    """What is shown, and by what. The order matters: harm to another machine outweighs everything."""
    if seen.silenced:
        others = ", ".join(sorted(seen.silenced))
        return Wiring.WRONG, f"{others} fell silent with the outlets of {seen.node}"
    flowing = [outlet for outlet, finding in seen.off.items() if finding.verdict is Verdict.CONTRADICTED]
    if flowing:
        return Wiring.WRONG, f"{', '.join(sorted(flowing))}: off, and watts still flow"
    if not set(seen.wanted) <= {outlet for outlet, finding in seen.off.items() if finding.verdict is Verdict.PROVEN}:
        return Wiring.OPEN, f"not every outlet of {seen.node} is proven off yet"
    if seen.alive is None:
        return Wiring.OPEN, f"nobody has listened to {seen.node} since"
    if seen.alive:
        return Wiring.WRONG, f"{seen.node} lives although every outlet that should feed it is off"
    return Wiring.RIGHT, f"{seen.node} is silent, and every outlet of it carries nothing"


class Doubt(msgspec.Struct, frozen=True):
    """Why an outlet is not believed, and since when."""

    why: str
    at_ms: int


class Quarantine:
    """The outlets whose wiring was shown wrong: a file beside the ledger, written durably, emptied by commissioning alone."""

    def __init__(self, data: Path) -> None:
        self._path = data / QUARANTINE

    def outlets(self) -> dict[str, Doubt]:
        """Those that are not believed now. A file that cannot be read believes none: raises `OSError` or `MsgspecError`."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Doubt])
        except FileNotFoundError:
            return {}

    def add(self, outlets: Collection[AssetId], why: str, at_ms: int) -> None:
        """Believe them no more; what is known of an outlet already stays."""
        known = self.outlets()
        self._write({**{str(outlet): Doubt(why, at_ms) for outlet in outlets}, **known})

    def clear(self, outlets: Collection[str]) -> None:
        """A person has proven their wiring anew."""
        self._write({outlet: doubt for outlet, doubt in self.outlets().items() if outlet not in outlets})

    def _write(self, doubts: Mapping[str, Doubt]) -> None:
        write_durably(self._path, msgspec.json.format(msgspec.json.encode(doubts)))
