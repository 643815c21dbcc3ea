"""What must never be touched: control plane, storage, fabric, coolant and battery controllers, Hallkeeper itself."""

from remediator.facts import Facts, Proposal, Refusal
from remediator.verbs import Plane


def not_protected(proposal: Proposal, facts: Facts) -> Refusal | None:
    """A protected asset is never a target, nor the device that is commanded; asking its scheduler is not touching it."""
    touched = {proposal.target}
    if proposal.traits.plane is not Plane.SCHEDULER:
        touched.add(proposal.device)
    for asset in sorted(touched & facts.protected):
        return Refusal("protected", f"{asset} is in the protected set: a person acts there, never automation")
    return None
