"""The Kubernetes API and the nodes' agents in the process: the product's own writers, the simulator's own servers, no socket."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from devices.orders import Order, Remember, Report, State, Verdict
from devices.wire.agent import AgentWriter
from devices.wire.agent import _subject as agent_subject
from devices.wire.http_order import Errand, Subject, Timing
from devices.wire.kubernetes_writer import KubernetesWriter
from devices.wire.kubernetes_writer import _subject as kubernetes_subject
from devices.wire.once import Answered, Call, Exchange, Gate, Lost, NotSent, Peer, always
from fleet.clock import Clock
from fleet.errors import HallkeeperError, Unreachable
from hallkeeper.world.network import PATIENCE_SECONDS, ROUND_TRIP_SECONDS, Network
from hallkeeper.world.process import Process
from hallkeeper.world.truth import ServerTruth
from simulator.http import Request, Response

Handle = Callable[[Request], "Response | asyncio.Future[Response]"]
TOKEN = "world"  # noqa: S105 - nobody outside this process is asked for it
HEAD = f"PUT / HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: "


class Server:
    """One HTTPS server of the site, behind the network."""

    def __init__(
        self,
        asset: str,
        handle: Handle,
        *,
        answers: Callable[[], bool],
        truth: ServerTruth,
        network: Network,
        slow_seconds: Callable[[], float],
    ) -> None:
        self.asset, self._handle, self.answers = asset, handle, answers
        self._truth, self.network, self.slow_seconds = truth, network, slow_seconds

    def take(self, call: Call, intent: str) -> Answered:
        """One request arrives and is answered."""
        head = f"{HEAD}{call.content_type}\r\n\r\n".encode()
        self._truth.intent = intent
        answer = self._handle(Request(call.method, call.path, head, call.body))
        assert isinstance(answer, Response)
        return Answered(answer.status, answer.body)


class VirtualPeer:
    """`devices.wire.once.Peer` without a socket: connected, gated, written once, answered or not."""

    def __init__(self, server: Server, process: Process, intent: str) -> None:
        self._server, self._process, self._intent = server, process, intent
        self.where = f"https://{server.asset}"

    async def exchange(
        self, call: Call, *, answer_seconds: float, gate: Gate = always, sent: Callable[[], None] = always
    ) -> Exchange:
        """Send it once, if the gate lets it pass."""
        server = self._server
        if not server.answers():
            await self._process.sleep(PATIENCE_SECONDS)
            return NotSent(f"no connection to {self.where}: it is silent")
        await self._process.sleep(ROUND_TRIP_SECONDS)
        why_not = gate()
        if why_not is not None:
            return NotSent(why_not)
        writes = call.method != "GET"
        if writes:
            self._process.point("send")
        answer = self._written(call, writes=writes)
        sent()
        if writes:
            self._process.point("sent")
        return await self._heard(answer, answer_seconds)

    def _written(self, call: Call, *, writes: bool) -> "asyncio.Future[Answered]":
        loop, server = self._process.loop, self._server
        answer: asyncio.Future[Answered] = loop.create_future()
        fate = server.network.command(server.asset) if writes else None

        def arrive() -> None:
            if not server.answers():
                return
            found = server.take(call, self._intent)
            if not answer.done() and (fate is None or fate.answered):
                answer.set_result(found)

        if fate is None or fate.arrives:
            late = 0.0 if fate is None else fate.late_seconds
            loop.call_later(ROUND_TRIP_SECONDS / 2 + server.slow_seconds() + late, arrive)
        return answer

    async def _heard(self, answer: "asyncio.Future[Answered]", seconds: float) -> Exchange:
        given_up: asyncio.Future[None] = self._process.loop.create_future()
        handle = self._process.loop.call_later(seconds, _done, given_up)
        both: set[asyncio.Future[Any]] = {answer, given_up}
        either = asyncio.ensure_future(asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED))
        try:
            await self._process.wait(either)
        finally:
            handle.cancel()
            if not either.done():
                either.cancel()
        return answer.result() if answer.done() else Lost(f"{self.where} did not answer within {seconds:g} s")

    async def get(self, path: str, *, answer_seconds: float = 5.0) -> Answered:
        """A read. Raises `Unreachable`."""
        match await self.exchange(Call(method="GET", path=path), answer_seconds=answer_seconds):
            case Answered() as answer:
                return answer
            case NotSent(why) | Lost(why):
                raise Unreachable(f"{why}, try again later")


def _done(given_up: "asyncio.Future[None]") -> None:
    if not given_up.done():
        given_up.set_result(None)


class _Errands:
    """How both writers get their errands: the product's subject, our peer."""

    def __init__(
        self, server_of: Callable[[Order], Server], process: Process, clock: Clock, remember: Remember
    ) -> None:
        self._server_of, self._process, self._own_clock, self._own_remember = server_of, process, clock, remember

    def errand(self, order: Order, report: Report, subject_of: Callable[[Order, Peer], Subject]) -> Errand | Verdict:
        """The errand of an order; a verdict where it makes no sense."""
        peer = cast("Peer", VirtualPeer(self._server_of(order), self._process, order.intent))
        try:
            subject = subject_of(order, peer)
        except (HallkeeperError, ValueError) as error:
            return Verdict(state=State.NOT_SENT, text=f"{order.asset}: nothing was sent: {error}")
        return Errand(order, peer, subject, report, clock=self._own_clock, remember=self._own_remember, timing=Timing())


class VirtualKubernetesWriter(KubernetesWriter):
    """The product's writer over a virtual peer."""

    def __init__(
        self, server_of: Callable[[Order], Server], process: Process, clock: Clock, remember: Remember
    ) -> None:
        super().__init__(clock, remember=remember)
        self._errands = _Errands(server_of, process, clock, remember)

    def _errand(self, order: Order, report: Report) -> Errand | Verdict:
        return self._errands.errand(order, report, kubernetes_subject)


class VirtualAgentWriter(AgentWriter):
    """The product's writer over a virtual peer."""

    def __init__(
        self, server_of: Callable[[Order], Server], process: Process, clock: Clock, remember: Remember
    ) -> None:
        super().__init__(clock, remember=remember)
        self._errands = _Errands(server_of, process, clock, remember)

    def _errand(self, order: Order, report: Report) -> Errand | Verdict:
        return self._errands.errand(order, report, agent_subject)


__all__ = ["TOKEN", "Server", "VirtualAgentWriter", "VirtualKubernetesWriter", "VirtualPeer"]
