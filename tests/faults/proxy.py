"""A UDP proxy that loses, copies, delays and reorders datagrams from a seed, and lets somebody watch what comes by.

One proxy stands in front of one device. Requests are what clients send, replies what the device sends.
"""

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self


class Fault(StrEnum):
    """What the network does."""

    NONE = "none"
    DROP_REPLIES = "drop_replies"
    DROP_REQUESTS = "drop_requests"
    DUPLICATE = "duplicate"
    DELAY = "delay"
    REORDER = "reorder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A fault, how often it strikes, and how far."""

    fault: Fault = Fault.NONE
    seed: int = 1
    rate: float = 0.5
    """Share of datagrams that it strikes."""
    longest_seconds: float = 0.6
    """Delays and late copies come up to so much later."""


@dataclass(slots=True)
class Counts:
    """What the proxy did."""

    requests: int = 0
    replies: int = 0
    dropped: int = 0
    copied: int = 0
    delayed: int = 0
    reordered: int = 0


Watch = Callable[[bytes], None]


@dataclass(slots=True)
class _Side:
    """One client's way through the proxy: a socket of its own towards the device."""

    client: tuple[str, int]
    upstream: socket.socket
    held: dict[str, Callable[[], None]] = field(default_factory=dict)
    """For reordering: the delivery that waits for the next one, by direction."""


class UdpProxy:
    """`async with UdpProxy(("127.0.0.1", 623), plan) as proxy:` and send to `proxy.address`."""

    def __init__(
        self,
        device: tuple[str, int],
        plan: Plan,
        *,
        on_request: Watch | None = None,
        on_reply: Watch | None = None,
    ) -> None:
        self.plan = plan
        self.counts = Counts()
        self._device = device
        self._on_request = on_request
        self._on_reply = on_reply
        self._random = random.Random(plan.seed)
        self._sides: dict[tuple[str, int], _Side] = {}
        self._pending = 0
        self._front: socket.socket | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._front = _udp()
        self._front.bind(("127.0.0.1", 0))
        self._loop.add_reader(self._front, self._from_client)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._front is not None
        for sock in (self._front, *(side.upstream for side in self._sides.values())):
            self._loop.remove_reader(sock)
            sock.close()

    @property
    def address(self) -> str:
        assert self._front is not None
        return f"127.0.0.1:{self._front.getsockname()[1]}"

    async def quiet(self) -> None:
        """Return when no datagram is on its way any more."""
        while self._pending:
            await asyncio.sleep(0.005)

    def forget_clients(self) -> None:
        """Close the ways of clients that are gone."""
        for side in self._sides.values():
            self._loop.remove_reader(side.upstream)
            side.upstream.close()
        self._sides.clear()

    def _from_client(self) -> None:
        assert self._front is not None
        for datagram, client in _received(self._front):
            self.counts.requests += 1
            if self._on_request is not None:
                self._on_request(datagram)
            side = self._side(client)
            self._pass("request", side, lambda sock=side.upstream, data=datagram: _send(sock, data))

    def _from_device(self, side: _Side) -> None:
        for datagram, _ in _received(side.upstream):
            self.counts.replies += 1
            if self._on_reply is not None:
                self._on_reply(datagram)
            self._pass("reply", side, lambda data=datagram: self._to_client(side, data))

    def _to_client(self, side: _Side, data: bytes) -> None:
        assert self._front is not None
        with contextlib.suppress(OSError):
            self._front.sendto(data, side.client)

    def _side(self, client: tuple[str, int]) -> _Side:
        if client not in self._sides:
            upstream = _udp()
            upstream.connect(self._device)
            side = self._sides[client] = _Side(client, upstream)
            self._loop.add_reader(upstream, self._from_device, side)
        return self._sides[client]

    def _pass(self, direction: str, side: _Side, deliver: Callable[[], None]) -> None:
        struck = self._random.random() < self.plan.rate
        fault = self.plan.fault if struck else Fault.NONE
        lost = {"request": Fault.DROP_REQUESTS, "reply": Fault.DROP_REPLIES}[direction]
        if fault is lost:
            self.counts.dropped += 1
        elif fault is Fault.DELAY:
            self.counts.delayed += 1
            self._later(deliver)
        elif fault is Fault.DUPLICATE:
            self.counts.copied += 1
            deliver()
            self._later(deliver)
        elif fault is Fault.REORDER and direction not in side.held:
            self.counts.reordered += 1
            side.held[direction] = deliver
            self._pending += 1
            self._loop.call_later(self.plan.longest_seconds, self._release, direction, side, deliver)
        else:
            deliver()
            self._release(direction, side, side.held.get(direction))

    def _release(self, direction: str, side: _Side, deliver: Callable[[], None] | None) -> None:
        """Let go of what waited for a later one, once."""
        if deliver is not None and side.held.get(direction) is deliver:
            del side.held[direction]
            self._pending -= 1
            deliver()

    def _later(self, deliver: Callable[[], None]) -> None:
        self._pending += 1
        self._loop.call_later(self._random.uniform(0.0, self.plan.longest_seconds), self._arrive, deliver)

    def _arrive(self, deliver: Callable[[], None]) -> None:
        self._pending -= 1
        deliver()


def _udp() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    return sock


def _send(sock: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):  # the device is gone, or the client was forgotten
        sock.send(data)


def _received(sock: socket.socket) -> list[tuple[bytes, tuple[str, int]]]:
    found: list[tuple[bytes, tuple[str, int]]] = []
    for _ in range(64):
        try:
            found.append(sock.recvfrom(65535))
        except OSError:
            break
    return found
