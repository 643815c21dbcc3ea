"""A Slurm job is put back into its queue, as a whole."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.SLURM_REQUEUE,
        purpose="Requeues a running job from its last checkpoint.",
        traits=Traits(class_=ActionClass.A2, plane=Plane.SLURM),
        lock="{device}/{job_id}",
        arguments=("job_id", "restarts"),
        timeout_seconds=60,
        attempts=1,
        gates=("job_impact", "breaker"),
        lasting="the job starts anew from its last checkpoint",
        fence=Fence.GUARDED,
        proof="the job's restart count grew, by slurmrestd; its nodes are others than the faulty one",
    ),
)
