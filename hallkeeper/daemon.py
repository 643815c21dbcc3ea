"""One long-running process: it runs services, answers `/metrics`, `/healthz`, `/readyz`, and speaks systemd's protocol."""

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from enum import StrEnum
from typing import Protocol

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from fleet.clock import Clock
from fleet.errors import HallkeeperError
from hallkeeper.notify import notify

STALLED_SECONDS = 30.0
"""A service whose progress stands still for so long is unwell (default of ours; systemd's WatchdogSec is 30 in our units)."""
DRAIN_SECONDS = 23.0
"""How long a drain may take before services are told again to stop (below Kubernetes' default grace of 30 s) …"""
LAST_SECONDS = 3.0
"""… and how long that may take before the process goes anyway."""
LAST_ANSWER_SECONDS = 1.0
"""How long requests for the status page that are under way may take at the end."""

log = structlog.get_logger("hallkeeper.daemon")


class Service(Protocol):
    """What a room offers to be run: work until cancelled, say why it is not ready, count the work it does."""

    @property
    def progress(self) -> int: ...

    async def run(self) -> None: ...

    def not_ready(self) -> str | None: ...


class Reload(StrEnum):
    """What came of reading the files again."""

    TAKEN = "taken"
    """Nothing changed that is in use, or the services have taken it while they run."""
    ANEW = "anew"
    """The services must be made anew to take it."""


class AddressInUse(HallkeeperError):
    """A port that this process should listen on is taken."""


class Pulse:
    """Judges whether each service still makes progress: the watchdog is fed by work done, not by a live loop."""

    def __init__(
        self, services: Mapping[str, Service], *, started_ns: int, stalled_seconds: float = STALLED_SECONDS
    ) -> None:
        self._services = services
        self._stalled_ns = int(stalled_seconds * 1e9)
        self._seen = {name: (service.progress, started_ns) for name, service in services.items()}

    def stalled(self, now_ns: int) -> list[str]:
        """Names of services whose progress has not moved for `stalled_seconds`."""
        late = []
        for name, service in self._services.items():
            progress, since = self._seen[name]
            if service.progress != progress:
                self._seen[name] = (service.progress, now_ns)
            elif now_ns - since > self._stalled_ns:
                late.append(name)
        return late


def status_app(
    services: Mapping[str, Service], pulse: Pulse, registry: CollectorRegistry, clock: Clock
) -> web.Application:
    """The small HTTP face of a daemon: metrics for Prometheus, liveness and readiness for supervisors."""

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_request: web.Request) -> web.Response:
        late = pulse.stalled(clock.boottime_ns())
        return web.json_response({"status": "stalled" if late else "ok", "stalled": late}, status=503 if late else 200)

    async def readyz(_request: web.Request) -> web.Response:
        waiting = {name: why for name, service in services.items() if (why := service.not_ready())}
        return web.json_response({"ready": not waiting, "waiting": waiting}, status=503 if waiting else 200)

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics)])
    app.add_routes([web.get(path, healthz) for path in ("/healthz", "/-/healthy")])
    app.add_routes([web.get(path, readyz) for path in ("/readyz", "/-/ready")])
    return app


@contextlib.asynccontextmanager
async def listening(app: web.Application, address: str) -> AsyncIterator[str]:
    """Serve `app` on `host:port` (port 0: any free one); yields the address taken. Raises `AddressInUse`."""
    host, _, port = address.rpartition(":")
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=LAST_ANSWER_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host.strip("[]"), int(port))
        try:
            await site.start()
        except OSError as error:
            raise address_error(address, error) from error
        taken = runner.addresses[0]
        yield f"{taken[0]}:{taken[1]}"
    finally:
        await runner.cleanup()


def address_error(address: str, error: OSError) -> HallkeeperError:
    """Say in words why an address cannot be listened on, and what to try."""
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(
            f"{address} is in use by another program; try: another port under `listen:` in hallkeeper.yaml, or stop what holds it"
        )
    return HallkeeperError(
        f"cannot listen on {address}: {error.strerror}; try: an address of this machine under `listen:` in hallkeeper.yaml"
    )


