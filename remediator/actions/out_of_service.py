"""A node is declared dead: Kubernetes deletes its pods by force and detaches their volumes."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.TAINT_OUT_OF_SERVICE,
        purpose="Declares a node dead that is proven so.",
        traits=Traits(class_=ActionClass.A2, plane=Plane.SCHEDULER),
        lock="{device}/{node}",
        arguments=("node",),
        timeout_seconds=15,
        attempts=2,
        gates=("proof_of_death", "job_impact", "breaker"),
        reversal=Verb.UNTAINT_OUT_OF_SERVICE,
        fence=Fence.VERSION,
        proof="the node's own object, read after the send with the reading credential",
    ),
    Action(
        verb=Verb.UNTAINT_OUT_OF_SERVICE,
        purpose="Takes the declaration back.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SCHEDULER, restores=True),
        lock="{device}/{node}",
        arguments=("node",),
        timeout_seconds=15,
        attempts=2,
        reversal=Verb.TAINT_OUT_OF_SERVICE,
        fence=Fence.VERSION,
        proof="the node's own object, read after the send with the reading credential",
    ),
)
