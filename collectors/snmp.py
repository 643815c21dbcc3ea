"""Polls an SNMP agent: one session, one reading a signal group."""

from collections.abc import Mapping

from collectors.poller import Poll, Secret
from devices.profiles import PROFILES
from devices.profiles.profile import Profile
from devices.wire.snmp import SnmpReader
from fleet.clock import Clock
from fleet.errors import Refused
from fleet.model import Endpoint
from fleet.settings import Settings

DEADLINE_SECONDS = 4.0
"""One poll of an agent, all its tables together (default to tune)."""


class SnmpPoller:
    """One PDU or other agent with tables."""

    def __init__(self, endpoint: Endpoint, secret: Secret, profile: Profile, clock: Clock) -> None:
        """Raises `Refused` for an address or a secret that cannot be used."""
        self.signals: Mapping[str, float] = profile.intervals()
        self._reader = SnmpReader(endpoint, secret, profile, clock)

    async def poll(self, due: frozenset[str]) -> Poll:
        """Raises `Unreachable`, `Refused` or `Malformed`, each naming the agent."""
        return Poll(readings=await self._reader.read(due, deadline_seconds=DEADLINE_SECONDS))

    async def close(self) -> None:
        await self._reader.close()


def open_poller(endpoint: Endpoint, secret: Secret | None, settings: Settings, clock: Clock) -> SnmpPoller:
    """The poller of an SNMP endpoint. Raises `Refused` when it has no credentials or no known profile."""
    del settings
    if secret is None:
        raise Refused(f"{endpoint.source}: SNMP needs a community or a user, try `credentials:` in the site file")
    profile = PROFILES.get(endpoint.profile)
    if profile is None:
        raise Refused(f"{endpoint.source}: no profile {endpoint.profile!r}, try one of {', '.join(sorted(PROFILES))}")
    return SnmpPoller(endpoint, secret, profile, clock)
