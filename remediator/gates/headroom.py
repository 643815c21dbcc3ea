"""What is switched off comes back: both must fit under every limit above."""

from remediator.facts import Facts, Headroom, Proposal, Refusal

RESERVE = 0.10
"""Share of each limit that stays free after the act and after its reversal (default to tune)."""


def has_headroom(proposal: Proposal, facts: Facts) -> Refusal | None:
    """Power at each measured ancestor, and cooling, for the act and for its reversal."""
    if not (proposal.traits.power or proposal.energises):
        return None
    if proposal.energises and facts.cooling_alerts:
        return Refusal("cooling", f"no load is added while {facts.cooling_alerts[0]} is alerting")
    for headroom in facts.headroom:
        refusal = _fits(proposal, headroom)
        if refusal is not None:
            return refusal
    return None


def _fits(proposal: Proposal, headroom: Headroom) -> Refusal | None:
    if headroom.load is None:
        if not proposal.energises:
            return None
        return Refusal("headroom_unknown", f"what {headroom.where} carries is not measured: no load is added")
    worst = headroom.load + max(headroom.after_act, headroom.after_reversal)
    ceiling = (1 - RESERVE) * headroom.limit
    if worst > ceiling and worst > headroom.load:
        return Refusal(
            "headroom", f"{headroom.where} would carry {worst:.0f} of {headroom.limit:.0f}, at most {ceiling:.0f}"
        )
    return None
