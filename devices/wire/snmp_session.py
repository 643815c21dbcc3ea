"""One SNMP session over gufo: read only, every wait bounded, foreign errors mapped here and nowhere else.

gufo registers and removes its socket with the event loop at every request and wraps each wait in a task; here the socket
stays registered, which takes a third off the cost of an answer. gufo does not show an answer's error status: an answer
without any varbind stands for tooBig, genErr and the like, and the callers ask for less before they believe it.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from gufo.snmp import (
    Aes128Key,
    Sha1Key,
    Sha224Key,
    Sha256Key,
    Sha384Key,
    Sha512Key,
    SnmpAuthError,
    SnmpError,
    SnmpVersion,
    User,
)
from gufo.snmp._fast import GetIter
from gufo.snmp.aio import SnmpSession

from fleet.errors import Malformed, Refused, Unreachable
from fleet.secrets import reveal

T = TypeVar("T")
Raw = int | float | str | bytes | None
Oid = tuple[int, ...]

AUTH_KEYS = {"sha1": Sha1Key, "sha224": Sha224Key, "sha256": Sha256Key, "sha384": Sha384Key, "sha512": Sha512Key}
PRIV_KEYS = {"aes128": Aes128Key}
REFRESH_SECONDS = 120.0
"""SNMPv3: agents take a message 150 s around their own clock (RFC 3414, 2.2.3); a session idle this long asks anew."""
ROWS_LIMIT = 4096
"""Rows of one column: beyond it the agent counts in circles."""
ATTEMPTS = 3
"""Sends of one request; all of them share the poll's deadline."""
SMALLER = 4
"""How much smaller the answers of a walk get that may have been cut short."""


def read_user(secret: Mapping[str, object]) -> dict[str, object]:
    """The keyword arguments of a gufo session for a secret. Raises `Refused` for a version or algorithm it lacks."""
    version = str(secret.get("version", "2c"))
    if version == "2c":
        return {"version": SnmpVersion.v2c, "community": reveal(_wanted(secret, "community"))}
    if version != "3":
        raise Refused(f"SNMP version {version!r} is not spoken here, try 2c or 3")
    auth, priv = str(secret.get("auth", "sha256")).lower(), str(secret.get("priv", "aes128")).lower()
    if auth not in AUTH_KEYS or priv not in PRIV_KEYS:
        known = f"{', '.join(AUTH_KEYS)} and {', '.join(PRIV_KEYS)}"
        raise Refused(f"SNMPv3 with {auth} and {priv} is not spoken here, try {known}")
    user = User(
        reveal(_wanted(secret, "user")),
        auth_key=AUTH_KEYS[auth](reveal(_wanted(secret, "auth_key")).encode()),
        priv_key=PRIV_KEYS[priv](reveal(_wanted(secret, "priv_key")).encode()),
    )
    return {"version": SnmpVersion.v3, "user": user}


def _wanted(secret: Mapping[str, object], key: str) -> object:
    if key not in secret:
        raise Refused(f"the SNMP secret has no {key!r}, try adding it to its file")
    return secret[key]


