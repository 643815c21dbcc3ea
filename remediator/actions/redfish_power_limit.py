"""A power limit of a chassis or a GPU over Redfish."""

from remediator.actions.action import Action, Fence
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

ACTIONS = (
    Action(
        verb=Verb.REDFISH_POWER_LIMIT,
        purpose="Caps a chassis or one GPU by its Redfish control.",
        traits=Traits(class_=ActionClass.A1, plane=Plane.REDFISH, tightens=True),
        lock="{device}/{control}",
        arguments=("control", "watts"),
        timeout_seconds=15,
        attempts=2,
        reversal=Verb.REDFISH_POWER_LIMIT,
        fence=Fence.VERSION,
        proof="the PDU's outlets: the sum at most what the caps allow, two samples after the send",
    ),
)
