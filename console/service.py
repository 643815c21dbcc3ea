"""The console's process: follows the bus, serves the API."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog
import uvicorn
from prometheus_client import CollectorRegistry, Counter

from bus.errors import UnknownMajor
from bus.events import decode_event
from bus.port import Bus, Record
from bus.topics import ALERTS, INCIDENTS, REMEDIATIONS
from console.api import build_api
from console.explain import Explanations
from console.prometheus.routes import PrometheusApi
from console.prometheus.window import QueryWindow
from console.state import LiveState
from fleet.clock import Clock
from fleet.errors import ConfigurationError, HallkeeperError, Malformed
from fleet.model import Site
from rules.files.load import load_rules
from rules.files.model import RuleSet

TOPICS = (INCIDENTS, ALERTS, REMEDIATIONS)

log = structlog.get_logger("console")


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the daemon owns the signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ConsoleService:
    """Serves the API on one address."""

    def __init__(
        self,
        *,
        site: Site,
        bus: Bus,
        clock: Clock,
        registry: CollectorRegistry,
        listen: str,
        version: str,
        rules: Sequence[Path],
    ) -> None:
        """`rules` are the files and folders that the rule engine has loaded; they are shown, not evaluated."""
        self._bus = bus
        self._state = LiveState()
        self._folders = tuple(rules)
        self._rules = RuleSet()
        self.reload()
        self._window = QueryWindow(bus=bus, clock=clock, registry=registry, alerts=self._state.alerts.values)
        self._waiting: str | None = "reading the bus"
        self._listener = listen_on(listen)
        self.address = "{}:{}".format(*self._listener.getsockname()[:2])
        self.progress = 0
        self._parked = Counter(
            "hallkeeper_console_parked_total", "Records that this version cannot read.", ["topic"], registry=registry
        )
        prometheus = PrometheusApi(
            window=self._window,
            clock=clock,
            rules=lambda: self._rules,
            alerts=self._state.alerts.values,
            version=version,
        )
        api = build_api(
            site=site,
            state=self._state,
            prometheus=prometheus,
            explanations=Explanations(
                window=self._window, clock=clock, rules=lambda: self._rules, alerts=self._state.alerts.values
            ),
            registry=registry,
            not_ready=self.not_ready,
            version=version,
        )
        self._server = _Server(
            uvicorn.Config(api, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=3)
        )

    def not_ready(self) -> str | None:
        """None when the bus's present state is known."""
        return self._waiting

    def reload(self) -> None:
        """Show the rule files as they are now; wrong ones are the rule engine's to refuse, here the old stay."""
        try:
            self._rules = load_rules(self._folders)
        except ConfigurationError as error:
            log.error("rule files cannot be shown", why=str(error))

    async def run(self) -> None:
        """Run until cancelled; open streams are ended first."""
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(self._server.serve(sockets=[self._listener]))
            filling = group.create_task(self._window.run())
            following = group.create_task(self._follow())
            try:
                await asyncio.shield(following)
            finally:
                self._state.close()
                filling.cancel()
                self._server.should_exit = True
                await asyncio.wait([serving], timeout=5.0)

    async def _follow(self) -> None:
        reader = await self._bus.reader(topics=list(TOPICS))
        try:
            while True:
                records = await reader.fetch(limit=1000, timeout_seconds=1.0)
                for record in records:
                    self._take(record)
                if len(records) < 1000:
                    self._waiting = None
                self.progress += 1
        finally:
            await reader.close()

    def _take(self, record: Record) -> None:
        if record.value is None:
            return
        try:
            self._state.take(decode_event(record.value))
        except (Malformed, UnknownMajor) as error:
            self._parked.labels(record.topic).inc()
            log.error("a record cannot be read", topic=record.topic, offset=record.offset, why=str(error))


def listen_on(address: str) -> socket.socket:
    """A listening socket on `host:port`. Raises `HallkeeperError` that says what holds the port and what to try."""
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay off (40 ms an answer) only where the socket says that it is TCP
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), int(port)))
    except OSError as error:
        listener.close()
        raise HallkeeperError(
            f"{address}: cannot listen ({error.strerror}); try: another address under `listen:` in hallkeeper.yaml, or stop what holds it"
        ) from error
    listener.listen(128)
    listener.setblocking(False)
    return listener
