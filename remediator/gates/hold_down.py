"""Not too early, not too soon again, and never two hands on one asset."""

from remediator.facts import Facts, Proposal, Refusal


def held_long_enough(proposal: Proposal, facts: Facts) -> Refusal | None:
    """The alert has stood its hold-down, the last remedy its cool-down, and no other act's effect is still open."""
    history = facts.history
    if history.window_left_seconds > 0:
        return Refusal(
            "effect_open",
            f"an earlier act on {proposal.target} may still take effect for {history.window_left_seconds:.0f} s",
        )
    if history.active_seconds < history.hold_down_seconds:
        return Refusal(
            "hold_down", f"firing for {history.active_seconds:.0f} s, held for {history.hold_down_seconds:.0f} s"
        )
    if history.cool_down_left_seconds > 0 and not proposal.restores:
        return Refusal(
            "cool_down",
            f"{proposal.target} was treated a short while ago, {history.cool_down_left_seconds:.0f} s to go",
        )
    return None
