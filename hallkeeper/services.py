"""The composition root of one daemon: clock, bus, files and sockets are made here and handed to the rooms."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from bus.metrics import show
from bus.port import Bus, open_bus
from fleet.clock import Clock, SystemClock
from fleet.loader import load_site
from fleet.model import Site
from fleet.secrets import read_secret
from fleet.settings import Settings, load_settings
from hallkeeper import __version__
from hallkeeper.daemon import Daemon, Service
from hallkeeper.preflight import meet_bus, usable


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
    """Run the named services in this process until a signal comes."""
    settings = load_settings(path)
    site = load_site(settings.site)
    usable(settings.data)
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
        await Daemon(
            services,
            clock=clock,
            registry=registry,
            listen=settings.status_address(names[0]),
            on_reload=lambda: reload(services, path),
            addresses={
                name: address for name, service in services.items() if (address := getattr(service, "address", None))
            },
        ).run()


def partitions(site: Site) -> int:
    """One partition a zone number, and one for what belongs to none (zone 0)."""
    return max((asset.zone for asset in site.assets.values()), default=0) + 1


def reload(services: dict[str, Service], path: Path) -> None:
    """Check the files, then let each service that can take new ones do so; nothing changes when one of them is wrong."""
    settings = load_settings(path)
    load_site(settings.site)
    for service in services.values():
        take = getattr(service, "reload", None)
        if callable(take):
            take()


def _collectors(workshop: Workshop) -> Service:
    from collectors.service import CollectorService

    return CollectorService(workshop.site, workshop.bus, workshop.clock, workshop.settings, workshop.registry)


def _rules(workshop: Workshop) -> Service:
    from rules.service import RulesService

    return RulesService(workshop.site, workshop.bus, workshop.clock, workshop.settings, workshop.registry)


def _remediator(workshop: Workshop) -> Service:
    from remediator.service import RemediatorService

    return RemediatorService(workshop.site, workshop.bus, workshop.clock, workshop.settings, workshop.registry)


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

    return ConsoleService(
        site=workshop.site,
        bus=workshop.bus,
        registry=workshop.registry,
        listen=workshop.settings.listen,
        version=__version__,
    )


MAKERS: dict[str, Callable[[Workshop], Service]] = {
    "collectors": _collectors,
    "rules": _rules,
    "remediator": _remediator,
    "protective": _protective,
    "oncall": _oncall,
    "console": _console,
}
