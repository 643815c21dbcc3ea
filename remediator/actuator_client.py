"""The other end of the actuator's socket: one intent out, a stream of states back. Sends an intent once and never again."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from devices.orders import State
from fleet.clock import Clock, within
from fleet.errors import Ambiguous, Malformed, Unreachable
from fleet.model import AssetId

LENGTH = struct.Struct(">I")
MESSAGE_BYTES = 1 << 20
"""Largest answer that is believed."""
CONNECT_SECONDS = 2.0
NEVER_NS = 0
"""A `not_after` in the past: the actuator may answer what it knows of an intent, and can send nothing."""


class IntentMessage(msgspec.Struct, frozen=True):
    """What the actuator is told."""

    intent: str
    epoch: int
    asset: AssetId
    verb: str
    arguments: dict[str, Any]
    not_after_boottime_ns: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One state of an intent."""

    intent: str
    state: State
    before: str | None = None
    after: str | None = None
    text: str = ""
    final: bool = False
    sent_at_ms: int | None = None
    read_at_ms: int | None = None


class Actuator(Protocol):
    """The process that alone may command devices."""

    def carry_out(self, message: IntentMessage) -> AsyncGenerator[Answer, None]:
        """States until a final one. Raises `Unreachable` before anything was handed over, `Ambiguous` after."""
        ...


class SocketActuator:
    """An actuator behind a Unix socket; one connection an intent, so that none waits behind another."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def carry_out(self, message: IntentMessage) -> AsyncGenerator[Answer, None]:
        """States until a final one. Raises `Unreachable` before anything was handed over, `Ambiguous` after."""
        reader, writer = await self._connect()
        try:
            body = msgspec.json.encode(message)
            writer.write(LENGTH.pack(len(body)) + body)
            async for answer in _answers(reader, writer, message.intent):
                yield answer
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await asyncio.open_unix_connection(self._path)
        except (OSError, TimeoutError) as error:
            raise Unreachable(f"{self._path}: no actuator answers ({error}), try starting it") from error


def _bounded(length: int) -> int:
    """Raises `Malformed` for a message that no actuator sends."""
    if length > MESSAGE_BYTES:
        raise Malformed(f"an answer of {length} bytes")
    return length


def _answer(message: bytes, intent: str) -> Answer:
    """Raises `Malformed` for an answer to another intent, and msgspec's error for one that is none."""
    answer = msgspec.json.decode(message, type=Answer)
    if answer.intent != intent:
        raise Malformed(f"an answer to intent {answer.intent}")
    return answer


async def _answers(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, intent: str
) -> AsyncGenerator[Answer, None]:
    try:
        await writer.drain()
        while True:
            (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
            answer = _answer(await reader.readexactly(_bounded(length)), intent)
            yield answer
            if answer.final:
                return
    except (OSError, asyncio.IncompleteReadError, Malformed, msgspec.MsgspecError) as error:
        raise Ambiguous(f"intent {intent}: the actuator's answer was lost ({error}), its effect is read") from error


RECALLS = 5
RECALL_PAUSE_SECONDS = 1.0
RECALL_SECONDS = 4.0

Heard = Callable[[Answer], None]


async def command(
    actuator: Actuator, message: IntentMessage, *, clock: Clock, limit_seconds: float, heard: Heard
) -> Answer:
    """Hand an intent over once and return how it ended; a lost answer is asked for again, never sent again."""
    try:
        return await within(clock, limit_seconds, _last(actuator, message, heard))
    except Unreachable as error:
        return Answer(intent=message.intent, state=State.NOT_SENT, text=str(error), final=True)
    except (Ambiguous, TimeoutError) as error:
        return await recall(actuator, message, clock=clock, heard=heard, why=str(error))


async def recall(actuator: Actuator, message: IntentMessage, *, clock: Clock, heard: Heard, why: str = "") -> Answer:
    """Ask what became of an intent: with a `not_after` in the past, so that the actuator can only remember."""
    question = msgspec.structs.replace(message, not_after_boottime_ns=NEVER_NS)
    for _ in range(RECALLS):
        try:
            return await within(clock, RECALL_SECONDS, _last(actuator, question, heard))
        except (Unreachable, Ambiguous, TimeoutError) as error:
            why = str(error) or why
            await clock.sleep(RECALL_PAUSE_SECONDS)
    return Answer(intent=message.intent, state=State.UNKNOWN, text=f"the actuator cannot be asked: {why}", final=True)


async def _last(actuator: Actuator, message: IntentMessage, heard: Heard) -> Answer:
    """Every answer is heard as it comes; the final one is returned."""
    async with contextlib.aclosing(actuator.carry_out(message)) as answers:
        async for answer in answers:
            heard(answer)
            if answer.final:
                return answer
    raise Ambiguous(f"intent {message.intent}: the answers ended before a final one, its effect is read")
