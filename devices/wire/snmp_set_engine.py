"""pysnmp, held to one datagram: a socket of our own under it, and engines that are thrown away when a device changed.

pysnmp repeats a SET up to five times, sends it again on a forged report, and queues what it sends before its socket is
ready. Here a SET goes through a `Shot`: a transport that passes reads until it is armed, then one datagram, then nothing.
"""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from pysnmp.carrier.asyncio.dgram.udp import SNMP_UDP_DOMAIN, UdpAsyncioTransport, UdpTransportAddress
from pysnmp.carrier.asyncio.dispatch import AsyncioDispatcher
from pysnmp.carrier.error import CarrierError
from pysnmp.entity import config
from pysnmp.entity.engine import SnmpEngine
from pysnmp.entity.rfc3413.cmdgen import GetCommandGenerator, SetCommandGenerator
from pysnmp.proto.api import v2c

from devices.wire.rmcp_link import clear_error, connected_socket
from fleet.errors import HallkeeperError, Refused

TICK_SECONDS = 0.02
"""Resolution of pysnmp's time-outs."""
GRACE_SECONDS = 1.0
"""Beyond pysnmp's own time-outs."""
DISCOVERIES = 5
"""A read under version 3 asks for the engine's id and clock first, and again on a report: up to so many rounds."""
LARGEST = 65535
PLACEHOLDER = ("127.0.0.1", 161)
"""What pysnmp believes it speaks to; the socket is connected to the device, IPv6 included."""

AUTHENTICATION = {"sha256": config.USM_AUTH_HMAC192_SHA256, "sha1": config.USM_AUTH_HMAC96_SHA}
PRIVACY = {"aes128": config.USM_PRIV_CFB128_AES}


class NotSent(HallkeeperError):
    """The armed datagram was not sent; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What an SNMP secret holds, revealed; an engine is shared by devices with the same."""

    community: str = ""
    user: str = ""
    authentication: str = ""
    authentication_key: str = ""
    privacy: str = ""
    privacy_key: str = ""

    def __repr__(self) -> str:
        return "Login(<secret>)"

    @property
    def is_v3(self) -> bool:
        return bool(self.user)


class Shot(UdpAsyncioTransport):  # type: ignore[misc]
    """One connected socket for one order: reads pass until it is armed, then exactly one datagram ever."""

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._sock: socket.socket | None = sock
        self._check: Callable[[], str | None] | None = None
        self.sent = 0
        """Datagrams sent since it was armed: 0 or 1."""
        self.refusal: str | None = None
        """Why the armed datagram did not leave."""
        self.malformed = 0
        loop.add_reader(sock.fileno(), self._readable)

    def arm(self, check: Callable[[], str | None]) -> None:
        """From here on one datagram at most; `check` is called right before it leaves and says why it must not."""
        self._check = check

    def send_message(self, outgoing: bytes, address: object) -> None:
        """The way out for pysnmp: the message is wholly encoded here."""
        del address
        sock = self._sock
        if sock is None:
            self.refusal = self.refusal or "the socket is closed"
            raise CarrierError("no socket: nothing is queued")
        if self._check is None:
            _send_read(sock, outgoing)
            return
        if self.sent or self.refusal:
            raise CarrierError("one datagram only")
        try:
            clear_error(sock)
            self.refusal = self._check()
            if self.refusal is None:
                sock.send(outgoing)
        except Exception as error:  # the send failed (UDP sends all or nothing), or the check could not decide
            self.refusal = repr(error)
        if self.refusal is not None:
            raise CarrierError(self.refusal)
        self.sent = 1

    def close_transport(self) -> None:
        if self._sock is not None:
            self.loop.remove_reader(self._sock.fileno())
            self._sock.close()
            self._sock = None
        self.unregister_callback()

    def _readable(self) -> None:
        """One datagram a wake-up: the loop calls again while there are more."""
        if self._sock is None or self._callback_function is None:
            return
        try:
            datagram = self._sock.recv(LARGEST)
        except OSError:
            return  # nothing there after all, or port unreachable: silence says the same
        try:
            self._callback_function(self, UdpTransportAddress(PLACEHOLDER), datagram)
        except Exception:  # pysnmp raises all kinds of errors for what is no SNMP message
            self.malformed += 1


def _send_read(sock: socket.socket, outgoing: bytes) -> None:
    """A read that cannot be sent is a read that was lost: it is asked again."""
    try:
        clear_error(sock)
        sock.send(outgoing)
    except OSError:
        return


@dataclass(frozen=True, slots=True)
class Reply:
    """What pysnmp makes of an answer, or of silence."""

    trouble: str | None
    """Why there is no trustworthy answer (time-out, a report), in pysnmp's words; None when there is one."""
    kind: str = ""
    """The trouble's class: RequestTimedOut, UnknownEngineID, NotInTimeWindow, WrongDigest …"""
    status: int = 0
    """The PDU's error status; 0 is success."""
    values: tuple[Any, ...] = ()


