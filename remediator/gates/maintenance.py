"""Where people work by plan, automation does not."""

from remediator.facts import Facts, Proposal, Refusal


def not_in_maintenance(proposal: Proposal, facts: Facts) -> Refusal | None:
    """No act inside a maintenance window of the target or of what contains it."""
    if facts.maintenance:
        return Refusal("maintenance", f"{proposal.target} is in maintenance: {facts.maintenance[0]}")
    return None
