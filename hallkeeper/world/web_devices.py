"""The Kubernetes API and the nodes' agents in the process: the product's own writers, the simulator's own servers, no socket."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from devices.orders import Order, Remember
from devices.wire.agent import AgentWriter
from devices.wire.agent import _subject as agent_subject
from devices.wire.http_order import Subject
from devices.wire.kubernetes_writer import KubernetesWriter
from devices.wire.kubernetes_writer import _subject as kubernetes_subject
from devices.wire.once import Answered, Call, Courier, Exchange, Gate, Lost, NotSent, Peer, always
from devices.wire.order_writer import OrderWriter
from fleet.clock import Clock
from fleet.errors import Unreachable
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


class _OverVirtualPeer(OrderWriter):
    """What both writers have here: our peer in the place of the socket."""

    def __init__(
        self, server_of: Callable[[Order], Server], process: Process, clock: Clock, remember: Remember
    ) -> None:
        super().__init__(clock, remember=remember)
        self._server_of, self._process = server_of, process

    def _peer(self, order: Order) -> Peer:
        return cast("Peer", VirtualPeer(self._server_of(order), self._process, order.intent))


class VirtualKubernetesWriter(_OverVirtualPeer, KubernetesWriter):
    """The product's writer over a virtual peer."""

    def prepared(self, order: Order) -> tuple[Courier, Subject]:
        peer = self._peer(order)
        return peer, kubernetes_subject(order, peer)


class VirtualAgentWriter(_OverVirtualPeer, AgentWriter):
    """The product's writer over a virtual peer."""

    def prepared(self, order: Order) -> tuple[Courier, Subject]:
        peer = self._peer(order)
        return peer, agent_subject(order, peer)


__all__ = ["TOKEN", "Server", "VirtualAgentWriter", "VirtualKubernetesWriter", "VirtualPeer"]
