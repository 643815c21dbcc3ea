"""When remedies of a kind stop working in a domain, they stop being tried there."""

from remediator.facts import BreakerState, Facts, Proposal, Refusal


def breaker_closed(proposal: Proposal, facts: Facts) -> Refusal | None:
    """An open breaker blocks its class in its domain, except uncordon, uncap and notify; half-open lets one probe by."""
    if proposal.restores:
        return None
    for breaker in facts.breakers:
        if breaker.class_ != proposal.traits.class_ or breaker.state is BreakerState.CLOSED:
            continue
        if breaker.state is BreakerState.OPEN or breaker.probing:
            return Refusal("breaker", f"{breaker.class_.name} in {breaker.domain} is {breaker.state}: {breaker.text}")
    return None
