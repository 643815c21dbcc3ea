"""A whole job stops and gives its nodes back, or starts again."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.SUSPEND_JOB,
        purpose="Suspends a job: its pods end, none are made.",
        traits=Traits(class_=ActionClass.A2, plane=Plane.SCHEDULER, tightens=True),
        lock="{device}/{namespace}/{job}",
        arguments=("namespace", "job"),
        timeout_seconds=45,
        attempts=2,
        gates=("job_impact", "breaker"),
        reversal=Verb.RESUME_JOB,
        fence=Fence.ABSOLUTE,
        proof="the job's own object, read after the send with the reading credential",
    ),
    Action(
        verb=Verb.RESUME_JOB,
        purpose="Lets a suspended job run again.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SCHEDULER, energises=True),
        lock="{device}/{namespace}/{job}",
        arguments=("namespace", "job"),
        timeout_seconds=45,
        attempts=2,
        gates=("headroom",),
        reversal=Verb.SUSPEND_JOB,
        fence=Fence.ABSOLUTE,
        proof="the job's own object, read after the send with the reading credential",
    ),
)
