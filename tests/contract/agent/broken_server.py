"""A TLS server that counts whole requests byte by byte and answers as the test says: the judge of "sent once"."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from tests.contract.agent.certificates import Authority


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> object:
        return json.loads(self.body) if self.body else None


Answer = Callable[[Seen], bytes | None]
"""The bytes to answer, or None: drop the connection with no answer."""


def reply(body: object, status: int = 200, **headers: str) -> bytes:
    octets = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(octets)}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + octets


SILENT = b""
"""Keep the connection open and never answer."""


@dataclass
class BrokenServer:
    answer: Answer
    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def writes(self) -> list[Seen]:
        return [request for request in self.seen if request.method != "GET"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self.tasks.add(task)
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError, ssl.SSLError):
            await self._requests(reader, writer)
        writer.transport.abort()
        self.tasks.discard(task)

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            request = Seen(method, path, headers, body)
            self.seen.append(request)
            answer = self.answer(request)
            if answer is None:
                return
            if answer == SILENT:
                await asyncio.sleep(60)
            writer.write(answer)
            await writer.drain()


@contextlib.asynccontextmanager
async def broken(authority: Authority, answer: Answer) -> AsyncIterator[BrokenServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server("broken"))
    made = BrokenServer(answer)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    made.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        for task in list(made.tasks):
            task.cancel()
        await asyncio.gather(*made.tasks, return_exceptions=True)
        await asyncio.sleep(0)
