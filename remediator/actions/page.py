"""A person is told now."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.PAGE,
        purpose="Pages a person with the incident's evidence.",
        traits=Traits(class_=ActionClass.A0, plane=Plane.BUS),
        lock="{device}/page",
        arguments=("text",),
        timeout_seconds=30,
        attempts=2,
        lasting="a page is acknowledged, not taken back",
        fence=Fence.NO_DEVICE,
        proof="the bus holds the event; whoever delivers it records that it was taken",
    ),
)
