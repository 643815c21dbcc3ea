"""Agents that misbehave: each fault is named, nothing is invented, and the next poll works."""

import asyncio
import contextlib
import itertools
import random

import pytest

from devices.profiles import PROFILES
from devices.wire.snmp import SnmpReader
from fleet.clock import VirtualClock
from fleet.errors import Malformed, Refused, Unreachable
from tests.peers.snmp_agent import Agent, Rows, encoded, oid, serving
from tests.peers.targets import V2C, pdu_endpoint

OUTLETS = "1.3.6.1.4.1.534.6.6.7.6"
DUE = frozenset({"outlet"})


def outlets(count: int) -> Rows:
    columns = {"3.1.2": 230_000, "4.1.3": 500, "5.1.3": 115, "5.1.6": 950, "6.1.2": 1}
    return {
        oid(f"{OUTLETS}.{column}.0.{outlet}"): encoded("2", str(raw))
        for column, raw in columns.items()
        for outlet in range(1, count + 1)
    }


def reader(agent: Agent, clock: VirtualClock | None = None) -> SnmpReader:
    return SnmpReader(
        pdu_endpoint(agent.address), V2C, PROFILES["eaton-epdu-g3"], clock or VirtualClock(), attempt_seconds=0.15
    )


async def read(polled: SnmpReader, seconds: float = 5.0) -> int:
    (reading,) = await polled.read(DUE, deadline_seconds=seconds)
    return len(reading.series)


async def test_a_lost_reply_is_asked_again_within_the_deadline() -> None:
    async with serving(outlets(8)) as agent:
        polled = reader(agent)
        agent.drops = itertools.cycle([True, False])
        assert await read(polled) == 40
        await polled.close()


async def test_a_silent_agent_costs_its_deadline_and_no_more() -> None:
    async with serving(outlets(8)) as agent:
        agent.mute = True
        polled = reader(agent)
        began = asyncio.get_running_loop().time()
        with pytest.raises(Unreachable, match="pdu-1/snmp at 127"):
            await read(polled, seconds=0.3)
        assert asyncio.get_running_loop().time() - began < 1.0
        agent.mute = False
        assert await read(polled) == 40
        await polled.close()


@pytest.mark.parametrize("largest", [1, 3, 24])
async def test_an_agent_that_says_too_big_is_asked_for_less(largest: int) -> None:
    async with serving(outlets(30)) as agent:
        agent.largest = largest
        polled = reader(agent)
        assert await read(polled) == 150
        assert await read(polled) == 150
        await polled.close()


async def test_a_walk_in_circles_is_malformed_and_ends() -> None:
    async with serving(outlets(4)) as agent:
        value = encoded("2", "1")
        agent._binds = lambda tag, asked, rounds: iter(
            [_bind(f"{OUTLETS}.3.1.2.0.{row}", value) for row in (1, 2, 1, 2)]
        )
        with pytest.raises(Malformed, match="circles"):
            await read(reader(agent))
    assert len(agent.requests) < 10


async def test_rows_in_the_wrong_order_are_malformed() -> None:
    async with serving(outlets(4)) as agent:
        value = encoded("2", "1")
        agent._binds = lambda tag, asked, rounds: iter([_bind(f"{OUTLETS}.3.1.2.0.{row}", value) for row in (2, 1, 3)])
        with pytest.raises(Malformed, match="does not come after"):
            await read(reader(agent))


async def test_an_agent_that_invents_rows_for_ever_is_malformed() -> None:
    async with serving({}) as agent:
        rows = itertools.count(1)
        value = encoded("2", "1")
        agent._binds = lambda tag, asked, rounds: iter(
            [_bind(f"{OUTLETS}.3.1.2.0.{next(rows)}", value) for _ in range(40)]
        )
        with pytest.raises(Malformed, match="more than 4096 rows"):
            await read(reader(agent), seconds=30)


def _bind(number: str, value: bytes) -> bytes:
    from hallkeeper.bench.load_snmp import oid_bytes, tlv

    return tlv(0x30, oid_bytes(oid(number)) + value)


async def test_a_column_that_ends_early_has_only_the_rows_it_has() -> None:
    async with serving(outlets(8)) as agent:
        for row in range(5, 9):
            del agent.rows[oid(f"{OUTLETS}.4.1.3.0.{row}")]
        assert await read(reader(agent)) == 36


