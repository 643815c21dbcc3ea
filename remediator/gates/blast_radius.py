"""Never more of one failure domain in remediation than it can bear."""

from remediator.facts import Facts, Proposal, Refusal
from remediator.verbs import Lane


def within_blast_radius(proposal: Proposal, facts: Facts) -> Refusal | None:
    """Every domain of the target has room, in count and in share, whichever is less."""
    if proposal.lane is Lane.PROTECTIVE or proposal.restores:
        return None
    for budget in facts.budgets:
        if budget.in_use >= budget.allowed:
            return Refusal("blast_radius", f"{budget.domain}: {budget.in_use} of {budget.allowed} in remediation")
    return None
