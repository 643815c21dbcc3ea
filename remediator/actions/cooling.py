"""What a cooling unit is asked for, on an allow-list with bounds and a rate; its own controller decides."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.COOLANT_SET_POINT,
        purpose="Asks a cooling unit for a supply temperature.",
        traits=Traits(class_=ActionClass.A2, plane=Plane.PLANT),
        lock="{device}",
        arguments=("celsius",),
        timeout_seconds=120,
        attempts=2,
        gates=("trust", "approval"),
        reversal=Verb.COOLANT_SET_POINT,
        fence=Fence.ABSOLUTE,
        proof="the loop's own supply sensor moves toward it, two samples after the send",
    ),
    Action(
        verb=Verb.STANDBY_PUMP,
        purpose="Asks a cooling unit to run its standby pump, or no longer.",
        traits=Traits(class_=ActionClass.A2, plane=Plane.PLANT),
        lock="{device}",
        arguments=("run",),
        timeout_seconds=30,
        attempts=2,
        gates=("trust",),
        reversal=Verb.STANDBY_PUMP,
        fence=Fence.ABSOLUTE,
        proof="the pump's speed and the loop's flow, two samples after the send",
    ),
)