class Conversation:
    """One shot and the two names under which pysnmp knows its target: with retries for reads, without for the SET."""

    def __init__(self, engine: SnmpEngine, shot: Shot, name: str, *, timeout_seconds: float, retries: int) -> None:
        self.engine = engine
        self.shot = shot
        self._name = name
        self._set_seconds = timeout_seconds + GRACE_SECONDS
        self._get_seconds = timeout_seconds * (retries + 1) * DISCOVERIES + GRACE_SECONDS

    async def get(self, oid: str) -> Reply:
        """One value; asked again when nothing comes."""
        ask = GetCommandGenerator()
        send = partial(ask.send_varbinds, *self._to("read"), [(_oid(oid), v2c.Null(""))])
        return await self._ask(send, self._get_seconds)

    async def set_once(self, oid: str, value: int, *, sent: Callable[[], None]) -> Reply:
        """The SET, through the armed shot; `sent` is called once it has left. Raises `NotSent` when it did not."""
        ask = SetCommandGenerator(discoveryRetries=0)
        pair = (_oid(oid), v2c.Integer32(value))
        send = partial(ask.send_varbinds, *self._to("write"), [pair])
        return await self._ask(send, self._set_seconds, sent)

    def _to(self, mode: str) -> tuple[SnmpEngine, str, None, bytes]:
        return self.engine, f"{mode}-{self._name}", None, b""

    async def _ask(
        self, send: Callable[[Callable[..., None]], object], seconds: float, sent: Callable[[], None] = lambda: None
    ) -> Reply:
        """Pysnmp calls back with an answer or a time-out of its own; an error inside it calls nobody."""
        heard: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        try:
            send(lambda *answer: _heard(heard, *answer))
        except Exception as error:
            if not self.shot.sent:
                raise NotSent(self.shot.refusal or repr(error)) from error
            heard.set_result(Reply(repr(error)))
        sent()
        try:
            async with asyncio.timeout(seconds):
                return await heard
        except TimeoutError:
            return Reply(f"no answer within {seconds:g} s", "RequestTimedOut")


def _heard(
    heard: "asyncio.Future[Reply]", _engine: object, _handle: object, trouble: object, status: Any, *rest: Any
) -> None:
    if not heard.done():
        values = tuple(value for _name, value in rest[1])
        heard.set_result(Reply(str(trouble) if trouble else None, type(trouble).__name__, int(status), values))


def _oid(oid: str) -> Any:
    return v2c.ObjectIdentifier(tuple(int(part) for part in oid.split(".")))


class Dispatcher(AsyncioDispatcher):  # type: ignore[misc]
    """pysnmp's, whose clock outlives the conversations of an engine."""

    def send_message(self, outgoing: bytes, domain: tuple[int, ...], address: object) -> None:
        """A read of an ended conversation that pysnmp asks again goes nowhere: raised here, its error would stop the clock."""
        try:
            shot = self.get_transport(domain)
        except CarrierError:
            return
        shot.send_message(outgoing, address)


class Engines:
    """pysnmp engines by login: making one costs 30 to 100 ms of CPU, so devices with the same login share it."""

    def __init__(self, *, limit: int = 8) -> None:
        self._engines: dict[Login, SnmpEngine] = {}
        self._limit = limit
        self._serial = itertools.count(1)

    def forget(self, login: Login) -> None:
        """Make a new engine next time: a device's engine id or clock is not what this one remembers."""
        self._engines.pop(login, None)

    @asynccontextmanager
    async def conversation(
        self, login: Login, host: str, port: int, *, timeout_seconds: float, retries: int
    ) -> AsyncIterator[Conversation]:
        """A fresh socket to a device under the login's engine; nothing of an earlier order is left in it."""
        sock = await connected_socket(host, port)
        engine = self._engine(login)
        name = str(next(self._serial))
        domain = (*SNMP_UDP_DOMAIN, int(name))
        shot = Shot(sock, asyncio.get_running_loop())
        try:
            config.add_transport(engine, domain, shot)
            for mode, tries in (("read", retries), ("write", 0)):
                config.add_target_address(
                    engine, f"{mode}-{name}", domain, PLACEHOLDER, "login", round(timeout_seconds * 100), tries
                )
            yield Conversation(engine, shot, name, timeout_seconds=timeout_seconds, retries=retries)
        finally:
            shot.close_transport()
            config.delete_transport(engine, domain)
            for mode in ("read", "write"):
                config.delete_target_address(engine, f"{mode}-{name}")

    def _engine(self, login: Login) -> SnmpEngine:
        engine = self._engines.get(login)
        if engine is None:
            while len(self._engines) >= self._limit:
                self._engines.pop(next(iter(self._engines)))
            engine = self._engines[login] = _new_engine(login)
        return engine


def _new_engine(login: Login) -> SnmpEngine:
    engine = SnmpEngine()
    engine.register_transport_dispatcher(Dispatcher(timeout=TICK_SECONDS, loop=asyncio.get_running_loop()))
    if not login.is_v3:
        config.add_v1_system(engine, "login", login.community)
        config.add_target_parameters(engine, "login", "login", "noAuthNoPriv", 1)
        return engine
    try:
        authentication, privacy = AUTHENTICATION[login.authentication], PRIVACY[login.privacy]
    except KeyError as error:
        raise Refused(f"SNMPv3 with {error} is not spoken here, try auth sha256 or sha1 and priv aes128") from None
    config.add_v3_user(engine, login.user, authentication, login.authentication_key, privacy, login.privacy_key)
    config.add_target_parameters(engine, "login", login.user, "authPriv", 3)
    return engine
