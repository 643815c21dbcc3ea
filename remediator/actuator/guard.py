"""Whether an intent may go to its device at all: a chain of pure refusals, asked again for every intent."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from devices.orders import in_time
from fleet.model import Site
from remediator.actuator.scope import protected_in, reach
from remediator.actuator_client import IntentMessage
from remediator.facts import Lockout, Stop
from remediator.switches import locks
from remediator.verbs import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What holds right before an act."""

    lane: Lane
    highest_epoch: int
    stop: Stop
    lockouts: Sequence[Lockout]
    boottime_ns: int
    doubted: Collection[str] = ()
    """Outlets whose wiring was shown wrong."""


def refusal(message: IntentMessage, site: Site, now: Situation) -> str | None:
    """Why the intent must not be carried out, or None. Raises `Refused` and `UnknownAsset` for one that makes no sense."""
    return _too_late(message, now) or _stopped(now) or _forbidden(message, site, now)


def _too_late(message: IntentMessage, now: Situation) -> str | None:
    if message.epoch < now.highest_epoch:
        return f"epoch {message.epoch} is over, {now.highest_epoch} leads now"
    if not in_time(now.boottime_ns, message.not_after_boottime_ns):
        return "its time was over, try again as a new intent"
    return None


def _stopped(now: Situation) -> str | None:
    if now.stop is Stop.ALL or (now.stop is Stop.CORRECTIVE and now.lane is Lane.CORRECTIVE):
        return f"the stop switch is thrown ({now.stop.name.lower()}), try resume once it is safe"
    return None


def _forbidden(message: IntentMessage, site: Site, now: Situation) -> str | None:
    held = locks(now.lockouts, reach(message, site))
    if held:
        return f"{held[0].asset} is locked out by {held[0].actor}: {held[0].reason}"
    outlet = f"{message.asset}#{message.arguments.get('outlet')}"
    if message.verb == "outlet_off" and outlet in now.doubted:
        return f"{outlet} does not feed what the inventory says: its wiring must be proven anew first"
    protected = protected_in(message, site)
    if protected is not None:
        return f"{protected} is protected and never switched"
    return None
