"""What an intent reaches: its device, the lock it takes, everything a lockout on which forbids it. Pure."""

from urllib.parse import quote

from devices.orders import INTERRUPTS, POWER_GOALS, VERBS, outlet_of
from fleet.errors import Refused
from fleet.model import Asset, AssetId, Endpoint, Site, Wire
from remediator.actuator_client import IntentMessage

OBJECT_KEYS = ("node", "namespace", "pod", "job", "name", "queue", "job_id", "partition", "control")
"""Arguments that name the object behind a scheduler or a chassis, in this order."""
SHARED = frozenset({Wire.KUBERNETES, Wire.SLURM, Wire.HOOK, Wire.REDFISH})
"""Wires behind which many objects are commanded, each on its own."""


def endpoint_of(message: IntentMessage, site: Site) -> Endpoint:
    """The endpoint that the verb goes to. Raises `Refused` for a verb or asset that has none, `UnknownAsset`."""
    wire = VERBS.get(message.verb)
    if wire is None:
        raise Refused(f"{message.verb!r} is no verb, try one of {', '.join(VERBS)}")
    asset = site.asset(message.asset)
    found = next((endpoint for endpoint in asset.endpoints if endpoint.wire is wire), None)
    if found is None:
        raise Refused(f"{message.asset} has no {wire} endpoint for {message.verb}, try the inventory")
    return found


def lock_name(message: IntentMessage) -> str:
    """File name of the lock: one act an asset, and behind a scheduler one act an object."""
    names = [str(message.asset)]
    if VERBS.get(message.verb) in SHARED:
        names += [str(message.arguments[key]) for key in OBJECT_KEYS if key in message.arguments]
    return quote("|".join(names), safe="#@") + ".lock"


def reach(message: IntentMessage, site: Site) -> frozenset[AssetId]:
    """All assets on which a lockout forbids the act: those it acts on, all they hang on, and what a switch takes along.

    Raises `UnknownAsset` and `Refused`: no asset, no act.
    """
    targets = {asset.id for asset in _acted_on(message, site)}
    if message.verb in POWER_GOALS:
        targets |= {below for target in tuple(targets) for below in site.graph.downstream(target)}
    targets.add(site.asset(message.asset).id)
    above = {domain for target in targets for domain in site.graph.upstream(target)}
    return frozenset(targets | above)


def protected_in(message: IntentMessage, site: Site) -> AssetId | None:
    """A protected asset that a power verb would switch, or None."""
    if message.verb not in POWER_GOALS and message.verb not in INTERRUPTS:
        return None
    for asset in _acted_on(message, site):
        for switched in sorted({asset.id, *site.graph.downstream(asset.id)}):
            if site.assets[switched].protected:
                return switched
    return None


def _acted_on(message: IntentMessage, site: Site) -> tuple[Asset, ...]:
    """The outlet of an outlet verb, the node that a scheduler's verb names, the asset itself otherwise."""
    wire = VERBS.get(message.verb)
    if wire is Wire.SNMP:
        try:
            return (site.asset(f"{message.asset}#{outlet_of(message.arguments)}"),)
        except ValueError as error:
            raise Refused(str(error)) from error
    if wire in {Wire.KUBERNETES, Wire.SLURM, Wire.HOOK}:
        named = site.assets.get(AssetId(str(message.arguments.get("node", ""))))
        return () if named is None else (named,)
    return (site.asset(message.asset),)
