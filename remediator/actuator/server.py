"""The actuator's Unix socket: intents in, their states out, for this user alone."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import structlog

from fleet.errors import HallkeeperError, Malformed
from remediator.actuator.actuator import Actuator
from remediator.actuator_client import LENGTH, Answer, IntentMessage

LARGEST_INTENT = 64 << 10
MOST_CONNECTIONS = 512
"""A client opens one an intent; this is twice the acts that may be under way."""
SLOW_CLIENT_SECONDS = 5.0
"""A client that does not read its answers for so long is dropped; its acts go on."""
LONGEST_PATH = 107
"""Bytes of a Unix socket's path."""

log = structlog.get_logger("hallkeeper.actuator")


class SocketError(HallkeeperError):
    """The socket cannot be opened; the message says why."""


def bound_socket(path: Path) -> socket.socket:
    """A listening socket that only this user can reach. Raises `SocketError`.

    The caller holds the lane's lock: a socket file that is there was left by a process that is gone.
    """
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise SocketError(f"{path}: longer than {LONGEST_PATH} bytes, try a shorter `data` folder in the settings")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    before = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        sock.bind(os.fspath(path))
        sock.listen(MOST_CONNECTIONS)
    except OSError as error:
        sock.close()
        raise SocketError(f"{path}: {error.strerror}, try giving the folder to this user") from error
    finally:
        os.umask(before)
    return sock


class ActuatorServer:
    """Reads intents from connections and streams what becomes of them."""

    def __init__(self, actuator: Actuator) -> None:
        self._actuator = actuator
        self._connections: set[asyncio.Task[None]] = set()
        self._tellers: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self, sock: socket.socket) -> AsyncIterator[None]:
        """Answer on the socket for as long as the body runs; clients that still read get their last answers."""
        server = await asyncio.start_unix_server(self._accepted, sock=sock)
        try:
            yield
        finally:
            server.close()
            if self._tellers:
                await asyncio.wait(self._tellers, timeout=SLOW_CLIENT_SECONDS)
            for connection in tuple(self._connections):
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MOST_CONNECTIONS or not _same_user(writer):
            writer.close()
            return
        connection = asyncio.ensure_future(self._converse(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take every intent as it comes, answer all of them at once; the client's end ends nothing but the telling."""
        try:
            async with asyncio.TaskGroup() as tellers:
                while (message := await _intent(reader)) is not None:
                    teller = tellers.create_task(self._tell(message, writer))
                    self._tellers.add(teller)
                    teller.add_done_callback(self._tellers.discard)
        except* (OSError, TimeoutError):
            pass
        except* Malformed as errors:
            log.warning("connection dropped", reason=str(errors.exceptions[0]))
        finally:
            writer.close()

    async def _tell(self, message: IntentMessage, writer: asyncio.StreamWriter) -> None:
        async for answer in self._actuator.take(message).answers():
            writer.write(framed(answer))
            async with asyncio.timeout(SLOW_CLIENT_SECONDS):
                await writer.drain()


def framed(answer: Answer) -> bytes:
    """One answer as it goes over the socket."""
    body = msgspec.json.encode(answer)
    return LENGTH.pack(len(body)) + body


async def _intent(reader: asyncio.StreamReader) -> IntentMessage | None:
    """The next intent; None when the client is done. Raises `Malformed` for what is none."""
    try:
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        if not 0 < length <= LARGEST_INTENT:
            raise Malformed(f"an intent of {length} bytes: at most {LARGEST_INTENT}")
        return msgspec.json.decode(await reader.readexactly(length), type=IntentMessage)
    except asyncio.IncompleteReadError:
        return None
    except msgspec.MsgspecError as error:
        raise Malformed(f"not an intent: {error}") from error


def _same_user(writer: asyncio.StreamWriter) -> bool:
    """Whether the other end runs as the same user: the socket's mode says so too."""
    sock = writer.get_extra_info("socket")
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return bool(uid == os.geteuid())
