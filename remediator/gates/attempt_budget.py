"""What did not help a few times will not help the next time: a person looks."""

from remediator.facts import Facts, Proposal, Refusal
from remediator.verbs import ActionClass, Lane


def within_attempts(proposal: Proposal, facts: Facts) -> Refusal | None:
    """Tries of one step, power cycles of a day and remediations of a week are counted across restarts."""
    history = facts.history
    if history.tries >= history.tries_allowed:
        return Refusal("tries", f"step {proposal.step} was tried {history.tries} times")
    if proposal.lane is Lane.PROTECTIVE or proposal.restores:
        return None
    cycles = proposal.traits.class_ >= ActionClass.A3 and not proposal.energises
    if cycles and history.cycles_day >= history.cycles_allowed:
        return Refusal("cycles_per_day", f"{proposal.target} was cycled {history.cycles_day} times in 24 h")
    if history.remediations_week > history.remediations_allowed:
        return Refusal("lemon", f"{proposal.target} was treated {history.remediations_week} times in 7 days")
    return None
