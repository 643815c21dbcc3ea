"""The gates, in their order: each a pure sentence that may only refuse. Never: a clock, a socket, a second chance."""

from collections.abc import Callable
from dataclasses import dataclass

from remediator.facts import Facts, Proposal, Refusal
from remediator.gates.approval import is_approved
from remediator.gates.attempt_budget import within_attempts
from remediator.gates.blast_radius import within_blast_radius
from remediator.gates.circuit_breaker import breaker_closed
from remediator.gates.freshness import is_fresh
from remediator.gates.headroom import has_headroom
from remediator.gates.hold_down import held_long_enough
from remediator.gates.inhibition import not_inhibited
from remediator.gates.job_impact import within_job_impact
from remediator.gates.lockout import not_locked_out
from remediator.gates.maintenance import not_in_maintenance
from remediator.gates.mass_failure import not_frozen
from remediator.gates.proof_of_death import is_dead_or_drained
from remediator.gates.protected_set import not_protected
from remediator.gates.sensor_trust import is_trusted
from remediator.gates.stop_switch import not_stopped
from remediator.gates.traffic import within_traffic
from remediator.verbs import ActionClass

Gate = Callable[[Proposal, Facts], Refusal | None]

GATES: tuple[tuple[str, Gate], ...] = (
    ("lockout", not_locked_out),
    ("stop", not_stopped),
    ("protected", not_protected),
    ("freshness", is_fresh),
    ("trust", is_trusted),
    ("proof_of_death", is_dead_or_drained),
    ("mass_failure", not_frozen),
    ("inhibition", not_inhibited),
    ("maintenance", not_in_maintenance),
    ("hold_down", held_long_enough),
    ("attempts", within_attempts),
    ("blast_radius", within_blast_radius),
    ("traffic", within_traffic),
    ("headroom", has_headroom),
    ("job_impact", within_job_impact),
    ("breaker", breaker_closed),
    ("approval", is_approved),
)
"""In the order of the design; lease, budget reservation and intent follow in one transaction of the ledger."""


@dataclass(frozen=True, slots=True)
class GateLine:
    """What one gate said, for the decision record."""

    gate: str
    passed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What all gates said; the first refusal in their order is the reason."""

    lines: tuple[GateLine, ...]
    gate: str = ""
    refusal: Refusal | None = None


TELLING = frozenset({"lockout", "stop", "attempts", "traffic"})
"""What telling people (class A0) must pass: it touches no machine, and old news is told too."""


def gates_for(proposal: Proposal) -> tuple[tuple[str, Gate], ...]:
    """The gates that an act is asked, in their order."""
    if proposal.traits.class_ is ActionClass.A0:
        return tuple((name, gate) for name, gate in GATES if name in TELLING)
    return GATES


def judge(proposal: Proposal, facts: Facts) -> Judgement:
    """Run every gate: a person who reads a refusal sees all that stands in the way."""
    said = [(name, gate(proposal, facts)) for name, gate in gates_for(proposal)]
    lines = tuple(GateLine(name, refusal is None, "" if refusal is None else refusal.text) for name, refusal in said)
    for name, refusal in said:
        if refusal is not None:
            return Judgement(lines, name, refusal)
    return Judgement(lines)
