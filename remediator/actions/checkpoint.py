"""A job writes a checkpoint before it is disturbed, asked through the agent's hook."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.CHECKPOINT,
        purpose="Asks a job on a node for a checkpoint, with a deadline.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.AGENT, settles=False),
        lock="{device}/agent",
        arguments=("job", "deadline_seconds"),
        timeout_seconds=30,
        attempts=1,
        lasting="a checkpoint that was written stays",
        fence=Fence.ONCE,
        proof="a checkpoint younger than the request in the agent's readings",
    ),
)
