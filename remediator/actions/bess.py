"""A battery's set-point within its bounds; it falls back by its own timer (SunSpec model 704) if we die."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.BESS_SET_POINT,
        purpose="Sets a battery's active power for so many seconds, then it reverts.",
        traits=Traits(class_=ActionClass.A2, plane=Plane.PLANT, power=True),
        lock="{device}",
        arguments=("watts", "revert_seconds"),
        timeout_seconds=30,
        attempts=2,
        gates=("trust", "headroom", "approval"),
        reversal=Verb.BESS_RELEASE,
        fence=Fence.ABSOLUTE,
        proof="the meter at the battery's connection moves by the watts asked for, two samples after the send",
    ),
    Action(
        verb=Verb.BESS_RELEASE,
        purpose="Ends a set-point: the battery follows its own controller.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.PLANT, power=True, restores=True),
        lock="{device}",
        timeout_seconds=30,
        attempts=2,
        reversal=Verb.BESS_SET_POINT,
        fence=Fence.ABSOLUTE,
        proof="the battery's set-point reads disabled, and its meter returns",
    ),
)
