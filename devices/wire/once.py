"""One HTTPS request on a connection of its own, written once: for what must never be sent twice.

Clients with a pool resend by themselves: aiohttp repeats an idempotent request when a kept connection turns out dead.
Here there is no pool, no redirect, no retry and no proxy; the gate is asked with the whole request encoded and the
connection up, and the write follows it at once. Reads go the same way, so that a writer needs no second client.
"""

import asyncio
import http.client
import io
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from socket import socket
from typing import Protocol, TypeAlias, cast
from urllib.parse import urlsplit

from fleet.errors import Refused, Unreachable

HEAD_LIMIT = 64 << 10
BODY_LIMIT = 4 << 20
"""Bytes of an answer; a Kubernetes object is at most 1.5 MiB (etcd's request limit), a list of a node's pods some."""
CONNECT_SECONDS = 3.0
"""TCP and TLS together (a default to tune)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request: method, path below the peer's base, and what it carries."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"
    arguments: tuple[str, ...] = ()
    """For a courier that is a program: what it is called with."""
    headers: tuple[str, ...] = ()
    """Header lines beyond those of the peer; the caller has checked that none can end its line."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The peer answered, over TLS that names it."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing left this machine."""

    why: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Written, and no whole answer came: it may have been carried out."""

    why: str


Exchange: TypeAlias = Answered | NotSent | Lost
Gate = Callable[[], str | None]
"""Why not to send now, or None; asked last."""


def always() -> None:
    """The gate of a read."""


class Courier(Protocol):
    """Carries one state-changing request, now or not at all."""

    async def exchange(self, call: Call, *, answer_seconds: float, gate: Gate, sent: Callable[[], None]) -> Exchange:
        """Ask the gate last, hand it over once, tell `sent` at once, and say what came back."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """An HTTPS server and how to prove oneself to it; HTTP only to this machine (`here`)."""

    host: str
    port: int
    base: str
    context: ssl.SSLContext | None = field(repr=False)
    headers: tuple[str, ...] = field(repr=False)

    @classmethod
    def at(cls, url: str, context: ssl.SSLContext, authorization: str) -> "Peer":
        """The peer of a base URL. Raises `Refused` for anything but https."""
        return cls.with_headers(url, context, (f"Authorization: {authorization}",))

    @classmethod
    def with_headers(cls, url: str, context: ssl.SSLContext, headers: tuple[str, ...]) -> "Peer":
        """One that is told who asks in headers of its own. Raises `Refused` for anything but https."""
        host, port, base = _parts(url, "https", 443)
        return cls(host=host, port=port, base=base, context=context, headers=headers)

    @classmethod
    def here(cls, url: str, headers: tuple[str, ...]) -> "Peer":
        """One on this machine, over plain HTTP: the caller has seen to it that the address is a loopback one."""
        host, port, base = _parts(url, "http", 80)
        return cls(host=host, port=port, base=base, context=None, headers=headers)

    @property
    def where(self) -> str:
        return f"{'http' if self.context is None else 'https'}://{self.host}:{self.port}{self.base}"

    def encoded(self, call: Call) -> bytes:
        """The request's bytes. Raises `ValueError` for a path that would break out of its line."""
        path = self.base + call.path
        if not path.isascii() or any(sign <= " " or sign == "\x7f" for sign in path):
            raise ValueError(f"{path!r} is no path of a request")
        name = f"[{self.host}]" if ":" in self.host else self.host
        head = [
            f"{call.method} {path} HTTP/1.1",
            f"Host: {name}:{self.port}",
            *self.headers,
            *call.headers,
            "Accept: application/json",
            "Accept-Encoding: identity",
            "User-Agent: hallkeeper",
            "Connection: close",
        ]
        if call.body or call.method not in {"GET", "DELETE"}:
            head += [f"Content-Type: {call.content_type}", f"Content-Length: {len(call.body)}"]
        return "\r\n".join([*head, "", ""]).encode("ascii") + call.body

    async def exchange(
        self, call: Call, *, answer_seconds: float, gate: Gate = always, sent: Callable[[], None] = always
    ) -> Exchange:
        """Send it once, if the gate lets it pass. `sent` is told right after the write."""
        request = self.encoded(call)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.context, limit=HEAD_LIMIT)
        except (OSError, ssl.SSLError, TimeoutError) as error:
            return NotSent(f"no connection to {self.where}: {str(error) or 'it is silent'}")
        try:
            if writer.transport.is_closing() or reader.at_eof():
                return NotSent(f"{self.where} closed the connection")
            why_not = gate()
            if why_not is not None:
                return NotSent(why_not)
            writer.write(request)
            sent()
            return await self._answer(reader, call.method, answer_seconds)
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, method: str, seconds: float) -> Exchange:
        received = bytearray()
        try:
            async with asyncio.timeout(seconds):
                while len(received) <= HEAD_LIMIT + BODY_LIMIT:
                    chunk = await reader.read(65_536)
                    received += chunk
                    answer = parse(bytes(received), method, ended=not chunk)
                    if answer is not None:
                        return answer
                    if not chunk:
                        return Lost(f"{self.where} closed the connection without a whole answer")
            return Lost(f"{self.where} answered with more than {BODY_LIMIT} bytes")
        except TimeoutError:
            return Lost(f"{self.where} did not answer within {seconds:g} s")
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Lost(f"the answer of {self.where} was lost or broken: {error!r}")

    async def get(self, path: str, *, answer_seconds: float = 5.0) -> Answered:
        """A read. Raises `Unreachable` when no whole answer comes."""
        match await self.exchange(Call(method="GET", path=path), answer_seconds=answer_seconds):
            case Answered() as answer:
                return answer
            case NotSent(why) | Lost(why):
                raise Unreachable(f"{why}, try again later")


def _parts(url: str, scheme: str, default_port: int) -> tuple[str, int, str]:
    """Host, port and base path. Raises `Refused`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or default_port
    except ValueError:
        parts, host, port = urlsplit(""), None, 0
    if parts.scheme != scheme or not host or parts.query or parts.username is not None:
        raise Refused(f"{url!r} is no address to send a token to, try {scheme}://host:port")
    return host, port, parts.path.rstrip("/")


def parse(received: bytes, method: str, *, ended: bool) -> Answered | None:
    """The whole answer, or None while more must come. Raises `HTTPException` or `ValueError` for what is none. Pure."""
    head = received.find(b"\r\n\r\n")
    if head < 0:
        if ended or len(received) > HEAD_LIMIT:
            raise http.client.BadStatusLine(received[:80].decode("latin-1"))
        return None
    response = http.client.HTTPResponse(cast("socket", _Received(received)), method=method)
    response.begin()
    if response.length is None and not response.chunked and not ended:
        return None  # an answer without length ends with its connection
    if response.chunked and not received.endswith(b"\r\n\r\n"):  # a size cut in two would pass for another size
        if ended:
            raise http.client.IncompleteRead(b"")
        return None
    try:
        return Answered(response.status, response.read())
    except http.client.IncompleteRead:
        if ended:
            raise
        return None


class _Received:
    """What `HTTPResponse` wants of a socket: the bytes."""

    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, *_arguments: object) -> io.BytesIO:
        return io.BytesIO(self._received)


def said(answer: Answered, what: Mapping[str, object] | None) -> str:
    """The status with what a JSON error told, short enough to show."""
    told = [str(value) for key in ("message", "error", "try") if (value := (what or {}).get(key))]
    return f"status {answer.status}" + (f": {', try '.join(told)[:300]}" if told else "")
