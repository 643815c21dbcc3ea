"""What a broken, slow or hostile Modbus peer can do: cost its own reading, nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from devices.wire.modbus import Function, ModbusLink, only_reads
from devices.wire.registers import Span
from fleet.errors import Malformed, Refused, Unreachable

Answer = Callable[[bytes], bytes | None]


@asynccontextmanager
async def peer(answer: Answer, *, close: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers each request with `answer(request)`; None stays silent."""
    requests: list[bytes] = []
    ended: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.current_task())
        try:
            while request := await reader.read(260):
                requests.append(request)
                reply = answer(request)
                if reply is not None:
                    writer.write(reply)
                if close:
                    break
        finally:
            writer.close()
            await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", requests
    for task in ended:
        task.cancel()
    await asyncio.gather(*ended, return_exceptions=True)


def good(request: bytes, *words: int) -> bytes:
    body = bytes([request[6], request[7], 2 * len(words)]) + b"".join(word.to_bytes(2, "big") for word in words)
    return request[:4] + len(body).to_bytes(2, "big") + body


BROKEN: dict[str, Answer] = {
    "another protocol": lambda request: request[:2] + b"\x00\x07" + good(request, 1)[4:],
    "another transaction": lambda request: b"\xff\xff" + good(request, 1)[2:],
    "another unit": lambda request: good(request, 1)[:6] + b"\x09" + good(request, 1)[7:],
    "another function": lambda request: good(request, 1)[:7] + b"\x04" + good(request, 1)[8:],
    "too many registers": lambda request: good(request, 1, 2, 3),
    "too few registers": good,
    "a byte count that lies": lambda request: good(request, 1)[:8] + b"\x40" + good(request, 1)[9:],
    "a length that lies": lambda request: request[:4] + b"\xff\xff" + good(request, 1)[6:],
    "a second answer": lambda request: good(request, 1) * 2,
    "an unknown exception": lambda request: request[:4] + b"\x00\x03" + request[6:7] + b"\x83\x63",
    "a web page": lambda request: b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_answer_is_malformed_at_once_and_the_connection_is_given_up(name: str) -> None:
    async with peer(BROKEN[name]) as (address, _):
        link = ModbusLink(address, request_seconds=5.0)
        began = time.monotonic()
        with pytest.raises(Malformed):
            await link.read(Function.HOLDING, Span(10, 1))
        assert time.monotonic() - began < 1.0
        assert link._client is None


async def test_silence_is_unreachable_after_the_request_time_and_the_request_is_not_repeated() -> None:
    async with peer(lambda request: None) as (address, requests):
        link = ModbusLink(address, request_seconds=0.2)
        with pytest.raises(Unreachable, match="no answer"):
            await link.read(Function.INPUT, Span(0, 2))
        assert len(requests) == 1


async def test_half_an_answer_is_unreachable() -> None:
    async with peer(lambda request: good(request, 1)[:9]) as (address, _):
        with pytest.raises(Unreachable):
            await ModbusLink(address, request_seconds=0.2).read(Function.HOLDING, Span(0, 1))


async def test_a_peer_that_hangs_up_is_unreachable_at_once() -> None:
    async with peer(lambda request: b"", close=True) as (address, _):
        began = time.monotonic()
        with pytest.raises(Unreachable, match="closed the connection"):
            await ModbusLink(address, request_seconds=5.0).read(Function.HOLDING, Span(0, 1))
        assert time.monotonic() - began < 1.0


async def test_after_a_broken_answer_the_next_read_is_clean() -> None:
    answers = iter([BROKEN["another transaction"], lambda request: good(request, 7)])

    def in_turn(request: bytes) -> bytes | None:
        return next(answers)(request)

    async with peer(in_turn) as (address, _):
        link = ModbusLink(address, request_seconds=1.0)
        with pytest.raises(Malformed):
            await link.read(Function.HOLDING, Span(0, 1))
        assert await link.read(Function.HOLDING, Span(0, 1)) == (7,)
        link.close()


@pytest.mark.parametrize(("code", "error"), [(2, Refused), (6, Unreachable), (11, Unreachable)])
async def test_a_modbus_exception_says_what_to_do_next(code: int, error: type[Exception]) -> None:
    async with peer(lambda request: request[:4] + b"\x00\x03" + request[6:7] + bytes([0x83, code])) as (address, _):
        link = ModbusLink(address, request_seconds=1.0)
        with pytest.raises(error, match=f"exception {code}: .*try"):
            await link.read(Function.HOLDING, Span(0, 1))
        link.close()


WRITES: dict[str, Callable[..., Awaitable[object]]] = {
    "write_coil": lambda client: client.write_coil(1, True),
    "write_register": lambda client: client.write_register(1, 1),
    "write_coils": lambda client: client.write_coils(1, [True]),
    "write_registers": lambda client: client.write_registers(1, [1]),
    "mask_write_register": lambda client: client.mask_write_register(address=1),
    "readwrite_registers": lambda client: client.readwrite_registers(read_address=1, read_count=1, values=[1]),
    "write_file_record": lambda client: client.write_file_record([]),
    "diag_restart_communication": lambda client: client.diag_restart_communication(True),
}


@pytest.mark.parametrize("name", WRITES)
async def test_no_write_leaves_even_when_the_librarys_own_client_is_asked_for_one(name: str) -> None:
    async with peer(lambda request: good(request, 1)) as (address, requests):
        link = ModbusLink(address, request_seconds=1.0)
        await link.read(Function.HOLDING, Span(0, 1))
        with pytest.raises(Refused, match="never writes"):
            await WRITES[name](link._client)
        link.close()
    assert [request[7] for request in requests] == [3]


def test_the_guard_knows_every_function_code_but_four_as_no_read() -> None:
    class Request:
        function_code = 0

    for code in range(256):
        request = Request()
        request.function_code = code
        if code in {1, 2, 3, 4}:
            assert only_reads(True, request) is request
        else:
            with pytest.raises(Refused):
                only_reads(True, request)


async def test_a_read_that_modbus_cannot_say_is_a_mistake_of_the_caller() -> None:
    link = ModbusLink("127.0.0.1:1")
    for span in (Span(0, 0), Span(0, 126), Span(-1, 1), Span(65_535, 2)):
        with pytest.raises(ValueError, match="no Modbus read"):
            await link.read(Function.HOLDING, span)
