"""A machine's power by its BMC: off and on are two acts, and a cycle is off, proof, on, proof."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.POWER_OFF,
        purpose="Switches a machine off at once by its BMC.",
        traits=Traits(class_=ActionClass.A3, plane=Plane.BMC, power=True, cuts=True),
        lock="{device}",
        timeout_seconds=30,
        attempts=2,
        gates=("trust", "proof_of_death", "blast_radius", "job_impact", "breaker", "approval"),
        reversal=Verb.POWER_ON,
        fence=Fence.SESSION,
        proof="the PDU's outlets: every outlet of the node at standby watts, two samples measured after the send",
    ),
    Action(
        verb=Verb.POWER_ON,
        purpose="Switches a machine on by its BMC.",
        traits=Traits(class_=ActionClass.A3, plane=Plane.BMC, power=True, energises=True),
        lock="{device}",
        timeout_seconds=40,
        attempts=2,
        gates=("trust", "headroom", "breaker", "approval"),
        reversal=Verb.POWER_OFF,
        fence=Fence.SESSION,
        proof="the PDU's outlets: at least half the idle watts in sum, two samples measured after the send",
    ),
)
