"""When much fails at once, the fault lies elsewhere: everything stands still and a person is told."""

from remediator.facts import Facts, Proposal, Refusal
from remediator.verbs import Lane


def not_frozen(proposal: Proposal, facts: Facts) -> Refusal | None:
    """A freeze stops the corrective lane, except for giving a healthy node back."""
    if proposal.lane is Lane.PROTECTIVE or proposal.restores:
        return None
    for freeze in facts.freezes:
        return Refusal("frozen", f"{freeze.code}: {freeze.text}")
    return None
