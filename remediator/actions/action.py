"""One action as data: what gates, playbooks, the course and the documentation read of it."""

from dataclasses import dataclass
from enum import StrEnum

from remediator.actions.terms import Traits, Verb

EVERY_ACT = ("lockout", "stop", "protected", "freshness", "trust", "mass_failure", "inhibition", "maintenance", "hold_down",
             "attempts", "traffic", "blast_radius")  # fmt: skip
"""Gates that ask the same of each act. Those that an action names ask something of it in particular."""


class Fence(StrEnum):
    """What makes late and repeated copies of the command harmless, and the read-back final."""

    SESSION = "ends the IPMI session it was sent in, confirmed"
    SESSION_DIES = "the BMC restarts: a new session and an age below the time since the send confirm it"
    VERSION = "none of the protocol; the request names the version or uid it was made for, any later one refuses it"
    ONCE = "none of the protocol; the agent keeps each intent and acts on it once"
    ABSOLUTE = "none; absolute, so that a copy changes nothing more"
    GUARDED = "none; sent only while the count read before it still holds, so that its effect is seen"
    NO_DEVICE = "none needed: the event's id is derived, readers drop a second one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What one verb is, how long it may take, what stands before it, what takes it back, and what proves it."""

    verb: Verb
    purpose: str
    traits: Traits
    lock: str
    """The object that is commanded, one act at a time: a template over `device` and the arguments."""
    arguments: tuple[str, ...] = ()
    """Arguments without which it cannot be sent."""
    timeout_seconds: float
    """How long after the send the proof may take (defaults to tune; a device's effect latency is the least)."""
    attempts: int = 2
    """Intents for one object in one step, at most: each passes every gate anew."""
    gates: tuple[str, ...] = ()
    """Gates that ask something of it in particular, beside `EVERY_ACT`."""
    reversal: Verb | None = None
    """What takes it back; the verb itself where another value does."""
    lasting: str = ""
    """Why there is no reversal."""
    fence: Fence
    proof: str
    """Which instrument, other than the one commanded, shows the effect, and how."""

    def locked(self, device: str, arguments: dict[str, object]) -> str:
        """The object that an intent commands: the device, or one outlet, node, pod or job of it."""
        return self.lock.format(device=device, **{name: arguments.get(name, "") for name in self.arguments})
