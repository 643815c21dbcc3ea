"""What the protective lane took and has not given back: caps, suspensions, outlets, cordons. Pure over the ledger's memory.

Several PDUs may hold the same thing; of two caps the lower counts, and only who holds it last gives it back.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from fleet.model import AssetId
from remediator.verbs import Verb

PREFIX = "held/"


class Thing(StrEnum):
    """Kinds of what can be held."""

    CAP = "cap"
    CORDON = "cordon"
    JOB = "job"
    OUTLET = "outlet"


RELEASES: Mapping[Thing, Verb] = {
    Thing.CAP: Verb.GPU_POWER_LIMIT,
    Thing.CORDON: Verb.UNCORDON,
    Thing.JOB: Verb.RESUME_JOB,
    Thing.OUTLET: Verb.OUTLET_ON,
}
TAKES: Mapping[Verb, Thing] = {
    Verb.GPU_POWER_LIMIT: Thing.CAP,
    Verb.CORDON: Thing.CORDON,
    Verb.SUSPEND_JOB: Thing.JOB,
    Verb.OUTLET_OFF: Thing.OUTLET,
}


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is held."""

    thing: Thing
    name: str
    """The node, `namespace/job`, or outlet id."""
    by: dict[str, float]
    """PDU to the limit it needs in watts a GPU (0 for what is not a cap)."""
    before: float = 0.0
    """The limit in watts a GPU that it is given back to."""
    order: int = 0
    """When it was taken, as a rank: what was taken last is given back first."""
    node: str = ""
    """A node that it lies on, for its place in the plant."""
    group: str = ""
    """What is given back together: the job of a cap."""

    @property
    def key(self) -> str:
        """Its name in the ledger's memory."""
        return f"{PREFIX}{self.thing.value}/{self.name}"

    @property
    def in_force(self) -> float:
        """The lowest limit that anybody needs."""
        return min(self.by.values(), default=self.before)

    def taken(self, pdu: AssetId, watts: float) -> "Held":
        """Held by one more, or deeper."""
        return msgspec.structs.replace(self, by={**self.by, str(pdu): min(watts, self.by.get(str(pdu), watts))})

    def let_go(self, pdu: AssetId) -> "Held | None":
        """No longer needed by that PDU; None where nobody is left."""
        left = {name: watts for name, watts in self.by.items() if name != pdu}
        return msgspec.structs.replace(self, by=left) if left else None


def held_of(memory: Mapping[str, object]) -> dict[str, Held]:
    """All that is held, by key, in the order in which it was taken."""
    found = [msgspec.convert(value, Held) for name, value in memory.items() if name.startswith(PREFIX)]
    return {held.key: held for held in sorted(found, key=lambda held: (held.order, held.key))}


def next_release(held: Mapping[str, Held], pdu: AssetId) -> tuple[Held, ...]:
    """What a PDU gives back next: what it took last, with all of its group; cordons at the very end."""
    mine = [one for one in held.values() if str(pdu) in one.by]
    if not mine:
        return ()
    rest = [one for one in mine if one.thing is not Thing.CORDON] or mine
    last = max(rest, key=lambda one: one.order)
    return tuple(one for one in rest if (one.thing, one.group) == (last.thing, last.group))
