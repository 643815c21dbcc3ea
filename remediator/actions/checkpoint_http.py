"""A job framework's checkpoint service is asked over HTTPS."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.CHECKPOINT_HTTP,
        purpose="Asks a framework's service for a job's checkpoint, with a deadline.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.HOOK, settles=False),
        lock="{device}/{job}",
        arguments=("job", "deadline_seconds"),
        timeout_seconds=30,
        attempts=1,
        lasting="a checkpoint that was written stays",
        fence=Fence.ONCE,
        proof="the service's own state of that job names this request as done",
    ),
)
