"""GPUs reset in place by the node's agent, refused while a process holds one."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.GPU_RESET,
        purpose="Resets GPUs of a drained node.",
        traits=Traits(class_=ActionClass.A2, plane=Plane.AGENT),
        lock="{device}/agent",
        arguments=("gpus",),
        timeout_seconds=120,
        attempts=1,
        gates=("proof_of_death", "job_impact", "breaker"),
        lasting="a reset has no opposite; what ran on the GPU was drained before",
        fence=Fence.ONCE,
        proof="the exporter's pages: every GPU answers again and no new XID comes",
    ),
)
