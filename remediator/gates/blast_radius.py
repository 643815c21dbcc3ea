"""Never more of one failure domain in remediation than it can bear."""

from remediator.facts import Facts, Proposal, Refusal
from remediator.verbs import ActionClass, Cause, Lane


def within_blast_radius(proposal: Proposal, facts: Facts) -> Refusal | None:
    """Every domain of the target has room, in count and in share, whichever is less."""
    if proposal.restores or not takes_place(proposal):
        return None
    for budget in facts.budgets:
        if budget.in_use >= budget.allowed:
            return Refusal("blast_radius", f"{budget.domain}: {budget.in_use} of {budget.allowed} in remediation")
    return None


def takes_place(proposal: Proposal) -> bool:
    """Whether an act takes a machine out of service and so a place in its domains; telling people and tightening do not."""
    if proposal.lane is Lane.PROTECTIVE or proposal.traits.class_ is ActionClass.A0:
        return False
    return not (proposal.cause is Cause.OVERLOAD and proposal.traits.class_ is ActionClass.A1)
