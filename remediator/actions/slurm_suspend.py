"""A running Slurm job is stopped in place, or goes on."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.SLURM_SUSPEND,
        purpose="Stops a job's processes; its nodes stay its own.",
        traits=Traits(class_=ActionClass.A2, plane=Plane.SLURM, tightens=True),
        lock="{device}/{job_id}",
        arguments=("job_id",),
        timeout_seconds=15,
        attempts=2,
        gates=("job_impact", "breaker"),
        reversal=Verb.SLURM_UNSUSPEND,
        fence=Fence.ABSOLUTE,
        proof="the job's state by slurmrestd, read after the send, and the GPUs' watts fall",
    ),
    Action(
        verb=Verb.SLURM_UNSUSPEND,
        purpose="Lets a suspended job go on.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SLURM, energises=True),
        lock="{device}/{job_id}",
        arguments=("job_id",),
        timeout_seconds=15,
        attempts=2,
        gates=("headroom",),
        reversal=Verb.SLURM_SUSPEND,
        fence=Fence.ABSOLUTE,
        proof="the job's state by slurmrestd, read after the send",
    ),
)
