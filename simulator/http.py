"""A small HTTP/1.1 server on asyncio: keep-alive, Content-Length, streamed answers; one handler a listener."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast
from urllib.parse import parse_qsl, unquote

import msgspec

LONGEST_HEAD = 16_384
LONGEST_BODY = 1_048_576
MOST_CONNECTIONS = 512
"""Per listener; further ones are closed at once."""
MOST_UNSENT_BYTES = 8_388_608
"""Bytes that a slow reader of a stream may leave unsent before it is cut off."""
JSON = "application/json"
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


@dataclass(slots=True)
class Request:
    """One request, its body whole."""

    method: str
    target: str
    head: bytes
    body: bytes
    _headers: dict[str, str] | None = None

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @property
    def segments(self) -> tuple[str, ...]:
        return tuple(unquote(part) for part in self.path.split("/") if part)

    def header(self, name: str) -> str:
        """A header's value; names are lower case; empty where it is absent."""
        if self._headers is None:
            lines = self.head.decode("latin-1").split("\r\n")[1:]
            pairs = (line.partition(":") for line in lines)
            self._headers = {key.strip().lower(): value.strip() for key, _, value in pairs}
        return self._headers.get(name, "")


@dataclass(slots=True)
class Response:
    """What goes back. With `stream` the body is what that callable sends, in chunks, until it returns."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: Callable[["Stream"], Awaitable[None]] | None = None


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, msgspec.json.encode(value), headers=headers or {})


class Stream:
    """The sending side of a chunked answer."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    @property
    def closed(self) -> bool:
        return self._transport.is_closing()

    def send(self, content: bytes) -> None:
        """Queue one chunk; a reader that lets too much pile up is cut off."""
        if self._transport.is_closing() or not content:
            return
        if self._transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
            self._transport.abort()
            return
        self._transport.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")


Handler = Callable[[Request], "Response | Awaitable[Response]"]


def always() -> bool:
    return True


def never_slow() -> float:
    return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What one listener serves, and the faults that stand before it."""

    handler: Handler
    answers: Callable[[], bool] = always
    """While false, requests are read and nobody answers: a hung or unreachable host."""
    unheard: Callable[[Request], None] = lambda _: None
    """Told of requests that met silence."""
    delay_seconds: Callable[[], float] = never_slow


class Connection(asyncio.Protocol):
    """One connection; requests on it are answered one after the other."""

    def __init__(self, service: Service, open_connections: "set[Connection]") -> None:
        self._service = service
        self._open = open_connections
        self._buffer = b""
        self._busy: asyncio.Task[None] | None = None
        self._poisoned = False
        """A request on it went unanswered: the rest of the conversation would be out of step."""
        self._transport: asyncio.Transport = None  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if len(self._open) >= MOST_CONNECTIONS:
            self._transport.abort()
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._open.discard(self)
        if self._busy:
            self._busy.cancel()

    def close(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if len(self._buffer) > LONGEST_HEAD + LONGEST_BODY:
            self._transport.abort()
        self._advance()

    def _advance(self) -> None:
        while self._busy is None and self._buffer and not self._transport.is_closing():
            try:
                request = self._take()
            except ValueError as error:
                self._send(json_response({"error": str(error)}, 400), close=True)
                return
            if request is None:
                return
            self._serve(request)

    def _take(self) -> Request | None:
        """The next whole request in the buffer. Raises `ValueError` for what is none."""
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(buffer) > LONGEST_HEAD:
                raise ValueError("request head is too long")
            return None
        parts = buffer[: buffer.find(b"\r\n")].split(b" ")
        if len(parts) != 3 or not parts[2].startswith(b"HTTP/1.") or not parts[1].startswith(b"/"):
            raise ValueError("request line is not METHOD /target HTTP/1.1")
        head = buffer[:end]
        size = self._body_size(head)
        if len(buffer) < end + 4 + size:
            return None
        self._buffer = buffer[end + 4 + size :]
        return Request(parts[0].decode("latin-1"), parts[1].decode("latin-1"), head, buffer[end + 4 : end + 4 + size])

    @staticmethod
    def _body_size(head: bytes) -> int:
        lower = head.lower()
        if b"\ntransfer-encoding:" in lower:
            raise ValueError("send a Content-Length; chunked requests are not taken")
        at = lower.find(b"\ncontent-length:")
        if at < 0:
            return 0
        text = lower[at + 16 :].partition(b"\r\n")[0].strip()
        if not text.isdigit() or int(text) > LONGEST_BODY:
            raise ValueError("Content-Length is no number up to 1048576")
        return int(text)

    def _serve(self, request: Request) -> None:
        service = self._service
        if self._poisoned and service.answers():
            self._transport.abort()
            return
        if not service.answers():
            self._poisoned = True
            service.unheard(request)
            return
        delay = service.delay_seconds()
        try:
            result = service.handler(request)
        except Exception as error:
            self._send(json_response({"error": repr(error)}, 500), close=True)
            return
        if isinstance(result, Response) and not delay and result.stream is None:
            self._send(result, close=b"\nconnection: close" in request.head.lower())
            return
        self._busy = asyncio.get_running_loop().create_task(self._finish(result, delay))

    async def _finish(self, result: "Response | Awaitable[Response]", delay: float) -> None:
        try:
            if delay:
                await asyncio.sleep(delay)
            response = result if isinstance(result, Response) else await result
            if not self._service.answers():
                self._poisoned = True
                return
            if response.stream is None:
                self._send(response)
            else:
                await self._stream(response)
        except Exception as error:
            self._send(json_response({"error": repr(error)}, 500), close=True)
        finally:
            self._busy = None
        self._advance()

    async def _stream(self, response: Response) -> None:
        assert response.stream is not None
        self._transport.write(self._head(response) + b"Transfer-Encoding: chunked\r\n\r\n")
        await response.stream(Stream(self._transport))
        self._transport.write(b"0\r\n\r\n")

    @staticmethod
    def _head(response: Response) -> bytes:
        extra = "".join(f"{name}: {value}\r\n" for name, value in response.headers.items())
        return _STATUS_LINES[response.status] + f"Content-Type: {response.content_type}\r\n{extra}".encode("latin-1")

    def _send(self, response: Response, *, close: bool = False) -> None:
        tail = b"Connection: close\r\n" if close else b""
        head = self._head(response) + tail + b"Content-Length: %d\r\n\r\n" % len(response.body)
        self._transport.write(head + response.body)
        if close:
            self._transport.close()


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound server and its open connections."""

    server: asyncio.Server
    port: int
    connections: set[Connection]

    def close(self) -> None:
        self.server.close()
        for connection in list(self.connections):
            connection.close()


async def listen(service: Service, *, tls: ssl.SSLContext | None = None) -> Listener:
    """Serve on a port of loopback that the system chooses."""
    connections: set[Connection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(service, connections), "127.0.0.1", 0, ssl=tls, backlog=128)
    return Listener(server, server.sockets[0].getsockname()[1], connections)
