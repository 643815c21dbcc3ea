"""An outlet of a PDU. A node's outlets on both feeds are several intents of one act."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.OUTLET_OFF,
        purpose="Switches one outlet off.",
        traits=Traits(class_=ActionClass.A3, plane=Plane.PDU, power=True, cuts=True),
        lock="{device}#{outlet}",
        arguments=("outlet",),
        timeout_seconds=60,
        attempts=2,
        gates=("trust", "proof_of_death", "blast_radius", "job_impact", "breaker", "approval"),
        reversal=Verb.OUTLET_ON,
        fence=Fence.ABSOLUTE,
        proof="the outlet's own meter at standby watts, two samples after the send; with its sister off the machine's BMC and agent fall silent, else the mapping is quarantined",
    ),
    Action(
        verb=Verb.OUTLET_ON,
        purpose="Switches one outlet on.",
        traits=Traits(class_=ActionClass.A3, plane=Plane.PDU, power=True, energises=True),
        lock="{device}#{outlet}",
        arguments=("outlet",),
        timeout_seconds=60,
        attempts=2,
        gates=("trust", "headroom", "breaker", "approval"),
        reversal=Verb.OUTLET_OFF,
        fence=Fence.ABSOLUTE,
        proof="the outlet's own meter above standby watts, two samples after the send",
    ),
)
