"""Whether a queued Slurm job may start."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.SLURM_HOLD,
        purpose="Keeps a queued job from starting.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SLURM, tightens=True),
        lock="{device}/{job_id}",
        arguments=("job_id",),
        timeout_seconds=15,
        attempts=2,
        reversal=Verb.SLURM_RELEASE,
        fence=Fence.ABSOLUTE,
        proof="the job's state by slurmrestd, read after the send",
    ),
    Action(
        verb=Verb.SLURM_RELEASE,
        purpose="Lets a held job start.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SLURM, energises=True),
        lock="{device}/{job_id}",
        arguments=("job_id",),
        timeout_seconds=15,
        attempts=2,
        gates=("headroom",),
        reversal=Verb.SLURM_HOLD,
        fence=Fence.ABSOLUTE,
        proof="the job's state by slurmrestd, read after the send",
    ),
)