async def test_a_row_that_vanishes_is_noticed_in_the_same_poll_and_one_that_comes_within_ten_minutes() -> None:
    clock = VirtualClock()
    async with serving(outlets(8)) as agent:
        polled = reader(agent, clock)
        assert await read(polled) == 40
        agent.rows = outlets(6)
        assert await read(polled) == 30
        agent.rows = outlets(9)
        assert await read(polled) == 30
        await clock.advance(601)
        assert await read(polled) == 45
        await polled.close()


async def test_an_agent_that_loses_all_its_tables_is_refused() -> None:
    async with serving(outlets(8)) as agent:
        polled = reader(agent)
        await read(polled)
        agent.rows = {oid("1.3.6.1.2.1.1.2.0"): encoded("6", "1.3.6.1.4.1.8072.3.2.10")}
        with pytest.raises(Refused, match=r"sysObjectID is '1\.3\.6\.1\.4\.1\.8072"):
            await read(polled)
        await polled.close()


@pytest.mark.parametrize("seed", range(40))
async def test_damaged_answers_never_end_in_anything_but_a_named_error(seed: int) -> None:
    draw = random.Random(seed)

    def damaged(answer: bytes) -> bytes:
        body = bytearray(answer)
        for _ in range(draw.randrange(1, 4)):
            match draw.randrange(3):
                case 0:
                    body[draw.randrange(len(body))] ^= 1 << draw.randrange(8)
                case 1:
                    del body[draw.randrange(len(body)) :]
                case _:
                    body += draw.randbytes(draw.randrange(1, 9))
            body = body or bytearray(b"0")
        return bytes(body)

    async with serving(outlets(8)) as agent:
        polled = reader(agent)
        await read(polled)
        agent.twist = damaged
        for _ in range(3):
            with contextlib.suppress(Unreachable, Malformed, Refused):
                await read(polled, seconds=0.2)
        agent.twist = lambda answer: answer
        assert await read(polled) == 40
        await polled.close()


async def test_a_value_that_is_no_number_is_absent_and_spoils_no_other() -> None:
    async with serving(outlets(4)) as agent:
        polled = reader(agent)
        await read(polled)
        agent.rows[oid(f"{OUTLETS}.5.1.3.0.2")] = encoded("4", "n/a")
        (reading,) = await polled.read(DUE, deadline_seconds=5)
        values = dict(zip(reading.series, reading.values.tolist(), strict=True))
        assert values[("pdu_outlet_power_watts", (("outlet", "1"),))] == 115
        assert values[("pdu_outlet_power_watts", (("outlet", "2"),))] != 115
        await polled.close()


async def test_late_answers_to_an_earlier_poll_are_not_taken_for_new_ones() -> None:
    async with serving(outlets(4)) as agent:
        polled = reader(agent)
        await read(polled)
        kept: list[bytes] = []
        agent.twist = kept.append
        with pytest.raises(Unreachable):
            await read(polled, seconds=0.2)
        agent.rows = {number: encoded("2", "1") for number in agent.rows}
        agent.twist = lambda answer: _after(agent, kept, answer)
        (reading,) = await polled.read(DUE, deadline_seconds=5)
        assert (
            dict(zip(reading.series, reading.values.tolist(), strict=True))[
                ("pdu_outlet_power_watts", (("outlet", "1"),))
            ]
            == 1
        )
        await polled.close()


def _after(agent: Agent, kept: list[bytes], answer: bytes) -> bytes:
    """An answer that comes behind all the late ones."""
    while kept:
        late = kept.pop(0)
        assert agent._transport is not None
        agent._transport.sendto(late, agent.peer)
    return answer


async def test_an_agent_that_answers_slowly_is_given_more_time_and_learned_over_several_polls() -> None:
    async with serving(outlets(8)) as agent:
        polled = reader(agent)
        loop = asyncio.get_running_loop()

        def slowly(answer: bytes) -> None:
            assert agent._transport is not None
            loop.call_later(0.2, agent._transport.sendto, answer, agent.peer)

        agent.twist = slowly
        failures = 0
        for _ in range(8):
            try:
                assert await read(polled, seconds=1.0) == 40
                break
            except Unreachable:
                failures += 1
        assert 1 <= failures <= 5, "each request takes 0.2 s of a poll's 1 s, and there are a dozen"
        await polled.close()


async def test_an_agent_that_is_silent_to_large_requests_gets_small_ones() -> None:
    async with serving(outlets(30)) as agent:
        polled = reader(agent)
        await read(polled)
        agent.twist = lambda answer: answer if len(answer) < 400 else None
        assert await read(polled, seconds=5) == 150
        agent.requests.clear()
        assert await read(polled, seconds=5) == 150
        assert max(len(asked) for _, asked in agent.requests) == 8
        await polled.close()
