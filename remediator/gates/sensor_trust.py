"""Only good readings are evidence, and switching needs two kinds of them."""

from remediator.facts import Facts, Proposal, Refusal
from remediator.gates.freshness import fresh_evidence
from remediator.verbs import ActionClass

KINDS_FROM_A3 = 2


def is_trusted(proposal: Proposal, facts: Facts) -> Refusal | None:
    """At least one good fresh reading; from class A3 two kinds of instrument, which share no fate."""
    kinds = {item.instrument for item in fresh_evidence(proposal, facts) if item.good}
    if not kinds:
        return Refusal("untrusted", f"no fresh reading about {proposal.target} is of good quality")
    if proposal.traits.class_ >= ActionClass.A3 and len(kinds) < KINDS_FROM_A3:
        return Refusal(
            "one_kind", f"only {', '.join(sorted(kinds))} speaks about {proposal.target}; switching needs two kinds"
        )
    return None
