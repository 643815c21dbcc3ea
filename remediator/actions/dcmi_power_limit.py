"""A machine's power limit kept by its BMC (DCMI): the value and its activation are two acts."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.DCMI_POWER_LIMIT,
        purpose="Sets the watts that a machine may draw; it counts once active.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.BMC, tightens=True),
        lock="{device}",
        arguments=("watts",),
        timeout_seconds=15,
        attempts=2,
        reversal=Verb.DCMI_POWER_LIMIT,
        fence=Fence.SESSION,
        proof="the PDU's outlets: the sum at most the limit, two samples after the send, once the limit is active",
    ),
    Action(
        verb=Verb.DCMI_LIMIT_ON,
        purpose="Activates the limit that was set.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.BMC, tightens=True),
        lock="{device}",
        timeout_seconds=15,
        attempts=2,
        reversal=Verb.DCMI_LIMIT_OFF,
        fence=Fence.SESSION,
        proof="the PDU's outlets: the sum at most the limit, two samples after the send",
    ),
    Action(
        verb=Verb.DCMI_LIMIT_OFF,
        purpose="Deactivates the limit.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.BMC, energises=True),
        lock="{device}",
        timeout_seconds=15,
        attempts=2,
        gates=("headroom",),
        reversal=Verb.DCMI_LIMIT_ON,
        fence=Fence.SESSION,
        proof="the BMC's own limit reads inactive; the outlets stay within every ancestor's limit",
    ),
)
