"""The stop switch halts a lane before anything else is asked."""

from remediator.facts import Facts, Proposal, Refusal, Stop
from remediator.verbs import Lane


def not_stopped(proposal: Proposal, facts: Facts) -> Refusal | None:
    """`stop` halts the corrective lane, `stop --all` the protective one too, and nothing new is sent."""
    halts = Stop.CORRECTIVE if proposal.lane is Lane.CORRECTIVE else Stop.ALL
    if facts.stop >= halts:
        return Refusal("stopped", f"the {proposal.lane} lane is stopped; it goes on after: hallkeeper resume")
    return None
