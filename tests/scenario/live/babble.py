"""Devices that babble: a UDP and a TCP server on loopback whose every answer is wrong in another way."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import cycle
from random import Random

LONG = 1_400
"""Bytes of a long datagram."""
ENDLESS = 200_000
"""Bytes of a header that never ends."""
HOLD_SECONDS = 20.0
"""How long a connection is held that says nothing more."""

Wrong = Callable[[bytes], bytes]


def wrong_datagrams(random: Random) -> Iterator[Wrong]:
    """Endlessly: noise, the question itself, half of it, the question with bits flipped, nothing, very much."""

    def flipped(asked: bytes) -> bytes:
        answer = bytearray(asked)
        for _ in range(1 + len(answer) // 20):
            answer[random.randrange(len(answer))] ^= 1 << random.randrange(8)
        return bytes(answer)

    return cycle(
        (
            lambda asked: random.randbytes(len(asked)),
            lambda asked: asked,
            lambda asked: asked[: len(asked) // 2],
            flipped,
            lambda _: b"",
            lambda _: random.randbytes(LONG),
        )
    )


def wrong_answers(random: Random) -> Iterator[Wrong]:
    """Endlessly, for streams: noise, pages that are none, a length that is not kept, a header without an end, Modbus that lies."""

    def page(body: bytes, length: int | None = None) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body) if length is None else length, body)

    def modbus(asked: bytes) -> bytes:
        return asked[:4] + b"\x00\xff" + random.randbytes(40)

    return cycle(
        (
            lambda _: random.randbytes(300),
            lambda _: page(random.randbytes(2_000)),
            lambda _: page(b'DCGM_FI_DEV_GPU_TEMP{gpu="0" 41\nfabric_port_state{{port="1"}} up\n'),
            lambda _: page(b"DCGM_FI_DEV_GPU_TEMP 41\n", length=10_000),
            lambda _: page(b"<html>404 not found</html>" * 50),
            lambda _: b"HTTP/1.1 200 OK\r\nX-Endless: " + b"A" * ENDLESS,
            modbus,
            lambda _: b"",
        )
    )


class Datagrams(asyncio.DatagramProtocol):
    """Answers every datagram wrongly."""

    def __init__(self, random: Random) -> None:
        self._wrong = wrong_datagrams(random)
        self.asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        self._transport.sendto(next(self._wrong)(data), addr)


@contextlib.asynccontextmanager
async def babbling(seed: int) -> AsyncIterator[tuple[int, int]]:
    """The UDP and the TCP port of a device that babbles."""
    random = Random(seed)
    answers = wrong_answers(random)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Datagrams(random), local_addr=("127.0.0.1", 0))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(HOLD_SECONDS):
                while asked := await reader.read(4_096):
                    writer.write(next(answers)(asked))
                    await writer.drain()
                    if random.random() < 0.5:
                        break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield transport.get_extra_info("sockname")[1], server.sockets[0].getsockname()[1]
    finally:
        transport.close()
        server.close()
