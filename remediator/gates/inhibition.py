"""The cause is treated, not its symptoms."""

from remediator.facts import Facts, Proposal, Refusal


def not_inhibited(proposal: Proposal, facts: Facts) -> Refusal | None:
    """A child of another incident has no remedy of its own."""
    if facts.inhibited_by is not None and not proposal.restores:
        return Refusal("inhibited", f"{proposal.target} suffers from another fault: {facts.inhibited_by}")
    return None
