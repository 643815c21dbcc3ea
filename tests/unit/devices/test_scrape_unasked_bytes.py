"""Bytes that come when nobody asks any more close the connection, and nothing else."""

import asyncio

import pytest

from devices.wire.scrape_http import HEAD_LIMIT, Connection
from fleet.errors import Malformed


class Line:
    """A transport that only knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def write(self, data: bytes) -> None:
        pass

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def arrive(connection: Connection, data: bytes) -> None:
    """As an event loop delivers: as much as the buffer takes, until all is there."""
    while data:
        buffer = connection.get_buffer(-1)
        count = min(len(buffer), len(data))
        assert count, "an empty buffer is an error to the event loop"
        buffer[:count] = data[:count]
        connection.buffer_updated(count)
        data = data[count:]


async def test_the_rest_of_a_head_without_an_end_is_thrown_away():
    connection, line = Connection(), Line()
    connection.connection_made(line)
    asked = asyncio.ensure_future(connection.get(b"GET / HTTP/1.1\r\n\r\n"))
    await asyncio.sleep(0)
    arrive(connection, b"HTTP/1.1 200 OK\r\nX-Endless: " + b"A" * (4 * HEAD_LIMIT))
    with pytest.raises(Malformed):
        await asked
    arrive(connection, b"A" * (4 * HEAD_LIMIT))
    assert line.closed
