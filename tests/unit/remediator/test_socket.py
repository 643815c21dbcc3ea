"""The client's end of the actuator's socket, against a server that misbehaves in every way."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from devices.orders import State
from fleet.errors import Ambiguous, Unreachable
from fleet.model import AssetId
from remediator.actuator_client import Answer, IntentMessage, SocketActuator

MESSAGE = IntentMessage("x", 3, AssetId("n"), "power_off", {}, 5)
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def framed(answer: Answer | bytes) -> bytes:
    body = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    return struct.pack(">I", len(body)) + body


@asynccontextmanager
async def actuator(path: Path, talk: Talk):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await talk(reader, writer)
        writer.close()

    server = await asyncio.start_unix_server(serve, path=path)
    try:
        yield SocketActuator(path)
    finally:
        server.close()


async def everything(client: SocketActuator) -> list[Answer]:
    return [answer async for answer in client.carry_out(MESSAGE)]


async def test_an_intent_goes_out_once_and_its_states_come_back(tmp_path: Path) -> None:
    got: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack(">I", await reader.readexactly(4))
        got.append(await reader.readexactly(length))
        writer.write(framed(Answer(intent="x", state=State.SENT, sent_at_ms=7)))
        writer.write(framed(Answer(intent="x", state=State.ACKNOWLEDGED, after="off", final=True)))
        await writer.drain()

    async with actuator(tmp_path / "a.sock", talk) as client:
        answers = await everything(client)
    assert [msgspec.json.decode(body) for body in got] == [
        {"intent": "x", "epoch": 3, "asset": "n", "verb": "power_off", "arguments": {}, "not_after_boottime_ns": 5}
    ]
    assert [answer.state for answer in answers] == [State.SENT, State.ACKNOWLEDGED]


async def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="no actuator answers"):
        await everything(SocketActuator(tmp_path / "none.sock"))


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        struct.pack(">I", 10) + b"abc",
        struct.pack(">I", 1 << 30),
        framed(b"not json"),
        framed(b'{"intent": "x", "state": "dancing"}'),
        framed(Answer(intent="another", state=State.ACKNOWLEDGED, final=True)),
        framed(Answer(intent="x", state=State.SENT)),
    ],
    ids=["closed", "torn", "too long", "no json", "unknown state", "another intent", "no final"],
)
async def test_after_the_handing_over_every_other_end_is_ambiguous(tmp_path: Path, reply: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(4)
        writer.write(reply)
        await writer.drain()

    async with actuator(tmp_path / "a.sock", talk) as client:
        with pytest.raises(Ambiguous, match="effect is read"):
            await everything(client)
