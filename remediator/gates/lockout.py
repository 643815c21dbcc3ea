"""A technician's lock comes first: hands may be inside."""

from remediator.facts import Facts, Proposal, Refusal


def not_locked_out(_proposal: Proposal, facts: Facts) -> Refusal | None:
    """No verb, on included, in any mode, while anything that the act could energise or cut is locked out."""
    for lockout in facts.lockouts:
        if lockout.asset in facts.scope:
            return Refusal("lockout", f"{lockout.asset} is locked out by {lockout.actor}: {lockout.reason}")
    return None
