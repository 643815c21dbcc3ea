"""Publishes what a cluster's mirror shows: its nodes, pods and jobs as series, and what happened as events."""

import asyncio
from collections.abc import Mapping

from bus.events import DeviceEvent
from collectors.poller import Poll
from devices.profiles import PROFILES
from devices.reading import Reading
from devices.wire.kubernetes import KubernetesReader
from devices.wire.kubernetes_mirror import Change
from devices.wire.series import Layout
from fleet.clock import Clock
from fleet.errors import Refused, Unreachable
from fleet.model import Endpoint
from fleet.settings import Settings

FIRST_LIST_SECONDS = 10.0
"""How long the first poll waits for the lists (a default to tune)."""


class KubernetesPoller:
    """One cluster. Its mirror is kept by a task of its own from the first poll on, and ended by `close`."""

    def __init__(self, endpoint: Endpoint, secret: Mapping[str, object], clock: Clock) -> None:
        """Raises `Refused` when address, token or authority cannot be used."""
        self.signals: Mapping[str, float] = PROFILES[endpoint.profile].intervals()
        self._endpoint = endpoint
        self._clock = clock
        self._reader = KubernetesReader(endpoint, secret, clock)
        self._following: asyncio.Task[None] | None = None
        self._layout = Layout()

    async def poll(self, due: frozenset[str]) -> Poll:
        """A snapshot of the mirror. Raises `Unreachable`, `Refused` or `Malformed` while it is not current."""
        if self._following is None:
            self._following = asyncio.create_task(self._reader.run(), name=f"mirror of {self._endpoint.source}")
            await self._reader.settled(FIRST_LIST_SECONDS)
        if self._following.done():
            ended, self._following = self._following, None
            raise Unreachable(f"{self._endpoint.source}: its mirror ended ({ended.exception()!r}), starting it again")
        values = self._layout.values(self._reader.snapshot(), forget=True)
        now_ms = self._clock.now_ms()
        reading = Reading(series=self._layout.series, values=values, at_ms=now_ms, signal=min(due))
        return Poll(readings=(reading,), events=tuple(self._event(change) for change in self._reader.changes()))

    async def close(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait({self._following})
        await self._reader.close()

    def _event(self, change: Change) -> DeviceEvent:
        return DeviceEvent(
            asset=self._endpoint.asset,
            source=self._endpoint.source,
            kind=change.kind,
            code=change.code,
            severity=change.severity,
            text=change.text,
            at_ms=self._clock.now_ms() if change.at_ms is None else change.at_ms,
            labels=change.labels,
        )


def open_poller(
    endpoint: Endpoint, secret: Mapping[str, object] | None, settings: Settings, clock: Clock
) -> KubernetesPoller:
    """The poller of a cluster. Raises `Refused` without credentials."""
    del settings
    if secret is None:
        raise Refused(f"{endpoint.source}: a cluster is not read without a token, try `credentials` in site.yaml")
    return KubernetesPoller(endpoint, secret, clock)
