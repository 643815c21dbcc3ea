"""A whole rack by its BMCs: one intent a machine, staggered, and only with two persons' word."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.RACK_POWER_OFF,
        purpose="Switches one machine off as part of its whole rack.",
        traits=Traits(class_=ActionClass.A4, plane=Plane.BMC, power=True, cuts=True),
        lock="{device}",
        timeout_seconds=30,
        attempts=2,
        gates=("trust", "proof_of_death", "blast_radius", "job_impact", "breaker", "approval"),
        reversal=Verb.RACK_POWER_ON,
        fence=Fence.SESSION,
        proof="the PDU's outlets: every outlet of the node at standby watts, two samples measured after the send",
    ),
    Action(
        verb=Verb.RACK_POWER_ON,
        purpose="Switches one machine on as part of its whole rack, inrush-limited.",
        traits=Traits(class_=ActionClass.A4, plane=Plane.BMC, power=True, energises=True),
        lock="{device}",
        timeout_seconds=40,
        attempts=2,
        gates=("trust", "headroom", "breaker", "approval"),
        reversal=Verb.RACK_POWER_OFF,
        fence=Fence.SESSION,
        proof="the PDU's outlets: at least half the idle watts in sum, two samples measured after the send",
    ),
)
