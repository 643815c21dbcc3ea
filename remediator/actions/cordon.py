"""Whether new work may be put on a node."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.CORDON,
        purpose="Takes a node out of scheduling; what runs there runs on.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SCHEDULER, tightens=True),
        lock="{device}/{node}",
        arguments=("node",),
        timeout_seconds=15,
        attempts=2,
        gates=("proof_of_death",),
        reversal=Verb.UNCORDON,
        fence=Fence.ABSOLUTE,
        proof="the node's own object, read after the send with the reading credential",
    ),
    Action(
        verb=Verb.UNCORDON,
        purpose="Gives a node back to scheduling.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SCHEDULER, restores=True),
        lock="{device}/{node}",
        arguments=("node",),
        timeout_seconds=15,
        attempts=2,
        reversal=Verb.CORDON,
        fence=Fence.ABSOLUTE,
        proof="the node's own object, read after the send with the reading credential",
    ),
)
