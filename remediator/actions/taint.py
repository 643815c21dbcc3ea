"""A taint of Hallkeeper's own on a node: `hallkeeper.io/…` only, other keys are others'."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.TAINT,
        purpose="Keeps pods off a node that do not tolerate the key.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SCHEDULER, tightens=True),
        lock="{device}/{node}",
        arguments=("node", "key"),
        timeout_seconds=15,
        attempts=2,
        reversal=Verb.UNTAINT,
        fence=Fence.VERSION,
        proof="the node's own object, read after the send with the reading credential",
    ),
    Action(
        verb=Verb.UNTAINT,
        purpose="Takes that taint off again.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SCHEDULER, restores=True),
        lock="{device}/{node}",
        arguments=("node", "key"),
        timeout_seconds=15,
        attempts=2,
        reversal=Verb.TAINT,
        fence=Fence.VERSION,
        proof="the node's own object, read after the send with the reading credential",
    ),
)
