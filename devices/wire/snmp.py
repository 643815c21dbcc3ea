"""Polling over SNMP v2c and v3: tables are learned by GETBULK, then exactly their wanted cells are read by GET.

A GET of known cells never over-reads a table, and its answer is checked cell by cell. Rows that came or went are found
when an answer lacks a cell, and every ten minutes.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import NoReturn, TypeVar
from zlib import crc32

from devices.profiles.profile import Profile
from devices.reading import Reading
from devices.wire.address import host_and_port
from devices.wire.snmp_rows import Column, Plan, Raw, decode, plan_of, wanted
from devices.wire.snmp_session import Session, read_user
from fleet.clock import Clock
from fleet.errors import Malformed, Refused, Unreachable
from fleet.model import Endpoint

T = TypeVar("T")
Answer = dict[str, Raw]

SNMP_PORT = 161
LEARN_SECONDS = 600.0
"""How long a table's rows are taken for granted while every cell answers (default to tune)."""
LONGEST_ATTEMPT_SECONDS = 1.8
"""How long one request waits at most: two of them fit into a poll's deadline."""
SMALLEST = 8
"""Cells of a request that an agent gets when it is silent to larger ones (default to tune)."""
WALKED_SECONDS = 60.0
"""How long a column walked by a poll that ran out of time is kept for the next one."""
SYS_OBJECT_ID = "1.3.6.1.2.1.1.2.0"


