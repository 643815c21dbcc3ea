"""The record that a scheduler or a job keeps of itself, read after a send with the reading credential: a proof's witness."""

from dataclasses import dataclass

from devices.orders import VERBS, Order
from devices.wire.second_look import second_look
from fleet.clock import Clock, within
from fleet.errors import HallkeeperError
from fleet.model import Site
from fleet.secrets import read_secret, secret_path
from remediator.proof import Finding, seen
from remediator.records import Intent

READ_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Record:
    """The site's schedulers and jobs, as their readers see them."""

    site: Site
    clock: Clock

    async def shows(self, intent: Intent) -> Finding:
        """Whether the object is as the verb wants it."""
        order = self._order(intent)
        if order is None:
            return seen(f"{intent.verb} on {intent.device}: no read credentials", None)
        try:
            found = await within(self.clock, READ_SECONDS, second_look(order, self.clock))
        except (TimeoutError, HallkeeperError):
            found = None
        if found is None:
            return seen(f"{intent.lock}: its record", None)
        return seen(f"{intent.lock} is {found.text}: what {intent.verb} wants", found.goal)

    def _order(self, intent: Intent) -> Order | None:
        """The same order in a reader's hands; it is only looked at. None where nobody may read."""
        wire = VERBS[intent.verb]
        asset = self.site.asset(intent.device)
        endpoint = next((endpoint for endpoint in asset.endpoints if endpoint.wire is wire), None)
        reference = None if endpoint is None else self.site.credentials_for(endpoint, write=False)
        if endpoint is None or reference is None:
            return None
        try:
            secret = dict(read_secret(reference, base=self.site.base))
        except HallkeeperError:
            return None
        if isinstance(secret.get("ca"), str):
            secret["ca"] = str(secret_path(reference, base=self.site.base).parent / str(secret["ca"]))
        return Order(
            intent=intent.intent_id,
            asset=intent.device,
            verb=intent.verb.value,
            arguments=intent.arguments,
            endpoint=endpoint,
            secret=secret,
            not_after_boottime_ns=0,
            effect_latency_seconds=0.0,
        )
