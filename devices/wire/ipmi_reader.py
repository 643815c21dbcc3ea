"""Reads one BMC again and again over one kept session, at the lowest privilege; commands nothing."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import cast

from devices.profiles.openbmc import DETAIL_REFRESH_SECONDS
from devices.reading import Series
from devices.wire import rmcp_bmc
from devices.wire.ipmi_metrics import NO_SENSORS, SensorPlan, detail_series, fast_series, plan_of
from devices.wire.rmcp import Client, Patience
from devices.wire.rmcp_bmc import SelTail, SensorReading
from devices.wire.rmcp_crypto import suite_of
from devices.wire.rmcp_link import Link
from devices.wire.rmcp_sdr import Sensor, decode_record
from devices.wire.rmcp_sel import SelInfo, SelRecord
from devices.wire.rmcp_session import USER, Account
from fleet.errors import Malformed, Refused
from fleet.model import Endpoint
from fleet.secrets import reveal

PATIENCE = Patience(timeout_seconds=1.0, tries=3, logins=1)
"""A dead BMC costs a poll 3 s (a default to tune)."""
REPOSITORY_SECONDS = 3.0
"""Of one poll for reading sensor records; a slow BMC's repository is read over several polls."""
DETAIL_SECONDS = 2.0
"""Of one poll for sensors beyond the fast set; the rest come with the next."""
SEL_SECONDS = 2.5
"""Of one poll for records of the event log; a long one is read over several polls. With the fast set the three stay
below the scheduler's 10 s on a BMC that takes 40 ms an answer."""
SEL_PIECE = 32
"""Records between two looks at the clock."""


def account_of(endpoint: Endpoint, secret: Mapping[str, object]) -> Account:
    """Who logs in to read. Raises `Refused` for a secret that lacks something; the suite is never negotiated down."""
    try:
        user, password, suite = (reveal(secret[key]) for key in ("user", "password", "suite"))
        return Account(user=user, password=password, suite=suite_of(int(suite)), privilege=USER)
    except (KeyError, ValueError) as error:
        raise Refused(f"{endpoint.source}: the secret lacks {error}, try user, password, suite (17 or 3)") from None


class BmcReader:
    """One BMC. Any failure ends the session; the next read logs in again."""

    def __init__(
        self, endpoint: Endpoint, secret: Mapping[str, object], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises `Refused` when the secret cannot be used."""
        self._where = endpoint.source
        self._address = endpoint.address
        self._account = account_of(endpoint, secret)
        self._monotonic = monotonic
        self._client: Client | None = None
        self._records: AsyncGenerator[bytes, None] | None = None
        self._found: list[Sensor] = []
        self.plan: SensorPlan = NO_SENSORS
        self._planned = False
        self._has_dcmi = True
        self._turn = 0
        self._details: dict[int, tuple[float, SensorReading]] = {}
        self.malformed = 0
        """Sensor records that could not be decoded and were left out."""

    async def fast(self) -> dict[Series, float]:
        """Power state, watts, inlet, fans, power supplies. Raises `Unreachable`, `Refused` or `Malformed`."""
        async with _Session(self) as client:
            status = await rmcp_bmc.chassis_status(client)
            found: dict[Series, float] = {("bmc_power_state", ()): float(status.power_on)}
            watts = await self._watts(client)
            await self._learn(client)
            sensors = [sensor for sensor in self.plan.fast if sensor is not self.plan.power or watts is None]
            readings = [reading for sensor in sensors if (reading := await self._read(client, sensor)) is not None]
            return found | fast_series(self.plan, readings, watts=watts)

    async def log(self, last: SelRecord | None) -> tuple[SelInfo, SelTail, int]:
        """The state of the event log, the records after `last`, and the BMC's clock in Unix seconds."""
        async with _Session(self) as client:
            info, bmc_seconds = await rmcp_bmc.sel_info(client), await rmcp_bmc.sel_time(client)
            end = self._monotonic() + SEL_SECONDS
            tail = await rmcp_bmc.sel_since(client, last, limit=SEL_PIECE)
            while tail.records and len(tail.records) % SEL_PIECE == 0 and self._monotonic() < end:
                more = await rmcp_bmc.sel_since(client, tail.last, limit=SEL_PIECE)
                tail = SelTail(tail.records + more.records, more.last, tail.gap or more.gap)
                if not more.records:
                    break
            return info, tail, bmc_seconds

    async def details(self) -> dict[Series, float]:
        """Every other sensor, read in turn; one is left out when its last reading is too old."""
        async with _Session(self) as client:
            began = self._monotonic()
            sensors = self.plan.details
            for _ in range(len(sensors)):
                if self._monotonic() - began > DETAIL_SECONDS:
                    break
                sensor = sensors[self._turn % len(sensors)]
                self._turn += 1
                reading = await self._read(client, sensor)
                self._details.pop(sensor.number, None)
                if reading is not None:
                    self._details[sensor.number] = (self._monotonic(), reading)
        oldest = self._monotonic() - DETAIL_REFRESH_SECONDS
        return detail_series(self.plan, [reading for at, reading in self._details.values() if at >= oldest])

    async def close(self) -> None:
        """Log out: BMCs have few sessions."""
        await self._forget_records()
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def opened(self) -> Client:
        """The session, logged in anew where there is none."""
        if self._client is None:
            client = Client(await Link.open(self._address), patience=PATIENCE)
            try:
                await client.login(self._account)
            except BaseException:
                client.link.close()
                raise
            self._client = client
        return self._client

    async def dropped(self, error: BaseException) -> None:
        """End the session after a failure; one that nobody answers on is left to expire."""
        await self._forget_records()
        client, self._client = self._client, None
        if client is None:
            return
        if isinstance(error, Malformed | Refused):
            await client.close()
        else:
            client.link.close()

    async def _read(self, client: Client, sensor: Sensor) -> SensorReading | None:
        """One sensor; one that the BMC will not read costs itself only."""
        try:
            return await rmcp_bmc.read_sensor(client, sensor)
        except Refused:
            return None

    async def _watts(self, client: Client) -> float | None:
        if not self._has_dcmi:
            return None
        try:
            reading = await rmcp_bmc.dcmi_power(client)
        except Refused:
            reading = None
        self._has_dcmi = reading is not None
        return float(reading.current_watts) if reading is not None and reading.active else None

    async def _learn(self, client: Client) -> None:
        """Read the sensor repository, a part in each poll until it is whole. A BMC that will not give it is asked again."""
        if self._planned:
            return
        if self._records is None:
            self._records = cast("AsyncGenerator[bytes, None]", rmcp_bmc.sensor_records(client))
            self._found = []
        end = self._monotonic() + REPOSITORY_SECONDS
        try:
            async for record in self._records:
                self._take(record)
                if self._monotonic() > end:
                    return
        except Refused:
            await self._forget_records()
            return
        self.plan, self._planned, self._records = plan_of(self._found), True, None

    def _take(self, record: bytes) -> None:
        try:
            self._found += decode_record(record)
        except Malformed:
            self.malformed += 1

    async def _forget_records(self) -> None:
        records, self._records = self._records, None
        if records is not None:
            await records.aclose()


class _Session:
    """The reader's session for one read: whatever goes wrong ends it."""

    def __init__(self, reader: BmcReader) -> None:
        self._reader = reader

    async def __aenter__(self) -> Client:
        return await self._reader.opened()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None:
            await self._reader.dropped(error)
