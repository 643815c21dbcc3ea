"""Where a person must agree, a person has agreed: to this plan, and lately."""

from remediator.facts import Facts, Proposal, Refusal
from remediator.gates.job_impact import valid_approvals
from remediator.verbs import ActionClass, Lane, Mode


def is_approved(proposal: Proposal, facts: Facts) -> Refusal | None:
    """Mode approve needs a yes; the protective lane switches only under a pre-armed policy or with two persons."""
    given = valid_approvals(facts)
    if proposal.lane is Lane.PROTECTIVE and proposal.traits.class_ >= ActionClass.A3:
        if proposal.restores or facts.policy_armed or len(given) >= 2:
            return None
        return Refusal("policy", "switching off needs a pre-armed policy or two persons", ask=True)
    needed = _needed(proposal, facts)
    if len(given) < needed:
        return Refusal("approval", f"{len(given)} of {needed} approvals", ask=True)
    return None


def _needed(proposal: Proposal, facts: Facts) -> int:
    if proposal.traits.class_ >= ActionClass.A4:
        return 2
    if proposal.asks or proposal.mode is Mode.APPROVE:
        return max(1, facts.approvals_needed)
    return 0
