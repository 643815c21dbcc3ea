"""The composition root of one daemon: clock, bus, files and sockets are made here and handed to the rooms."""

import asyncio
import faulthandler
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from bus.metrics import show
from bus.port import Bus, open_bus
from fleet.clock import Clock, SystemClock
from fleet.errors import HallkeeperError
from fleet.loader import load_site
from fleet.model import Site
from fleet.secrets import read_secret
from fleet.settings import Settings, load_settings
from hallkeeper import __version__
from hallkeeper.daemon import Daemon, Reload, Service
from hallkeeper.files import Contents, contents_of
from hallkeeper.preflight import look_over, meet_bus, partitions, usable

log = structlog.get_logger("hallkeeper.services")


class Workshop:
    """What every service may be handed, made once for a process."""

    def __init__(
        self,
        *,
        settings: Settings,
        site: Site,
        bus: Bus,
        clock: Clock,
        registry: CollectorRegistry,
        stack: AsyncExitStack,
    ) -> None:
        self.settings = settings
        self.site = site
        self.bus = bus
        self.clock = clock
        self.registry = registry
        self.stack = stack


async def serve(names: Sequence[str], path: Path) -> None:
    """Run the named services in this process until a signal comes; changed files make them anew."""
    task, again = asyncio.current_task(), True
    assert task is not None
    while again:
        # a daemon that runs takes the signals over; until then there is a bus to close
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            again = await serve_once(names, path)
        except asyncio.CancelledError:
            log.info("ended before it served")
            return


async def serve_once(names: Sequence[str], path: Path) -> bool:
    """Make everything from the files as they are, and run it; true when changed files want it made anew."""
    settings = load_settings(path)
    site = load_site(settings.site)
    usable(settings.data)
    contents = contents_of(path, settings, site)
    clock = SystemClock()
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    async with AsyncExitStack() as stack:
        await meet_bus(settings, clock, partitions=partitions(site))
        bus = await open_bus(
            settings.bus, data=settings.data, clock=clock, partitions=partitions(site), spool=f"spool-{'-'.join(names)}"
        )
        stack.push_async_callback(bus.close)
        show(bus, registry)
        workshop = Workshop(settings=settings, site=site, bus=bus, clock=clock, registry=registry, stack=stack)
        services = {name: MAKERS[name](workshop) for name in names}
        return await Daemon(
            services,
            clock=clock,
            registry=registry,
            listen=settings.status_address(names[0]),
            on_reload=Reloading(path, contents, services).reload,
            addresses={
                name: address for name, service in services.items() if (address := getattr(service, "address", None))
            },
            last_resort=partial(faulthandler.dump_traceback_later, exit=True),
        ).run()


class Reloading:
    """Reads the files again when it is told to, and says what that takes."""

    def __init__(self, path: Path, contents: Contents, services: Mapping[str, Service]) -> None:
        self._path = path
        self._contents = contents
        self._services = services

    def reload(self) -> Reload:
        """Check all files first: nothing changes when one of them is wrong. Raises `HallkeeperError` then."""
        settings, site = look_over(self._path)
        now = contents_of(self._path, settings, site)
        if now.others != self._contents.others:
            return Reload.ANEW
        if now.rules != self._contents.rules:
            takers = [getattr(service, "reload", None) for service in self._services.values()]
            if not all(callable(take) for take in takers):
                return Reload.ANEW
            for take in takers:
                take()  # type: ignore[misc]
        self._contents = now
        return Reload.TAKEN


def _collectors(workshop: Workshop) -> Service:
    from collectors.service import CollectorService

    return CollectorService(workshop.site, workshop.bus, workshop.clock, workshop.settings, workshop.registry)


def _rules(workshop: Workshop) -> Service:
    from rules.service import RulesService

    return RulesService(workshop.site, workshop.bus, workshop.clock, workshop.settings, workshop.registry)


def _remediator(workshop: Workshop) -> Service:
    from remediator.service import RemediatorService

    return RemediatorService(
        workshop.site, workshop.bus, workshop.clock, workshop.settings, workshop.registry, audited=True
    )


def _protective(workshop: Workshop) -> Service:
    from remediator.protective import ProtectiveService

    return ProtectiveService(workshop.site, workshop.bus, workshop.clock, workshop.settings, workshop.registry)


def _oncall(workshop: Workshop) -> Service:
    from oncall.service import OncallService, Receiver
    from oncall.signature import signing_key
    from oncall.webhook import HttpPoster

    settings = workshop.settings
    receivers = []
    for number, webhook in enumerate(settings.oncall.webhooks, start=1):
        keys: tuple[bytes, ...] = ()
        if webhook.secret:
            secret = read_secret(webhook.secret, base=settings.base)
            keys = tuple(signing_key(secret.text(name)) for name in ("secret", "previous") if name in secret)
        receivers.append(
            Receiver(
                name=f"webhook-{number}", poster=HttpPoster(webhook.url, allow_private=webhook.allow_private), keys=keys
            )
        )
    managers = [
        Receiver(
            name=f"alertmanager-{number}",
            poster=HttpPoster(manager.url.rstrip("/") + "/api/v2/alerts", allow_private=True),
        )
        for number, manager in enumerate(settings.oncall.alertmanagers, start=1)
    ]
    return OncallService(
        bus=workshop.bus,
        clock=workshop.clock,
        registry=workshop.registry,
        data=settings.data,
        receivers=tuple(receivers),
        alertmanagers=tuple(managers),
        external_url=f"http://{settings.listen}",
    )


def _console(workshop: Workshop) -> Service:
    from console.service import ConsoleService
    from rules.service import SHIPPED

    return ConsoleService(
        site=workshop.site,
        bus=workshop.bus,
        clock=workshop.clock,
        registry=workshop.registry,
        listen=workshop.settings.listen,
        version=__version__,
        rules=[Path(folder) for folder in workshop.settings.rules] or [SHIPPED],
    )


def _historian(workshop: Workshop) -> Service:
    from historian.recorder import Recorder, signers

    settings, site = workshop.settings, workshop.site
    if settings.historian.recordings is None:
        raise HallkeeperError("the historian has nothing to keep, try historian.recordings in hallkeeper.yaml")
    return Recorder(
        workshop.bus,
        workshop.clock,
        workshop.registry,
        settings.historian.recordings,
        site=site.path,
        name=site.name,
        version=__version__,
        trusted=signers(settings),
        keep_hours=settings.historian.keep_hours,
    )


MAKERS: dict[str, Callable[[Workshop], Service]] = {
    "collectors": _collectors,
    "rules": _rules,
    "remediator": _remediator,
    "protective": _protective,
    "oncall": _oncall,
    "console": _console,
    "historian": _historian,
}
