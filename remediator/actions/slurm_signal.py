"""A signal to a Slurm job's processes: the usual way to ask for a checkpoint."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.SLURM_SIGNAL,
        purpose="Sends USR1 or USR2 to a job.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SLURM, settles=False),
        lock="{device}/{job_id}",
        arguments=("job_id", "signal"),
        timeout_seconds=30,
        attempts=1,
        lasting="a checkpoint that was written stays",
        fence=Fence.GUARDED,
        proof="a checkpoint younger than the request, by the job's hook or its agent",
    ),
)
