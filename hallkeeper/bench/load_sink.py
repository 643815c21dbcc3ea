"""A sink for remote writes: takes every request and answers 204. Part of the load, its CPU is not counted."""

import asyncio
import json
import re
import signal
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Sink(asyncio.Protocol):
    """One connection: reads bodies by their length and answers each."""

    def __init__(self) -> None:
        self._received = b""
        self._left = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        taken = min(self._left, len(data))
        self._left -= taken
        if taken and not self._left:
            self._answer()
        self._received += data[taken:]
        while not self._left and b"\r\n\r\n" in self._received:
            head, _, body = self._received.partition(b"\r\n\r\n")
            length = _LENGTH.search(head + b"\r\n")
            self._left = max((int(length[1]) if length else 0) - len(body), 0)
            self._received = body[int(length[1]) :] if length and not self._left else b""
            if not self._left:
                self._answer()

    def _answer(self) -> None:
        if self._transport is not None:
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


async def serve() -> None:
    """Print the port as one JSON line, take what comes until SIGTERM."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_signal_handler(signal.SIGTERM, ended.set_result, None)
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await ended
    server.close()


if __name__ == "__main__":
    uvloop.run(serve())
