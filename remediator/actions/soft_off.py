"""A graceful shutdown: the BMC asks the operating system (ACPI)."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.SOFT_OFF,
        purpose="Asks a machine's operating system by its BMC to shut down.",
        traits=Traits(class_=ActionClass.A3, plane=Plane.BMC, power=True, cuts=True),
        lock="{device}",
        timeout_seconds=90,
        attempts=1,
        gates=("trust", "proof_of_death", "blast_radius", "job_impact", "breaker", "approval"),
        reversal=Verb.POWER_ON,
        fence=Fence.SESSION,
        proof="the PDU's outlets: every outlet of the node at standby watts, two samples measured after the send",
    ),
)