class Daemon:
    """Runs services until a signal comes, then drains them."""

    def __init__(
        self,
        services: Mapping[str, Service],
        *,
        clock: Clock,
        registry: CollectorRegistry,
        listen: str,
        on_reload: Callable[[], Reload] | None = None,
        addresses: Mapping[str, str] | None = None,
        leave: Callable[[int], object] = os._exit,
        last_resort: Callable[[float], object] = lambda _seconds: None,
    ) -> None:
        """`leave` ends the process without any further waiting.

        `last_resort` is armed when the end begins: whatever hangs then, the loop itself included, is told and ended after
        that many seconds.
        """
        self._services = services
        self._clock = clock
        self._registry = registry
        self._listen = listen
        self._on_reload = on_reload
        self._addresses = dict(addresses or {})
        self._stop = asyncio.Event()
        self._leave = leave
        self._last_resort = last_resort
        self._anew = False
        self._ending = False
        self._reloaded_ok = Gauge(
            "hallkeeper_config_last_reload_successful",
            "1 when the last reload of files was taken, 0 when the old ones were kept.",
            registry=registry,
        )
        self._reloaded_ok.set(1)

    async def run(self) -> bool:
        """Serve until SIGTERM or SIGINT, or until the files must be taken anew (true then); raises what a service raised."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        pulse = Pulse(self._services, started_ns=self._clock.boottime_ns())
        async with listening(status_app(self._services, pulse, self._registry, self._clock), self._listen) as address:
            log.info("listening", address=address)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(service.run(), name=name) for name, service in self._services.items()]
                watch = group.create_task(self._watch(pulse, address))
                await self._stop.wait()
                log.info("draining", anew=self._anew)
                watch.cancel()
                await self._drained(tasks)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)  # nothing is at work now: a signal between two makings ends the process
        log.info("stopped", anew=self._anew)
        return self._anew

    def _end(self) -> None:
        notify("STOPPING=1")
        if not self._ending:
            self._last_resort(DRAIN_SECONDS + LAST_SECONDS + LAST_ANSWER_SECONDS)
        self._ending = True
        self._anew = False
        self._stop.set()

    async def _drained(self, tasks: Collection[asyncio.Task[None]]) -> None:
        """Cancel, wait, cancel once more (a library may have swallowed it), and in the end go without them."""
        for seconds in (DRAIN_SECONDS, LAST_SECONDS):
            for task in tasks:
                task.cancel()
            _done, tasks = await asyncio.wait(tasks, timeout=seconds)
            if not tasks:
                return
            log.error("did not drain in time", services=sorted(task.get_name() for task in tasks), seconds=seconds)
        self._leave(1)

    def _reload(self) -> None:
        if self._on_reload is None or self._stop.is_set():
            return
        notify("RELOADING=1")
        try:
            reload = self._on_reload()
        except HallkeeperError as error:
            self._reloaded_ok.set(0)
            log.error("reload refused, the old files stay in force", why=str(error))
        else:
            self._reloaded_ok.set(1)
            log.info("reloaded", files=reload.value)
            if reload is Reload.ANEW:
                self._anew = True
                self._stop.set()
                return
        notify("READY=1")

    async def _watch(self, pulse: Pulse, address: str) -> None:
        """Tell systemd (and the parent) when all is ready, then feed the watchdog while work is done."""
        ready = False
        while True:
            if not ready and not any(service.not_ready() for service in self._services.values()):
                ready = True
                named = "".join(f"\nX_{name.upper()}={where}" for name, where in self._addresses.items())
                notify(f"READY=1\nX_ADDRESS={address}{named}")
                log.info("ready", **self._addresses)
            late = pulse.stalled(self._clock.boottime_ns())
            if late:
                log.error("no progress", services=late, seconds=STALLED_SECONDS)
            else:
                notify("WATCHDOG=1")
            await self._clock.sleep(0.1 if not ready else 5.0)
