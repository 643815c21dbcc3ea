"""Whether queued work may start: a Kueue cluster queue or a Slurm partition is held, running work is not touched."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.STOP_ADMISSIONS,
        purpose="Holds a cluster queue.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SCHEDULER, tightens=True),
        lock="{device}/{queue}",
        arguments=("queue",),
        timeout_seconds=15,
        attempts=2,
        reversal=Verb.ALLOW_ADMISSIONS,
        fence=Fence.ABSOLUTE,
        proof="the queue's own object, read after the send with the reading credential",
    ),
    Action(
        verb=Verb.ALLOW_ADMISSIONS,
        purpose="Lets a cluster queue admit again.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SCHEDULER, energises=True),
        lock="{device}/{queue}",
        arguments=("queue",),
        timeout_seconds=15,
        attempts=2,
        gates=("headroom",),
        reversal=Verb.STOP_ADMISSIONS,
        fence=Fence.ABSOLUTE,
        proof="the queue's own object, read after the send with the reading credential",
    ),
    Action(
        verb=Verb.SLURM_STOP_ADMISSIONS,
        purpose="Keeps jobs of a partition from starting.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SLURM, tightens=True),
        lock="{device}/{partition}",
        arguments=("partition",),
        timeout_seconds=15,
        attempts=2,
        reversal=Verb.SLURM_ALLOW_ADMISSIONS,
        fence=Fence.ABSOLUTE,
        proof="the partition's state by slurmrestd, read after the send",
    ),
    Action(
        verb=Verb.SLURM_ALLOW_ADMISSIONS,
        purpose="Lets jobs of a partition start again.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SLURM, energises=True),
        lock="{device}/{partition}",
        arguments=("partition",),
        timeout_seconds=15,
        attempts=2,
        gates=("headroom",),
        reversal=Verb.SLURM_STOP_ADMISSIONS,
        fence=Fence.ABSOLUTE,
        proof="the partition's state by slurmrestd, read after the send",
    ),
)
