"""A pod of a dead node is struck off by force."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.DELETE_POD,
        purpose="Strikes off a pod whose machine is proven dead.",
        traits=Traits(class_=ActionClass.A2, plane=Plane.SCHEDULER),
        lock="{device}/{namespace}/{pod}",
        arguments=("namespace", "pod", "uid"),
        timeout_seconds=30,
        attempts=5,
        gates=("proof_of_death", "job_impact", "breaker"),
        lasting="its controller makes a replacement",
        fence=Fence.VERSION,
        proof="the scheduler's record: no pod of that uid on the node",
    ),
)
