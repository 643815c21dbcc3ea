"""The targets of a site: which are polled here, with which poller, and which cannot be asked at all."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import structlog

from collectors.pace import Pace
from collectors.poller import NEVER_POLLED, PollerFactory, Secret, factory_of
from collectors.target import Target
from fleet.clock import Clock
from fleet.errors import HallkeeperError
from fleet.model import Endpoint, Site, Wire
from fleet.secrets import read_secret
from fleet.settings import Settings

log = structlog.get_logger("collectors.targets")

SETTING_OF = {"cooling": "cdu", "bess": "battery", "scheduler": "kubernetes"}
"""Signals whose interval has another name in the settings."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A target that cannot be asked until a person changes something."""

    endpoint: Endpoint
    reason: str


def intervals_of(signals: Mapping[str, float], settings: Settings, endpoint: Endpoint) -> dict[str, float]:
    """Seconds by signal: the endpoint's own `interval_seconds`, else the settings', else the profile's."""
    own = endpoint.options.get("interval_seconds")
    if isinstance(own, int | float) and own > 0:
        return dict.fromkeys(signals, float(own))
    return {
        signal: float(getattr(settings.intervals, SETTING_OF.get(signal, signal), seconds))
        for signal, seconds in signals.items()
    }


def zones_of(site: Site, settings: Settings) -> frozenset[int]:
    """The zones polled by this process: those of the settings, or every zone that an asset is in."""
    if settings.zones is not None:
        return frozenset(settings.zones)
    return frozenset(asset.zone for asset in site.assets.values())


def targets_of(
    site: Site,
    settings: Settings,
    clock: Clock,
    factory: Callable[[Wire], PollerFactory] = factory_of,
) -> Iterator[Target | Refusal]:
    """Every endpoint polled here; nothing is opened yet."""
    zones = zones_of(site, settings)
    now_ms = clock.boottime_ns() // 1_000_000
    secrets: dict[str, Secret] = {}
    for asset in site.assets.values():
        if asset.zone not in zones:
            continue
        for endpoint in asset.endpoints:
            if endpoint.wire in NEVER_POLLED:
                continue
            try:
                secret = _secret(site, endpoint, secrets)
                poller = factory(endpoint.wire)(endpoint, secret, settings, clock)
            except HallkeeperError as error:
                yield Refusal(endpoint, str(error))
                continue
            pace = Pace(endpoint.source, intervals_of(poller.signals, settings, endpoint), now_ms)
            yield Target(endpoint, asset, poller, pace)


def _secret(site: Site, endpoint: Endpoint, known: dict[str, Secret]) -> Secret | None:
    """The read secret of an endpoint, each file read once."""
    reference = site.credentials_for(endpoint, write=False)
    if reference is None:
        return None
    if reference not in known:
        known[reference] = read_secret(reference, base=site.base)
    return known[reference]
