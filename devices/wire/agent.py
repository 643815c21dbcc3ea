"""The node agent over HTTPS: reading it, and the orders it takes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from devices.orders import Order
from devices.wire.agent_protocol import Checkpoint, Events, Heartbeat, Readings, decoded
from devices.wire.agent_repairs import Repairing, gpu_numbers
from devices.wire.http_order import Seen, Subject
from devices.wire.names import job_of
from devices.wire.once import Call, Courier, Peer
from devices.wire.order_writer import OrderWriter
from devices.wire.tls import bearer, client_context
from fleet.errors import Malformed, Refused, Unreachable
from fleet.model import Endpoint

ANSWER_LIMIT = 2 << 20
"""Bytes of one answer; 1,000 events of 1 kB are the largest."""
REQUEST_SECONDS = 2.0
"""One read; the heartbeat must not be waited for longer than it is apart (a default to tune)."""

T = TypeVar("T")


class AgentReader:
    """One node's agent, read over a kept connection; never writes."""

    def __init__(self, endpoint: Endpoint, secret: Mapping[str, object]) -> None:
        """Raises `Refused` when address, token or authority cannot be used."""
        self._where = endpoint.source
        context, authorization = client_context(secret, self._where), bearer(secret, self._where)
        self._url = Peer.at(endpoint.address, context, authorization).where
        self._context = context
        self._headers = {"Authorization": authorization, "Accept-Encoding": "identity"}
        self._session: aiohttp.ClientSession | None = None

    async def heartbeat(self) -> Heartbeat:
        return await self._get("/v1/heartbeat", Heartbeat)

    async def readings(self) -> Readings:
        return await self._get("/v1/readings", Readings)

    async def events(self, after: int, *, wait_seconds: float = 0.0) -> Events:
        """Events after a cursor; with `wait_seconds` the agent holds the answer until there is one."""
        return await self._get(f"/v1/events?after={after}&wait_seconds={wait_seconds:g}", Events, extra=wait_seconds)

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _get(self, path: str, kind: type[T], *, extra: float = 0.0) -> T:
        """Raises `Unreachable` (silence), `Refused` (401, 403, 404), `Malformed` (an answer that is none)."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=2, ssl=self._context)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
        wait = aiohttp.ClientTimeout(total=REQUEST_SECONDS + extra)
        try:
            async with self._session.get(
                self._url + path, headers=self._headers, timeout=wait, allow_redirects=False
            ) as answer:
                body = await self._bounded(answer)
        except aiohttp.ClientConnectorCertificateError as error:
            raise Refused(f"{self._where}: {error}, try the `ca` of its secret") from error
        except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as error:
            raise Malformed(f"{self._where}: the answer to {path} is broken: {error!r}, try the agent's log") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"{self._where}: no answer to {path} ({error!r}), try systemctl status on it") from error
        return decoded(body, kind, self._where)

    async def _bounded(self, answer: aiohttp.ClientResponse) -> bytes:
        if answer.status in {401, 403, 404}:
            raise Refused(f"{self._where}: status {answer.status} for {answer.url.path}, try the token of its secret")
        if answer.status >= 500 or answer.status in {408, 409, 429}:
            raise Unreachable(f"{self._where}: status {answer.status} for {answer.url.path}, try the agent's log")
        if answer.status != 200:
            raise Malformed(f"{self._where}: status {answer.status} for {answer.url.path}, try the agent's version")
        body = bytearray()
        async for chunk in answer.content.iter_chunked(65_536):
            body += chunk
            if len(body) > ANSWER_LIMIT:
                raise Malformed(f"{self._where}: more than {ANSWER_LIMIT} bytes for {answer.url.path}")
        return bytes(body)


class AgentWriter(OrderWriter):
    """Carries out caps, checkpoints, GPU resets and reboots: one PUT an order, and nothing else."""

    def prepared(self, order: Order) -> tuple[Courier, Subject]:
        where = order.endpoint.source
        peer = Peer.at(order.endpoint.address, client_context(order.secret, where), bearer(order.secret, where))
        return peer, _subject(order, peer)


def _subject(order: Order, peer: Peer) -> Subject:
    match order.verb:
        case "gpu_power_limit":
            return _PowerLimit(peer, order.intent, order.arguments)
        case "checkpoint":
            return CheckpointRequest(peer, order.intent, order.arguments)
        case "gpu_reset" | "reboot":
            return Repairing(peer, order.intent, order.verb, order.arguments)
        case _:
            raise Refused(f"{order.verb!r} is no verb of the agent, try one of devices.orders.VERBS")


def _number(arguments: Mapping[str, object], name: str) -> float:
    value = arguments.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} is {value!r}, try a positive number")
    return float(value)


@dataclass(slots=True)
class _PowerLimit:
    """The GPUs of a node, all or some, and the watts they shall be capped to."""

    peer: Peer
    intent: str
    arguments: Mapping[str, object]

    def __post_init__(self) -> None:
        self.call()

    async def look(self) -> Seen:
        """The limits in force, `400` where all are the same, otherwise `400,700` in the GPUs' order.

        A GPU that fell off the bus has none and keeps nobody from capping the others.
        """
        answer = await self.peer.get("/v1/readings")
        if answer.status != 200:
            raise Refused(f"{self.peer.where}: status {answer.status} for its readings, try the token of its secret")
        readings = decoded(answer.body, Readings, self.peer.where)
        limits = {gpu.gpu: gpu.power_limit_watts for gpu in readings.gpus if gpu.power_limit_watts is not None}
        wanted = sorted(limits) if self.gpus is None else self.gpus
        known = [limits[number] for number in wanted if number in limits]
        if not known or len(known) < len(wanted):
            raise Unreachable(
                f"{self.peer.where}: {readings.text or 'a GPU does not say its limit'}, try nvidia-smi there"
            )
        words = [f"{watts:g}" for watts in known]
        text = words[0] if len(set(words)) == 1 else ",".join(words)
        return Seen(text, all(abs(watts - self.watts) < 0.5 for watts in known))

    @property
    def watts(self) -> float:
        return _number(self.arguments, "watts")

    @property
    def gpus(self) -> list[int] | None:
        return gpu_numbers(self.arguments)

    def call(self) -> Call:
        body = msgspec.json.encode({"watts": self.watts, "gpus": self.gpus, "intent": self.intent})
        return Call(method="PUT", path="/v1/gpus/power-limit", body=body)


@dataclass(slots=True)
class CheckpointRequest:
    """A job's checkpoint on a node."""

    peer: Peer
    intent: str
    arguments: Mapping[str, object]

    def __post_init__(self) -> None:
        self.call()

    @property
    def path(self) -> str:
        namespace, name = job_of(self.arguments)
        return f"/v1/jobs/{quote(namespace)}/{quote(name)}/checkpoint"

    async def look(self) -> Seen:
        """`none`, `requested`, `done` or `failed`; the goal is this intent's `done`."""
        answer = await self.peer.get(self.path)
        if answer.status != 200:
            raise Refused(f"{self.peer.where}: status {answer.status} for {self.path}, try the token of its secret")
        state = decoded(answer.body, Checkpoint, self.peer.where)
        ours = state.intent == self.intent
        return Seen(state.state, state.state == "done" and ours, final=state.state == "failed" and ours)

    def call(self) -> Call:
        wish = {"intent": self.intent, "deadline_seconds": _number(self.arguments, "deadline_seconds")}
        return Call(method="PUT", path=self.path, body=msgspec.json.encode(wish))
