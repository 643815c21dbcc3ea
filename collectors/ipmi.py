"""Polls a BMC: power and a small set of sensors often, the event log's tail and everything else seldom, in one session."""

from collections.abc import Mapping

from bus.events import DeviceEvent
from collectors.poller import Poll
from devices.profiles import PROFILES
from devices.profiles.openbmc import Severity
from devices.reading import Reading, Series
from devices.wire.ipmi_metrics import record_told
from devices.wire.ipmi_reader import BmcReader
from devices.wire.rmcp_bmc import SelTail
from devices.wire.rmcp_sel import SelInfo, SelRecord
from devices.wire.series import Layout
from fleet.clock import Clock
from fleet.errors import Refused
from fleet.model import Endpoint
from fleet.settings import Settings

HISTORY_SECONDS = 86_400
"""Records older than this when they are first read are history, not news: they stay in the BMC's log."""
CLOCK_STEP_SECONDS = 30
"""A BMC's clock is believed within this; beyond it records are moved by its offset, rounded, so that ids stay the same."""


class IpmiPoller:
    """One BMC."""

    def __init__(self, endpoint: Endpoint, secret: Mapping[str, object], clock: Clock) -> None:
        """Raises `Refused` when the secret cannot be used."""
        self.signals: Mapping[str, float] = PROFILES[endpoint.profile].intervals()
        self._endpoint = endpoint
        self._clock = clock
        self._reader = BmcReader(endpoint, secret)
        self._layouts: dict[str, Layout] = {}
        self._last: SelRecord | None = None
        self._has_log = True

    async def poll(self, due: frozenset[str]) -> Poll:
        """Raises `Unreachable`, `Refused` or `Malformed`; the session is opened again by the next poll."""
        readings: list[Reading] = []
        events: list[DeviceEvent] = []
        if "bmc" in due:
            readings.append(self._reading("bmc", await self._reader.fast()))
        if "sel" in due:
            found = await self._log(events)
            readings.append(self._reading("sel", found | await self._reader.details()))
        return Poll(readings=tuple(readings), events=tuple(events))

    async def close(self) -> None:
        await self._reader.close()

    def _reading(self, signal: str, found: Mapping[Series, float]) -> Reading:
        layout = self._layouts.setdefault(signal, Layout())
        values = layout.values(found)
        return Reading(series=layout.series, values=values, at_ms=self._clock.now_ms(), signal=signal)

    async def _log(self, events: list[DeviceEvent]) -> dict[Series, float]:
        """The event log's state; what is new in it goes to `events`. A BMC without one is not asked again."""
        if not self._has_log:
            return {}
        try:
            info, tail, bmc_seconds = await self._reader.log(self._last)
        except Refused:
            if self._last is not None:
                raise
            self._has_log = False
            return {}
        events += self._news(info, tail, bmc_seconds)
        self._last = tail.last
        return {("bmc_sel_entries_count", ()): float(info.entries), ("bmc_sel_free_bytes", ()): float(info.free_bytes)}

    def _news(self, info: SelInfo, tail: SelTail, bmc_seconds: int) -> list[DeviceEvent]:
        now_ms = self._clock.now_ms()
        offset = clock_offset_seconds(now_ms // 1000 - bmc_seconds)
        events = []
        if tail.gap:
            events.append(self._told("cleared", "info", f"the event log was cleared, {info.entries} left", now_ms, "0"))
        for record in tail.records:
            at_ms = now_ms if record.at is None else (record.at + offset) * 1000
            if self._last is None and at_ms < now_ms - HISTORY_SECONDS * 1000:
                continue
            severity, text = record_told(record, self._reader.plan.names)
            events.append(self._told(record.code, severity, text, at_ms, str(record.record)))
        return events

    def _told(self, code: str, severity: Severity, text: str, at_ms: int, record: str) -> DeviceEvent:
        return DeviceEvent(
            asset=self._endpoint.asset,
            source=self._endpoint.source,
            kind="sel",
            code=code,
            severity=severity,
            text=text,
            at_ms=at_ms,
            labels={"record": record},
        )


def clock_offset_seconds(measured: int) -> int:
    """What to add to a BMC's times: nothing while its clock is about right, else the offset to ten seconds."""
    return 0 if abs(measured) <= CLOCK_STEP_SECONDS else round(measured / 10) * 10


def open_poller(
    endpoint: Endpoint, secret: Mapping[str, object] | None, settings: Settings, clock: Clock
) -> IpmiPoller:
    """The poller of a BMC. Raises `Refused` without credentials or a known profile."""
    del settings
    if secret is None:
        raise Refused(f"{endpoint.source}: a BMC is not read without a user, try `credentials` in site.yaml")
    if endpoint.profile not in PROFILES:
        raise Refused(f"{endpoint.source}: no profile {endpoint.profile!r}, try openbmc")
    return IpmiPoller(endpoint, secret, clock)
