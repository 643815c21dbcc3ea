"""A framework's own checkpoint service: the agent's checkpoint protocol at another address, for jobs that have no node agent."""

from devices.orders import Order, Remember, Report, State, Verdict, forget
from devices.wire.agent import CheckpointRequest
from devices.wire.http_order import Errand, Timing
from devices.wire.once import Peer
from devices.wire.tls import bearer, client_context
from fleet.clock import Clock
from fleet.errors import HallkeeperError, Refused


class HookWriter:
    """Carries out `checkpoint_http` and nothing else."""

    def __init__(self, clock: Clock, *, remember: Remember = forget, timing: Timing | None = None) -> None:
        self._clock = clock
        self._remember = remember
        self._timing = timing or Timing()

    async def act(self, order: Order, report: Report) -> Verdict:
        """Look, send at most once, look again."""
        errand = self._errand(order, report)
        return errand if isinstance(errand, Verdict) else await errand.run()

    async def settle(self, order: Order, note: str, report: Report) -> Verdict:
        """Read what an earlier process's request did; there is nothing to fence."""
        del note
        errand = self._errand(order, report)
        return errand if isinstance(errand, Verdict) else await errand.settle()

    def _errand(self, order: Order, report: Report) -> Errand | Verdict:
        where = order.endpoint.source
        try:
            if order.verb != "checkpoint_http":
                raise Refused(f"{order.verb!r} is no verb of a checkpoint service, try checkpoint_http")
            peer = Peer.at(order.endpoint.address, client_context(order.secret, where), bearer(order.secret, where))
            subject = CheckpointRequest(peer, order.intent, order.arguments)
        except (HallkeeperError, ValueError) as error:
            return Verdict(state=State.NOT_SENT, text=f"{order.asset}: nothing was sent: {error}")
        return Errand(order, peer, subject, report, clock=self._clock, remember=self._remember, timing=self._timing)
