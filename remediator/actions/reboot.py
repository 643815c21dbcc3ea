"""The operating system restarts itself, asked by the node's agent."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.REBOOT,
        purpose="Reboots a drained node gracefully.",
        traits=Traits(class_=ActionClass.A3, plane=Plane.AGENT, cuts=True),
        lock="{device}/agent",
        timeout_seconds=720,
        attempts=1,
        gates=("trust", "proof_of_death", "blast_radius", "job_impact", "breaker", "approval"),
        lasting="a reboot has no opposite; the node comes back by itself",
        fence=Fence.ONCE,
        proof="another boot id and an uptime below the time since the send, and Ready in the scheduler",
    ),
)
