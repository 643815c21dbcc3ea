"""Old news is no evidence: of the bus, of the clock, of the instruments."""

from remediator.facts import Evidence, Facts, Instrument, Proposal, Refusal
from remediator.verbs import Lane

POWER_CEILING_MS = 10_000
OTHER_CEILING_MS = 30_000
"""Oldest evidence and largest bus lag for power verbs and for others (design, section 5)."""
OFFSET_CEILING_MS = 1_000
"""A clock further off than this stamps no evidence (design, section 3)."""


def ceiling_ms(proposal: Proposal) -> int:
    """How old evidence and how large the bus lag may be."""
    return POWER_CEILING_MS if proposal.traits.power else OTHER_CEILING_MS


def fresh_evidence(proposal: Proposal, facts: Facts) -> tuple[Evidence, ...]:
    """The readings about the target that are young enough to be evidence; none with an unknown clock."""
    offset = facts.clock_offset_ms
    if offset is None or abs(offset) > OFFSET_CEILING_MS:
        return ()
    offset = abs(offset)
    return tuple(
        item
        for item in facts.evidence
        if item.age_ms(facts.now_ms, offset) <= item.holds_ms(offset, ceiling_ms(proposal))
    )


def is_fresh(proposal: Proposal, facts: Facts) -> Refusal | None:
    """Bus lag and clock offset are known and small, and what is known about the target is young."""
    return _lag(proposal, facts) or _clock(facts) or _readings(proposal, facts)


def _lag(proposal: Proposal, facts: Facts) -> Refusal | None:
    if proposal.lane is Lane.PROTECTIVE:
        return None  # it reads its own meters, no bus between
    if facts.bus_lag_ms is None:
        return Refusal("bus_lag_unknown", "how far behind the bus is cannot be told")
    if facts.bus_lag_ms > ceiling_ms(proposal):
        return Refusal(
            "bus_lag", f"{facts.bus_lag_ms / 1000:.1f} s behind the bus, at most {ceiling_ms(proposal) // 1000} s"
        )
    return None


def _clock(facts: Facts) -> Refusal | None:
    if facts.clock_offset_ms is None:
        return Refusal("clock_unknown", "the clock offset of the readings is not known")
    if abs(facts.clock_offset_ms) > OFFSET_CEILING_MS:
        return Refusal(
            "clock_offset", f"the readings' clock is off by {facts.clock_offset_ms / 1000:.1f} s, at most 1 s"
        )
    return None


def _readings(proposal: Proposal, facts: Facts) -> Refusal | None:
    fresh = fresh_evidence(proposal, facts)
    if not fresh:
        return Refusal("stale", f"no reading about {proposal.target} is younger than {ceiling_ms(proposal) // 1000} s")
    needed = _needed(proposal)
    if needed is not None and not any(item.instrument is needed for item in fresh):
        return Refusal(
            "stale_meter", f"no fresh {needed.replace('_', ' ')} of {proposal.target}: its effect could not be seen"
        )
    return None


def _needed(proposal: Proposal) -> Instrument | None:
    """The instrument without which the act would be blind."""
    if proposal.lane is Lane.PROTECTIVE:
        return Instrument.PHASE_METER
    return Instrument.OUTLET_METER if proposal.traits.power else None
