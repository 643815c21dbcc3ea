"""A job is asked for a checkpoint by an annotation on its object, and answers with another."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.CHECKPOINT_ANNOTATE,
        purpose="Asks a Kubernetes job for a checkpoint, with a deadline.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SCHEDULER, settles=False),
        lock="{device}/{job}",
        arguments=("job", "deadline_seconds"),
        timeout_seconds=30,
        attempts=1,
        lasting="a checkpoint that was written stays",
        fence=Fence.ABSOLUTE,
        proof="the job's own answer on its object, naming this request",
    ),
)