class SnmpReader:
    """One agent: its session, and what of its tables each signal group reads."""

    def __init__(
        self,
        endpoint: Endpoint,
        secret: Mapping[str, object],
        profile: Profile,
        clock: Clock,
        *,
        attempt_seconds: float = 0.7,
    ) -> None:
        """Nothing is opened yet. `attempt_seconds` is how long one request waits before it is sent again.

        Raises `Refused` for an address or a secret that cannot be used.
        """
        self._host, self._port = host_and_port(endpoint.address, SNMP_PORT)
        self._user = read_user(secret)
        self._integrity = "user" in self._user
        self._profile, self._clock = profile, clock
        self._where = f"{endpoint.source} at {endpoint.address}"
        self._attempt_seconds = self._patience_seconds = attempt_seconds
        self._session: Session | None = None
        self._plans: dict[str, Plan] = {}
        self._learn_at_ms: dict[str, int] = {}
        self._walked: dict[str, tuple[Column, int]] = {}
        self._at_once = profile.max_repetitions
        self._spread = crc32(endpoint.source.encode()) % 1000 / 1000
        """Part of the learning interval by which this agent is ahead of others that started with it."""

    async def read(self, due: frozenset[str], *, deadline_seconds: float) -> tuple[Reading, ...]:
        """A reading for each due signal group that the agent serves.

        Raises `Unreachable` when the deadline passes or no request is answered, `Refused` when the agent does not let
        us in or serves nothing of the profile, and `Malformed` for answers that are no SNMP or tables in circles.
        """
        try:
            async with asyncio.timeout(deadline_seconds):
                readings = [await self._signal(signal) for signal in sorted(due)]
                if not any(plan.oids for plan in self._plans.values()):
                    await self._nothing()
        except TimeoutError as error:
            await self._distrust(silent=True)
            raise Unreachable(f"{self._where}: no whole answer within {deadline_seconds:g} s") from error
        except (Unreachable, Refused, Malformed) as error:
            await self._distrust(silent=isinstance(error, Unreachable))
            raise type(error)(f"{self._where}: {error}") from error
        return tuple(reading for reading in readings if reading is not None)

    async def close(self) -> None:
        """Give the socket back."""
        if self._session is not None:
            self._session.release()
            self._session = None

    async def _opened(self) -> Session:
        """The session; over v3 with its engine discovered."""
        if self._session is None:
            try:
                found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
                address = str(found[0][4][0])
                self._session = Session(address, self._port, timeout_seconds=self._patience_seconds, user=self._user)
            except OSError as error:
                raise Unreachable(f"no socket to it ({error}), try its address") from error
        await self._session.ready()
        return self._session

    async def _again(self, request: Callable[[Session], Awaitable[T]]) -> T:
        """A request; over v3 once more with a new session, since gufo passes over the report of an agent that restarted."""
        try:
            return await request(await self._opened())
        except (Unreachable, Refused):
            if not self._integrity:
                raise
        await self.close()
        return await request(await self._opened())

    async def _signal(self, signal: str) -> Reading | None:
        plan = self._plans.get(signal)
        if plan is None or self._clock.now_ms() >= self._learn_at_ms[signal]:
            plan = await self._learn(signal)
        raw = await self._raw(plan)
        if raw is None:
            plan = await self._learn(signal)
            raw = await self._raw(plan)
        if not plan.oids:
            return None
        if raw is None:
            raise Malformed("cells that a walk just showed are not there, the agent's tables change under the poll")
        values, quality = decode(plan, raw, integrity=self._integrity)
        return Reading(series=plan.series, values=values, quality=quality, at_ms=self._clock.now_ms(), signal=signal)

    async def _learn(self, signal: str) -> Plan:
        """Walk the signal's columns and plan what to read from now on."""
        columns = {oid: await self._column(oid) for oid in wanted(self._profile, signal)}
        self._walked.clear()
        plan = plan_of(self._profile, signal, columns, self._plans.get(signal))
        first = signal not in self._plans
        wait_ms = LEARN_SECONDS * 1000 * (self._spread if first else 1.0)
        self._learn_at_ms[signal] = self._clock.now_ms() + int(max(wait_ms, 60_000))
        self._plans[signal] = plan
        return plan

    async def _column(self, oid: str) -> Column:
        """One column; a slow agent's columns are kept until all of them are there, over several polls if need be."""
        kept = self._walked.get(oid)
        if kept is not None and self._clock.now_ms() < kept[1]:
            return kept[0]
        column = await self._again(partial(Session.column, base=oid, max_repetitions=self._at_once))
        self._walked[oid] = column, self._clock.now_ms() + int(WALKED_SECONDS * 1000)
        return column

    async def _nothing(self) -> NoReturn:
        """The agent has not one cell of the profile. Raises what that means: another family, or tables still to come."""
        self._plans.clear()
        told = (await self._again(partial(Session.values, oids=[SYS_OBJECT_ID]))).get(SYS_OBJECT_ID)
        if isinstance(told, str) and told.startswith(self._profile.sys_object_id):
            raise Unreachable(f"it is a {self._profile.name} but serves none of its tables yet")
        raise Refused(
            f"it serves nothing of profile {self._profile.name} and its sysObjectID is {told!r},"
            f" expected {self._profile.sys_object_id}, try another profile"
        )

    async def _raw(self, plan: Plan) -> list[Raw] | None:
        """The plan's raw values in its order; None when the agent lacks one of them."""
        raw: list[Raw] = []
        at = 0
        session = await self._opened()
        while at < len(plan.oids):
            asked = plan.oids[at : at + self._at_once]
            try:
                answer = await session.values(asked)
            except (Unreachable, Refused) as error:
                session, asked, answer = await self._once_more(asked, error)
            if not answer and self._at_once > 1:
                self._at_once = max(self._at_once // 2, 1)  # tooBig: gufo shows an error status as an empty answer
                continue
            try:
                raw.extend(map(answer.__getitem__, asked))
            except KeyError:
                return None
            at += len(asked)
        return raw

    async def _once_more(self, asked: list[str], error: Unreachable | Refused) -> tuple[Session, list[str], Answer]:
        """Another try: over v3 with a new session; an agent silent to large requests gets small ones from now on."""
        if self._integrity:
            await self.close()
        elif isinstance(error, Refused) or len(asked) <= SMALLEST:
            raise error
        else:
            asked = asked[:SMALLEST]
        session = await self._opened()
        answer = await session.values(asked)
        if not self._integrity:
            self._at_once = SMALLEST
        return session, asked, answer

    async def _distrust(self, *, silent: bool) -> None:
        """After a failure nothing is taken for granted but what its tables hold; a slow agent gets more time."""
        grown = min(2 * self._patience_seconds, LONGEST_ATTEMPT_SECONDS)
        self._patience_seconds = max(grown, self._attempt_seconds) if silent else self._attempt_seconds
        await self.close()