class Session(SnmpSession):  # type: ignore[misc]  # gufo ships types that its compiled half does not keep
    """A gufo session whose socket stays registered with the event loop while answers come as expected."""

    def __init__(self, address: str, port: int, *, timeout_seconds: float, user: Mapping[str, object]) -> None:
        super().__init__(address, port, timeout=timeout_seconds, **user)
        self._waiter: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_v3 = user["version"] == SnmpVersion.v3
        self._refreshed_at = float("-inf")

    async def _recv(self, receiver: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            loop.add_reader(self._fd, self._readable)
            self._loop = loop
        alarm = loop.call_later(self._timeout, self._expired)
        try:
            while True:
                self._waiter = loop.create_future()
                await self._waiter
                try:
                    return receiver()
                except BlockingIOError:  # a late answer to an earlier request: gufo has passed over it
                    continue
        finally:
            alarm.cancel()
            self._waiter = None

    def _readable(self) -> None:
        if self._waiter is None:
            self.release()  # nobody waits: a late datagram stays unread until the next request
        elif not self._waiter.done():
            self._waiter.set_result(None)

    def _expired(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(TimeoutError())

    def release(self) -> None:
        """Take the socket off the event loop; the next request registers it again."""
        if self._loop is not None:
            self._loop.remove_reader(self._fd)
            self._loop = None

    async def ready(self) -> None:
        """SNMPv3: discover the engine, and again when the session was idle for longer than an agent remembers."""
        if self._is_v3 and time.monotonic() - self._refreshed_at > REFRESH_SECONDS:
            with mapped():
                self._to_refresh = True
                await self.refresh()
            self._refreshed_at = time.monotonic()

    async def values(self, oids: list[str]) -> dict[str, Raw]:
        """One GET: what the agent has of these. Empty stands for an error status (tooBig) or for none of them."""
        try:
            self._sock.send_get_many(oids)
            answer: dict[str, Raw] = await self._recv(self._sock.recv_get_many)
        except (TimeoutError, BlockingIOError):  # lost, or no room to send: the way that waits and repeats
            return await self._asked(lambda: self._sock.send_get_many(oids), self._sock.recv_get_many, ATTEMPTS - 1)
        except BaseException:
            with mapped():
                raise
        return answer

    async def _asked(self, send: Callable[[], None], receive: Callable[[], T], attempts: int = ATTEMPTS) -> T:
        """The answer to one request, sent again while none comes: a read may repeat."""
        for left in reversed(range(attempts)):
            try:
                with mapped():
                    await self._send(send)
                    return await self._recv(receive)
            except Unreachable:
                if not left:
                    raise
        raise AssertionError("the last try returns or raises")

    async def column(self, base: str, *, max_repetitions: int) -> list[tuple[Oid, Raw]]:
        """A whole column by GETBULK: index and value of each row. Raises `Malformed` when rows do not ascend.

        gufo ends a walk at an error status (tooBig) as it does behind the last row. Such an end is believed once a
        walk by smaller answers ends at the same row; an empty column once it is empty row by row.
        """
        rows, certain = await self._walk(base, max_repetitions)
        repetitions = max_repetitions
        while not certain and repetitions > 1:
            repetitions = max(repetitions // SMALLER, 1)
            again, certain = await self._walk(base, repetitions)
            certain = certain or len(again) == len(rows) > 0
            rows = again
        return rows

    async def _walk(self, base: str, repetitions: int) -> tuple[list[tuple[Oid, Raw]], bool]:
        """The rows below `base`, and whether something behind them was seen."""
        place = GetIter(base, repetitions)
        rows: list[tuple[Oid, Raw]] = []
        while True:
            try:
                answer: list[tuple[str, Raw] | None] = await self._asked(
                    lambda: self._sock.send_get_bulk(place), lambda: self._sock.recv_get_bulk(place)
                )
            except _EndOfColumn:
                return rows, False
            _take_rows(rows, answer, base)
            if not answer or answer[-1] is None:
                return rows, bool(answer)


class _EndOfColumn(Exception):
    """gufo found the next OID outside the column."""


def _take_rows(rows: list[tuple[Oid, Raw]], answer: Sequence[tuple[str, Raw] | None], base: str) -> None:
    skip = len(base) + 1
    for row in answer:
        if row is None:
            return
        oid, value = row
        index = tuple(map(int, oid[skip:].split(".")))
        if rows and index <= rows[-1][0]:
            raise Malformed(f"{oid} does not come after its predecessor, the agent walks in circles")
        rows.append((index, value))
    if len(rows) > ROWS_LIMIT:
        raise Malformed(f"{base}: more than {ROWS_LIMIT} rows, the agent invents them")


@contextmanager
def mapped() -> Iterator[None]:
    """Gufo's exceptions as ours: the only place that knows them."""
    try:
        yield
    except StopAsyncIteration as error:
        raise _EndOfColumn from error
    except TimeoutError as error:
        raise Unreachable("no answer over SNMP, try address, community or user, and its access list") from error
    except SnmpAuthError as error:
        raise Refused(f"SNMPv3 authentication failed ({error}), try user, auth_key and priv_key") from error
    except SnmpError as error:
        raise Malformed(f"an SNMP answer cannot be decoded ({error})") from error
    except OSError as error:
        raise Unreachable(f"SNMP: {error.strerror or error}, try its address and whether it runs") from error
    except BaseException as error:
        if type(error).__module__ == "pyo3_runtime":  # gufo's decoder panics on some damaged answers
            raise Malformed(f"an SNMP answer cannot be decoded ({error})") from None
        raise
