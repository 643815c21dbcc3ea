"""Whether Slurm puts new work on a node."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.SLURM_DRAIN,
        purpose="Drains a node: what runs there runs on.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SLURM, tightens=True),
        lock="{device}/{node}",
        arguments=("node",),
        timeout_seconds=15,
        attempts=2,
        reversal=Verb.SLURM_RESUME,
        fence=Fence.ABSOLUTE,
        proof="the node's state by slurmrestd, read after the send",
    ),
    Action(
        verb=Verb.SLURM_RESUME,
        purpose="Gives a drained node back.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.SLURM, restores=True),
        lock="{device}/{node}",
        arguments=("node",),
        timeout_seconds=15,
        attempts=2,
        reversal=Verb.SLURM_DRAIN,
        fence=Fence.ABSOLUTE,
        proof="the node's state by slurmrestd, read after the send",
    ),
)
