"""Conversations that share an engine do not share their troubles."""

import asyncio
import socket

import pytest

from devices.wire.snmp_set_engine import Engines, Login

OID = "1.3.6.1.2.1.1.3.0"


@pytest.fixture
def nobody():
    """The port of a device that never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        yield silent.getsockname()[1]


async def test_a_read_left_unanswered_stops_no_clock_of_the_others(nobody: int) -> None:
    engines, login = Engines(), Login(community="public")
    async with engines.conversation(login, "127.0.0.1", nobody, timeout_seconds=0.2, retries=0) as other:
        async with engines.conversation(login, "127.0.0.1", nobody, timeout_seconds=0.2, retries=3) as left:
            reading = asyncio.ensure_future(left.get(OID))
            await asyncio.sleep(0.05)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        await asyncio.sleep(0.6)
        ticking = other.engine.transport_dispatcher.loopingcall
        assert not ticking.done()
        reply = await other.get(OID)
        assert reply.kind == "RequestTimedOut"
        assert "no answer within" not in str(reply.trouble), "pysnmp's own clock told it, not ours behind it"
