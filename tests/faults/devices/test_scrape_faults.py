"""Exporters that misbehave: every fault is named, and the next good page is read."""

import asyncio
import random
from contextlib import asynccontextmanager, suppress

import pytest

from devices.wire.scrape import RELEARN_BURST, PageReader
from fleet.clock import VirtualClock
from fleet.errors import HallkeeperError, Malformed, Refused, Unreachable

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nm 1\n"


class Exporter:
    """Answers each request on a raw socket with the next scripted answer; None hangs, b"" closes."""

    def __init__(self) -> None:
        self.answers: list[bytes | None] = []
        self.requests = 0
        self.connections = 0
        self.pause = 0.0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                answer = self.answers.pop(0) if self.answers else GOOD
                if answer is None:
                    await reader.read()
                    break
                for start in range(0, len(answer), 7 if self.pause else len(answer)):
                    writer.write(answer[start : start + 7] if self.pause else answer)
                    await writer.drain()
                    await asyncio.sleep(self.pause)
                if not answer or b"close" in answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def scripted(*answers: bytes | None):
    exporter = Exporter()
    exporter.answers = list(answers)
    server = await asyncio.start_server(exporter.serve, "127.0.0.1", 0)
    exporter.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
    reader = PageReader(exporter.url, signal="gpu", clock=VirtualClock())
    try:
        yield exporter, reader
    finally:
        await reader.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", Unreachable, "503"),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", Refused, "403.*access list"),
        (b"HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n", Refused, "404"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Malformed, "no HTTP/1 status line"),
        (b"", Unreachable, "closed the connection"),
        (None, Unreachable, "no page within"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nm 1\nclose", Unreachable, "after 48 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nm 1\nm 2\n", Malformed, "more than the length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", Malformed, "over the limit"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nm 1\n\r\n0\r\n\r\n", Malformed, "chunk begins"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nm 1\n0\r\n\r\n", Malformed, "chunk"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nm one\n", Malformed, "line 1: .*not a number"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nm 1", Malformed, "without a line feed"),
    ],
)
async def test_each_fault_is_named_and_the_next_page_is_read(
    answer: bytes | None, error: type[HallkeeperError], said: str
) -> None:
    async with scripted(answer) as (_exporter, reader):
        with pytest.raises(error, match=said):
            await reader.read(deadline_seconds=0.3)
        assert (await reader.read(deadline_seconds=5)).values.tolist() == [1]


async def test_nobody_listening_is_unreachable() -> None:
    async with scripted() as (_, reader):
        pass
    with pytest.raises(Unreachable, match="no connection.*try its address"):
        await reader.read(deadline_seconds=5)


@pytest.mark.parametrize("url", ["ftp://host/metrics", "metrics", "http://", "http://host:port/"])
def test_an_address_that_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="try http://host:port/metrics"):
        PageReader(url, signal="gpu", clock=VirtualClock())


async def test_an_idle_connection_that_the_exporter_closed_costs_no_poll() -> None:
    async with scripted(GOOD, b"", GOOD) as (exporter, reader):
        await reader.read(deadline_seconds=5)
        assert (await reader.read(deadline_seconds=5)).values.tolist() == [1]
        assert exporter.connections == 2


async def test_a_kept_connection_is_used_again() -> None:
    async with scripted() as (exporter, reader):
        for _ in range(5):
            await reader.read(deadline_seconds=5)
        assert (exporter.connections, exporter.requests) == (1, 5)


async def test_an_answer_in_many_small_pieces_is_put_together() -> None:
    body = b"m 1\nn 22\n"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nm 1\n\r\n5;x=y\r\nn 22\n\r\n0\r\nT: x\r\n\r\n"
    plain = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with scripted(chunked, plain) as (exporter, reader):
        exporter.pause = 0.001
        for _ in range(2):
            assert (await reader.read(deadline_seconds=5)).values.tolist() == [1, 22]


async def test_a_body_without_length_ends_with_the_connection() -> None:
    async with scripted(b"HTTP/1.0 200 OK\r\nX: close\r\n\r\nm 7\n") as (_, reader):
        assert (await reader.read(deadline_seconds=5)).values.tolist() == [7]
        assert (await reader.read(deadline_seconds=5)).values.tolist() == [1]


async def test_labels_that_change_with_every_page_are_quarantined_and_recover() -> None:
    def page(number: int) -> bytes:
        body = b'm{request="%d"} 1\n' % number
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    clock = VirtualClock()
    async with scripted(*(page(number) for number in range(30))) as (exporter, _):
        reader = PageReader(exporter.url, signal="gpu", clock=clock)
        read = 0
        for _ in range(20):
            try:
                await reader.read(deadline_seconds=5)
                read += 1
            except Malformed as error:
                assert "label changes with every page" in str(error)
        assert read == RELEARN_BURST
        await clock.advance(11)
        await reader.read(deadline_seconds=5)
        await reader.close()


@pytest.mark.parametrize("seed", range(30))
async def test_damaged_answers_end_in_a_named_error_and_never_block_the_next(seed: int) -> None:
    draw = random.Random(seed)
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nm 1\n\r\n5\r\nn 22\n\r\n0\r\n\r\n"
    damaged = bytearray(whole)
    for _ in range(draw.randrange(1, 4)):
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
    async with scripted(bytes(damaged)) as (exporter, reader):
        while exporter.answers:  # a busy machine may give up before the exporter was asked at all
            with suppress(HallkeeperError):
                await reader.read(deadline_seconds=0.2)
        assert (await reader.read(deadline_seconds=5)).values.tolist() == [1]
