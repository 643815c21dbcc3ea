"""The BMC itself restarts; the machine behind it runs on."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.BMC_COLD_RESET,
        purpose="Restarts a BMC that answers but misbehaves.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.BMC, settles=True),
        lock="{device}",
        timeout_seconds=300,
        attempts=1,
        lasting="a restart has no opposite; the BMC answers again within minutes",
        fence=Fence.SESSION_DIES,
        proof="its collector hears nothing of the BMC for 25 s or more, and then two answers again",
    ),
)
