"""Polls a Modbus device: one kept connection, only reads, one reading a signal group."""

import asyncio
from collections.abc import Mapping

from collectors.poller import Poll
from devices.profiles import PROFILES
from devices.profiles.profile import Profile
from devices.wire.modbus import ModbusLink
from devices.wire.modbus_points import points_of
from devices.wire.series import PointReadings
from fleet.clock import Clock
from fleet.errors import Malformed, Refused, Unreachable
from fleet.model import Endpoint
from fleet.settings import Settings

DEADLINE_SECONDS = 5.0
"""One poll of a device, all its blocks together (a default to tune)."""


class ModbusPoller:
    """One battery, coolant distribution unit or other register device."""

    def __init__(self, endpoint: Endpoint, profile: Profile, clock: Clock) -> None:
        """Raises `Refused` when the address or the unit number is none."""
        unit = endpoint.options.get("unit", 1)
        if not isinstance(unit, int) or isinstance(unit, bool) or not 0 <= unit <= 255:
            raise Refused(f"{endpoint.source}: Modbus unit {unit!r} is none, try a number from 0 to 255")
        self.signals: Mapping[str, float] = profile.intervals()
        self._source = endpoint.source
        self._link = ModbusLink(endpoint.address, unit=unit)
        self._points = points_of(profile, self._link)
        self._readings = PointReadings(profile.points)
        self._clock = clock

    async def poll(self, due: frozenset[str]) -> Poll:
        """Raises `Unreachable`, `Refused` or `Malformed`, each naming the device."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                found = await self._points.read(due)
        except TimeoutError as error:
            raise Unreachable(f"{self._source}: silent for {DEADLINE_SECONDS} s, try its network and power") from error
        except Malformed as error:
            raise Malformed(f"{self._source}: {error}") from error
        return Poll(readings=self._readings.of(found, due, at_ms=self._clock.now_ms()))

    async def close(self) -> None:
        self._link.close()


def open_poller(
    endpoint: Endpoint, secret: Mapping[str, object] | None, settings: Settings, clock: Clock
) -> ModbusPoller:
    """The poller of a Modbus endpoint; Modbus knows no credentials."""
    del secret, settings
    return ModbusPoller(endpoint, PROFILES[endpoint.profile], clock)
