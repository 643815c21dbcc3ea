"""A pod is asked to go. Its disruption budget is kept, but for the override that people agree to."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.EVICT,
        purpose="Evicts a pod; its disruption budget may refuse.",
        traits=Traits(class_=ActionClass.A2, plane=Plane.SCHEDULER),
        lock="{device}/{namespace}/{pod}",
        arguments=("namespace", "pod", "uid"),
        timeout_seconds=30,
        attempts=5,
        gates=("job_impact", "breaker"),
        lasting="its controller makes a replacement",
        fence=Fence.VERSION,
        proof="the scheduler's record: no pod of that uid on the node",
    ),
    Action(
        verb=Verb.EVICT_OVERRIDE,
        purpose="Ends a pod with its grace period past its disruption budget; reason and person are recorded.",
        traits=Traits(class_=ActionClass.A3, plane=Plane.SCHEDULER),
        lock="{device}/{namespace}/{pod}",
        arguments=("namespace", "pod", "uid", "reason", "person"),
        timeout_seconds=60,
        attempts=1,
        gates=("trust", "job_impact", "breaker", "approval"),
        lasting="its controller makes a replacement",
        fence=Fence.VERSION,
        proof="the scheduler's record: no pod of that uid on the node",
    ),
)
