"""A leak's isolation is asked of the building's own system; no valve is ever moved from here."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.ISOLATION_REQUEST,
        purpose="Asks the building management system to isolate a rack or loop.",
        traits=Traits(class_=ActionClass.A0, plane=Plane.BUS),
        lock="{device}/isolation",
        arguments=("what",),
        timeout_seconds=30,
        attempts=2,
        lasting="the building's operators take it back",
        fence=Fence.NO_DEVICE,
        proof="the bus holds the event; flow and pressure show what the operators did",
    ),
)
