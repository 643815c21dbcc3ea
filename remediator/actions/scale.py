"""How many replicas a deployment has: consumer groups of data loaders follow their queue within bounds."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.SCALE,
        purpose="Sets a deployment's or stateful set's replicas.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SCHEDULER),
        lock="{device}/{namespace}/{name}",
        arguments=("namespace", "kind", "name", "replicas"),
        timeout_seconds=60,
        attempts=2,
        gates=("hold_down",),
        reversal=Verb.SCALE,
        fence=Fence.VERSION,
        proof="the object's ready replicas, read after the send with the reading credential",
    ),
)
