"""The protective lane's own meters: each PDU read every second or two by itself, past collectors and bus."""

import asyncio
import struct
from collections.abc import Mapping, Sequence
from typing import Protocol

import structlog

from bus.frames import FrameWriter, SeriesLayout
from bus.port import Message
from devices.profiles import PROFILES
from devices.reading import Reading
from devices.wire.snmp import SnmpReader
from fleet.clock import Clock, within
from fleet.errors import HallkeeperError, Refused, Unreachable
from fleet.model import Asset, AssetId, Endpoint, Kind, Site, Wire
from fleet.secrets import read_secret

INLET, OUTLET = "inlet", "outlet"
READ_SECONDS = 1.8
"""One PDU's answer, so that a dead one costs no round (default to tune)."""
AT_ONCE = 64
"""PDUs that are asked at the same time."""
OUTLETS_EVERY_MS = 4_000
INVENTORY_EVERY_MS = 30_000
_FLOAT = struct.Struct("<d")
LABELS = ("node", "rack", "zone")

log = structlog.get_logger("hallkeeper.protective")


class MeterReader(Protocol):
    """Asks one PDU."""

    async def read(self, pdu: AssetId, due: frozenset[str]) -> Sequence[Reading]:
        """A reading for each due signal group. Raises `Unreachable`, `Refused` or `Malformed`."""
        ...


class SnmpMeters:
    """Every PDU of the site over SNMP, with the read credentials."""

    def __init__(self, site: Site, clock: Clock) -> None:
        self._site = site
        self._clock = clock
        self._readers: dict[AssetId, SnmpReader] = {}

    async def read(self, pdu: AssetId, due: frozenset[str]) -> Sequence[Reading]:
        """A reading for each due signal group. Raises `Unreachable`, `Refused` or `Malformed`."""
        if pdu not in self._readers:
            self._readers[pdu] = self._opened(pdu)
        return await self._readers[pdu].read(due, deadline_seconds=READ_SECONDS)

    def _opened(self, pdu: AssetId) -> SnmpReader:
        endpoint = endpoint_of(self._site.asset(pdu))
        reference = None if endpoint is None else self._site.credentials_for(endpoint, write=False)
        if endpoint is None or reference is None or endpoint.profile not in PROFILES:
            raise Refused(f"{pdu}: no SNMP endpoint with read credentials and a known profile, try the site file")
        secret = read_secret(reference, base=self._site.base)
        return SnmpReader(endpoint, secret, PROFILES[endpoint.profile], self._clock)


def endpoint_of(pdu: Asset) -> Endpoint | None:
    """How a PDU is metered."""
    return next((endpoint for endpoint in pdu.endpoints if endpoint.wire is Wire.SNMP), None)


class Rounds:
    """One round after the other over all PDUs; every answer becomes a frame for the lane's own window and rules."""

    def __init__(self, site: Site, reader: MeterReader, clock: Clock, boot: int) -> None:
        self._site = site
        self._reader = reader
        self._clock = clock
        self._writer = FrameWriter(boot)
        self._pdus = tuple(pdu for pdu in site.of_kind(Kind.PDU) if "rated_amperes" in pdu.ratings)
        self._outlets_at_ms = 0
        self._inventory_at_ms = 0
        self._silent: set[AssetId] = set()
        self._layouts: dict[tuple[AssetId, int], tuple[object, SeriesLayout]] = {}

    async def once(self) -> list[bytes]:
        """Ask every PDU once; what came back, as frames and tables."""
        now_ms = self._clock.now_ms()
        due = frozenset({INLET, OUTLET} if now_ms - self._outlets_at_ms >= OUTLETS_EVERY_MS else {INLET})
        if OUTLET in due:
            self._outlets_at_ms = now_ms
        gate = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._ask(pdu, due, gate)) for pdu in self._pdus]
        found = [message.value for task in tasks for message in task.result()]
        return [*self._inventory(now_ms), *found]

    async def _ask(self, pdu: Asset, due: frozenset[str], gate: asyncio.Semaphore) -> list[Message]:
        async with gate:
            try:
                readings = await within(self._clock, READ_SECONDS + 0.2, self._reader.read(pdu.id, due))
            except (HallkeeperError, TimeoutError) as error:
                self._quiet(pdu.id, error)
                return []
        if pdu.id in self._silent:
            self._silent.discard(pdu.id)
            log.info("meter answers again", pdu=str(pdu.id))
        return [message for reading in readings for message in self._frame(pdu, reading)]

    def _quiet(self, pdu: AssetId, error: Exception) -> None:
        if pdu not in self._silent:
            self._silent.add(pdu)
            log.warning("meter silent", pdu=str(pdu), why=str(error) or Unreachable.__name__)

    def _frame(self, pdu: Asset, reading: Reading) -> list[Message]:
        endpoint = endpoint_of(pdu)
        labels = {"job": "snmp" if endpoint is None else endpoint.job, "asset": str(pdu.id)}
        labels["instance"] = str(pdu.id) if endpoint is None else endpoint.instance
        labels |= {name: pdu.labels[name] for name in LABELS if pdu.labels.get(name)}
        key = (pdu.id, id(reading.series))
        known = self._layouts.get(key)
        if known is None or known[0] is not reading.series:
            series = [(name, tuple(sorted({**dict(own), **labels}.items()))) for name, own in reading.series]
            known = self._layouts[key] = (reading.series, SeriesLayout.of(series))
        source = f"{pdu.id}/snmp"
        return self._writer.messages(source, pdu.zone, known[1], reading.at_ms, reading.values, reading.quality)

    def _inventory(self, now_ms: int) -> list[bytes]:
        """The ratings that the rule joins with: from the site file, so that it needs no bus."""
        if now_ms - self._inventory_at_ms < INVENTORY_EVERY_MS:
            return []
        self._inventory_at_ms = now_ms
        series: list[tuple[str, Sequence[tuple[str, str]]]] = []
        values: list[float] = []
        for pdu in self._pdus:
            every: Mapping[str, str] = {"job": "fleet", "instance": self._site.name, "asset": str(pdu.id)}
            place = {name: pdu.labels[name] for name in LABELS if pdu.labels.get(name)}
            for phase in range(1, int(pdu.ratings.get("phases", 1)) + 1):
                labels = {**every, "zone": str(pdu.zone), **place, "phase": str(phase)}
                series.append(("fleet_pdu_phase_rated_amperes", tuple(sorted(labels.items()))))
                values.append(pdu.ratings["rated_amperes"])
        packed = b"".join(_FLOAT.pack(value) for value in values)
        messages = self._writer.messages("site/fleet", 0, SeriesLayout.of(series), now_ms, packed)
        return [message.value for message in messages]
