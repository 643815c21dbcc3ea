"""Protocol v1 over HTTPS: who may ask, what a request may hold, and the shape of every answer."""

import asyncio
import contextlib
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from agent.checkpoints import Checkpoints, job_name
from agent.kernel_log import KernelWatch
from agent.power import Busy, GpuWatch, OutOfBounds, PowerLimiter
from agent.protocol import (
    CheckpointRequest,
    Events,
    GpuReset,
    Heartbeat,
    PowerLimit,
    PowerLimits,
    Readings,
    Reboot,
    Wrong,
)
from agent.repairs import Repairs
from agent.store import Store
from fleet.clock import Clock
from fleet.errors import HallkeeperError

BODY_LIMIT = 16 << 10
WAIT_LIMIT_SECONDS = 30.0
WAITERS_LIMIT = 16
"""Long polls at once; a site has one or two collectors for a node."""
STALE_AFTER = 3
"""GPU answers missed before what they said last is no longer shown."""

T = TypeVar("T")
log = structlog.get_logger("agent.server")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Digests of the tokens that open the door; the tokens themselves are not kept."""

    read: bytes
    write: bytes

    @classmethod
    def of(cls, *, read: str, write: str) -> "Tokens":
        return cls(hashlib.sha256(read.encode()).digest(), hashlib.sha256(write.encode()).digest())

    def may(self, header: str | None) -> frozenset[str]:
        """Methods that the bearer of this `Authorization` header may use; every comparison takes the same time."""
        scheme, _, token = (header or "").partition(" ")
        digest = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
        reads = hmac.compare_digest(digest, self.read)
        writes = hmac.compare_digest(digest, self.write)
        if scheme.lower() != "bearer" or not (reads or writes):
            return frozenset()
        return frozenset({"GET", "PUT"}) if writes else frozenset({"GET"})


class Life(Protocol):
    """What the heartbeat tells."""

    node: str
    boot_id: str
    beats: int


def answer(body: msgspec.Struct, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


def wrong(status: int, error: str, try_: str) -> web.Response:
    return answer(Wrong(error=error, try_=try_), status)


def wrong_of(status: int, error: HallkeeperError) -> web.Response:
    """Our errors say `what, try …`: the two halves go into their own fields."""
    what, _, advice = str(error).partition(", try ")
    return wrong(status, what, advice or "the agent's log on the node")


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guard(tokens: Callable[[], Tokens]) -> Middleware:
    """Let in who bears a token that allows the method, and nobody else, whatever the path."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        allowed = tokens().may(request.headers.get("Authorization"))
        if not allowed:
            return wrong(401, "no token, or one that is not known here", "Authorization: Bearer with the node's token")
        if request.method not in allowed:
            return wrong(403, f"this token may not {request.method}", "the write token, which only the actuator has")
        return await handler(request)

    return guarded


