"""The power cap of a node's GPUs, set by its agent; a job is capped on all its nodes."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.GPU_POWER_LIMIT,
        purpose="Caps a node's GPUs to so many watts each.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.AGENT, tightens=True),
        lock="{device}/agent",
        arguments=("watts",),
        timeout_seconds=15,
        attempts=2,
        gates=("headroom",),
        reversal=Verb.GPU_POWER_LIMIT,
        fence=Fence.ONCE,
        proof="the PDU's outlets: the sum at most what the cap allows, two samples after the send",
    ),
)
