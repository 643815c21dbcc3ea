"""Nodes set aside in Slurm for maintenance: nothing new is put there."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.SLURM_RESERVE,
        purpose="Creates a maintenance reservation of a name on nodes.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SLURM, tightens=True),
        lock="{device}/{name}",
        arguments=("name", "nodes", "minutes"),
        timeout_seconds=15,
        attempts=2,
        reversal=Verb.SLURM_UNRESERVE,
        fence=Fence.VERSION,
        proof="the reservation by slurmrestd, read after the send",
    ),
    Action(
        verb=Verb.SLURM_UNRESERVE,
        purpose="Deletes a reservation of Hallkeeper's own.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SLURM, restores=True),
        lock="{device}/{name}",
        arguments=("name",),
        timeout_seconds=15,
        attempts=2,
        reversal=Verb.SLURM_RESERVE,
        fence=Fence.VERSION,
        proof="no reservation of that name by slurmrestd",
    ),
)