@web.middleware
async def explained(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error of ours into its answer: 422 and 409 mean that nothing was done."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return wrong(error.status, error.reason, "a path and method of protocol v1, and at most 16 KiB")
    except OutOfBounds as error:
        return wrong_of(422, error)
    except Busy as error:
        return wrong_of(409, error)
    except HallkeeperError as error:
        log.warning("request failed", path=request.path, reason=str(error))
        return wrong_of(502, error)


class Protocol1:
    """The endpoints of protocol v1."""

    def __init__(
        self,
        *,
        life: Life,
        store: Store,
        clock: Clock,
        kernel: KernelWatch,
        gpus: GpuWatch,
        gpu_seconds: float,
        power: PowerLimiter,
        checkpoints: Checkpoints,
        repairs: Repairs,
    ) -> None:
        self._life = life
        self._store = store
        self._clock = clock
        self._kernel = kernel
        self._gpus = gpus
        self._gpu_age_ms = STALE_AFTER * gpu_seconds * 1000
        self._power = power
        self._checkpoints = checkpoints
        self._repairs = repairs
        self._waiters = 0

    def routes(self) -> list[web.RouteDef]:
        job = "/v1/jobs/{namespace}/{name}/checkpoint"
        return [
            web.get("/v1/heartbeat", self.heartbeat, allow_head=False),
            web.get("/v1/readings", self.readings, allow_head=False),
            web.get("/v1/events", self.events, allow_head=False),
            web.put("/v1/gpus/power-limit", self.power_limit),
            web.put("/v1/gpus/reset", self.reset_gpus),
            web.put("/v1/reboot", self.reboot),
            web.get("/v1/repair", self.repair, allow_head=False),
            web.put(job, self.ask_checkpoint),
            web.get(job, self.checkpoint, allow_head=False),
        ]

    async def heartbeat(self, _request: web.Request) -> web.Response:
        """Touches neither disk nor GPU: it must not stall with them."""
        return answer(
            Heartbeat(
                node=self._life.node,
                boot_id=self._life.boot_id,
                uptime_seconds=self._uptime(),
                at=self._clock.now_ms(),
                sequence=self._life.beats,
            )
        )

    def _uptime(self) -> float:
        return round(self._clock.boottime_ns() / 1e9, 3)

    async def readings(self, _request: web.Request) -> web.Response:
        """GPUs that fell silent are left out, never shown with what they said last."""
        age_ms = self._clock.now_ms() - self._gpus.at_ms
        late = age_ms > self._gpu_age_ms and bool(self._gpus.readings)
        return answer(
            Readings(
                at=self._clock.now_ms() if late else self._gpus.at_ms,
                boot_id=self._life.boot_id,
                uptime_seconds=self._uptime(),
                gpus=[] if late else self._gpus.readings,
                jobs=await self._checkpoints.ages(),
                text=f"the GPUs have not answered for {age_ms / 1000:.0f} s" if late else self._gpus.why_empty,
            )
        )

    async def events(self, request: web.Request) -> web.Response:
        """Events after a cursor; with `wait_seconds` the answer waits for the first one.

        A cursor of the future is told at once: this buffer is younger than the asker's, who starts again at `oldest`.
        """
        after = number(request.query.get("after", "0"), "after", high=2**53)
        seconds = min(number(request.query.get("wait_seconds", "0"), "wait_seconds", high=3600), WAIT_LIMIT_SECONDS)
        news = self._kernel.news  # before the look, or what comes between the look and the wait would not wake it
        events, oldest, newest = await asyncio.to_thread(self._store.events_after, int(after))
        if newest == after and seconds > 0:
            await self._wait(news, seconds)
            events, oldest, newest = await asyncio.to_thread(self._store.events_after, int(after))
        cursor = events[-1].id if events else min(int(after), newest)
        return answer(Events(boot_id=self._life.boot_id, cursor=cursor, oldest=oldest, events=events))

    async def _wait(self, news: asyncio.Event, seconds: float) -> None:
        if self._waiters >= WAITERS_LIMIT:
            raise Busy(f"{WAITERS_LIMIT} others wait for events already, try wait_seconds=0")
        self._waiters += 1
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await news.wait()
        finally:
            self._waiters -= 1

    async def power_limit(self, request: web.Request) -> web.Response:
        asked = await body(request, PowerLimit)
        return answer(PowerLimits(gpus=await asyncio.shield(self._power.limit(asked))))

    async def reset_gpus(self, request: web.Request) -> web.Response:
        return answer(await asyncio.shield(self._repairs.reset(await body(request, GpuReset))), 202)

    async def reboot(self, request: web.Request) -> web.Response:
        return answer(await asyncio.shield(self._repairs.reboot(await body(request, Reboot))), 202)

    async def repair(self, _request: web.Request) -> web.Response:
        return answer(await self._repairs.last())

    async def ask_checkpoint(self, request: web.Request) -> web.Response:
        job = job_name(request.match_info["namespace"], request.match_info["name"])
        asked = await body(request, CheckpointRequest)
        return answer(await self._checkpoints.request(job, asked), 202)

    async def checkpoint(self, request: web.Request) -> web.Response:
        job = job_name(request.match_info["namespace"], request.match_info["name"])
        return answer(await self._checkpoints.state(job))


async def body(request: web.Request, kind: type[T]) -> T:
    """The request's JSON as its type. Raises `OutOfBounds` for anything else."""
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.DecodeError as error:
        raise OutOfBounds(f"the request is wrong: {error}, try protocol v1 in docs/reference/agent.md") from error


_NUMBER = re.compile(r"\d{1,16}(\.\d{1,9})?")


def number(text: str, name: str, *, high: float) -> float:
    """A number of the query. Raises `OutOfBounds` for anything else."""
    if not _NUMBER.fullmatch(text) or float(text) > high:
        raise OutOfBounds(f"{name} is {text[:40]!r}, try a number from 0 to {high:g}")
    return float(text)


def application(protocol: Protocol1, tokens: Callable[[], Tokens]) -> web.Application:
    """The aiohttp application; the token function is asked each time, so that tokens can be exchanged."""
    app = web.Application(middlewares=[guard(tokens), explained], client_max_size=BODY_LIMIT)
    app.add_routes(protocol.routes())
    return app
