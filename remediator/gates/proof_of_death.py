"""Silence is not death: a silent node is proven dead, a living one is drained, before anything is taken from it."""

from remediator.facts import Facts, Proposal, Refusal
from remediator.verbs import TRAITS, Cause, Verb
from remediator.vitals import Outlet, Vitals

USUAL_SHARE = 0.6
"""Above 60 % of its usual draw an outlet feeds a working machine (design, section 5)."""
IDLE_MARGIN = 1.1
"""A hung host draws its idle watts within the meter's error and the fans' (default to tune)."""

CUTS = frozenset(verb for verb, traits in TRAITS.items() if traits.cuts)
TAKES_PODS = frozenset({Verb.DELETE_POD, Verb.TAINT_OUT_OF_SERVICE})
"""Each makes a second writer if the node still lives."""


def is_dead_or_drained(proposal: Proposal, facts: Facts) -> Refusal | None:
    """Power off and forced deletion need a dead node; a node that reports a fault itself must be drained instead."""
    if proposal.verb in TAKES_PODS:
        if facts.vitals.outlets_off:
            return None
        if proposal.cause is Cause.SILENCE:
            return proven_dead(proposal, facts.vitals)
        return Refusal(
            "not_off", f"{proposal.target} is not proven off: its outlets still carry power or are not measured"
        )
    if proposal.verb is Verb.CORDON and proposal.cause is Cause.SILENCE:
        return lives(proposal, facts.vitals)
    if proposal.verb in CUTS:
        return _may_be_cut(proposal, facts)
    return None


def _may_be_cut(proposal: Proposal, facts: Facts) -> Refusal | None:
    match proposal.cause:
        case Cause.SILENCE:
            return proven_dead(proposal, facts.vitals)
        case Cause.REPORTED_FAULT:
            return _drained(proposal, facts)
        case Cause.OVERLOAD:
            off = facts.vitals.bmc_on is False and facts.vitals.outlets_off
            return None if off else Refusal("running_host", f"{proposal.target} is not proven off: its outlets stay on")


def proven_dead(proposal: Proposal, vitals: Vitals) -> Refusal | None:
    """In-band silent, one independent plane agrees, and no plane shows life."""
    node = proposal.target
    alive = lives(proposal, vitals)
    if alive is not None:
        return alive
    if vitals.silent_seconds is None:
        return Refusal("never_seen", f"{node} was never seen alive: its silence says nothing")
    if not agreeing(vitals):
        return Refusal("no_plane_agrees", f"no independent plane confirms that {node} is dead")
    return None


def lives(proposal: Proposal, vitals: Vitals) -> Refusal | None:
    """Whether a plane shows life: enough to leave the node alone altogether."""
    node = proposal.target
    if vitals.alive_in_band:
        return Refusal("alive_in_band", f"{node} lives: {', '.join(vitals.alive_in_band)}")
    if drawing(vitals) and vitals.fabric in {"active", "counting"}:
        return Refusal(
            "alive_behind_partition",
            f"{node} draws its usual power and its fabric port is {vitals.fabric}: cut off from us, not dead",
        )
    return None


def drawing(vitals: Vitals) -> bool:
    """Whether an outlet carries more than 60 % of what it usually does."""
    return any(_working(outlet, vitals) for outlet in vitals.outlets)


def _working(outlet: Outlet, vitals: Vitals) -> bool:
    usual = vitals.idle_share_watts if outlet.usual_watts is None else outlet.usual_watts
    floor = vitals.off_watts_per_outlet
    return outlet.watts is not None and outlet.watts > max(USUAL_SHARE * usual, floor)


def agreeing(vitals: Vitals) -> tuple[str, ...]:
    """The independent planes that say that the machine does not work."""
    said: list[str] = []
    if vitals.bmc_on is False and not drawing(vitals):
        said.append("the BMC says off")
    if vitals.stop_events:
        said.append(f"the SEL says {', '.join(vitals.stop_events)}")
    if _idle(vitals):
        said.append("its outlets draw no more than an idle machine")
    if vitals.fabric == "down":
        said.append("its fabric port is down")
    return tuple(said)


def _idle(vitals: Vitals) -> bool:
    limit = IDLE_MARGIN * vitals.idle_share_watts
    return bool(vitals.outlets) and all(outlet.watts is not None and outlet.watts <= limit for outlet in vitals.outlets)


def _drained(proposal: Proposal, facts: Facts) -> Refusal | None:
    drain = facts.drain
    if drain.workload_pods == 0 or drain.acknowledged or drain.deadline_passed:
        return None
    if drain.workload_pods is None:
        return Refusal("drain_unknown", f"what still runs on {proposal.target} cannot be read")
    return Refusal(
        "not_drained", f"{drain.workload_pods} pods still run on {proposal.target}, and no job has acknowledged"
    )
