"""Work for a person, with the evidence."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.TICKET,
        purpose="Opens a ticket with the incident's evidence.",
        traits=Traits(class_=ActionClass.A0, plane=Plane.BUS),
        lock="{device}/ticket",
        arguments=("text",),
        timeout_seconds=30,
        attempts=2,
        lasting="a ticket is closed by its owner",
        fence=Fence.NO_DEVICE,
        proof="the bus holds the event; whoever delivers it records that it was taken",
    ),
)
