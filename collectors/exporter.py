"""Polls a Prometheus exporter: one kept connection, the page as one reading."""

from collections.abc import Mapping

from collectors.poller import Poll, Secret
from devices.profiles import PROFILES
from devices.profiles.profile import SIGNAL_SECONDS
from devices.wire.scrape import PageReader
from fleet.clock import Clock
from fleet.model import Endpoint
from fleet.settings import Settings

OTHER = "node"
"""Signal of an exporter that no profile knows: its page passes through all the same."""


class ExporterPoller:
    """One exporter; its page is one signal, whatever is on it."""

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        """Raises `Refused` for an address that is no URL."""
        profile = PROFILES.get(endpoint.profile)
        self.signals: Mapping[str, float] = (
            profile.intervals() if profile is not None else {OTHER: SIGNAL_SECONDS[OTHER]}
        )
        signal = next(iter(self.signals))
        self._reader = PageReader(endpoint.address, signal=signal, clock=clock)

    async def poll(self, due: frozenset[str]) -> Poll:
        """Raises `Unreachable`, `Refused` or `Malformed`, each naming the page; the scheduler bounds its time."""
        del due
        return Poll(readings=(await self._reader.read(),))

    async def close(self) -> None:
        await self._reader.close()


def open_poller(endpoint: Endpoint, secret: Secret | None, settings: Settings, clock: Clock) -> ExporterPoller:
    """The poller of an exporter's page; pages are read without credentials."""
    del secret, settings
    return ExporterPoller(endpoint, clock)
