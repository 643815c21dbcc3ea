"""Orders over Modbus: within the owner's bounds, one write or none, read back, and a battery that lets go by itself."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from devices.orders import Order, State, Verdict
from devices.wire.http_order import Timing
from devices.wire.modbus_courier import ModbusCourier, write_call
from devices.wire.modbus_writer import ModbusWriter
from devices.wire.once import Call, NotSent
from devices.wire.sunspec import places_of
from fleet.clock import SystemClock
from fleet.model import AssetId, Endpoint, Wire

CLOCK = SystemClock()
QUICK = Timing(answer_seconds=0.5, longest_poll_seconds=0.05)
BASE, MODEL_AT, LENGTH = 40_000, 40_002 + 68, 67
BESS = {"bess_set_point": {"low": -2e6, "high": 2e6, "step": 1e6, "every_seconds": 0.01}}
COOLING = {
    "coolant_set_point": {"low": 18.0, "high": 32.0, "step": 2.0, "every_seconds": 60.0},
    "standby_pump": {"low": 0.0, "high": 1.0, "step": 1.0, "every_seconds": 0.01},
}


@dataclass
class Unit:
    """A Modbus server that keeps registers and every write; `how` answers a write instead where a test says so."""

    registers: dict[int, int] = field(default_factory=dict)
    writes: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    how: Callable[[bytes], bytes | None] | None = None
    obeys: bool = True
    port: int = 0

    def answer(self, pdu: bytes) -> bytes | None:
        code, start, count = struct.unpack(">BHH", pdu[:5])
        if code == 3:
            if any(start + place not in self.registers for place in range(count)):
                return bytes((0x83, 2))
            return struct.pack(f">BB{count}H", 3, 2 * count, *(self.registers[start + place] for place in range(count)))
        assert code == 16, "nothing but reads of holding registers and one write may come"
        words = struct.unpack(f">{count}H", pdu[6:])
        self.writes.append((start, words))
        if self.obeys:
            self.registers.update({start + place: word for place, word in enumerate(words)})
        return pdu[:5] if self.how is None else self.how(pdu)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                number, _, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                answer = self.answer(await reader.readexactly(length - 1))
                if answer is None:
                    return
                writer.write(struct.pack(">HHHB", number, 0, len(answer) + 1, unit) + answer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


def battery() -> Unit:
    """SunS, the common model, model 704 with WSet in kW (scale factor 3), the end."""
    unit = Unit(dict.fromkeys(range(BASE, MODEL_AT + LENGTH + 2), 0))
    unit.registers |= {BASE: 0x5375, BASE + 1: 0x6E53, BASE + 2: 1, BASE + 3: 66}
    unit.registers |= {MODEL_AT: 704, MODEL_AT + 1: LENGTH - 2, MODEL_AT + LENGTH: 0xFFFF}
    scale = places_of(704)["WSet"].scale
    unit.registers[MODEL_AT + scale.offset] = 3
    unit.registers[MODEL_AT + places_of(704)["WSetPct"].offset] = 0x8000
    return unit


def at(unit: Unit, name: str) -> int:
    place = places_of(704)[name]
    value = 0
    for offset in range(place.size):
        value = value << 16 | unit.registers[MODEL_AT + place.offset + offset]
    return value


@pytest.fixture
async def serve() -> AsyncIterator[Callable]:
    servers = []

    async def serving(unit: Unit) -> str:
        server = await asyncio.start_server(unit.serve, "127.0.0.1", 0)
        servers.append(server)
        unit.port = server.sockets[0].getsockname()[1]
        return f"127.0.0.1:{unit.port}"

    yield serving
    for server in servers:
        server.close()


def order(
    address: str, verb: str, *, writable: object, profile: str, seconds: float = 5.0, **arguments: object
) -> Order:
    options = {"unit": 1} if writable is None else {"unit": 1, "writable": writable}
    endpoint = Endpoint(
        asset=AssetId("x"), name="modbus", wire=Wire.MODBUS, address=address, profile=profile, credentials=None, job="modbus",
        options=options,
    )  # fmt: skip
    return Order(
        intent="i", asset=AssetId("x"), verb=verb, arguments=arguments, endpoint=endpoint, secret={},
        not_after_boottime_ns=CLOCK.boottime_ns() + round(seconds * 1e9), effect_latency_seconds=0.2,
    )  # fmt: skip


async def act(wanted: Order, writer: ModbusWriter | None = None) -> tuple[Verdict, list[State]]:
    states: list[State] = []
    return await (writer or ModbusWriter(CLOCK, timing=QUICK)).act(wanted, states.append), states


def bess(address: str, verb: str = "bess_set_point", *, writable: object = BESS, **arguments: object) -> Order:
    return order(address, verb, writable=writable, profile="sunspec-battery", **arguments)


def cdu(address: str, verb: str, **arguments: object) -> Order:
    return order(address, verb, writable=COOLING, profile="cdu-modbus", **arguments)


async def test_a_set_point_goes_in_one_write_with_its_timer(serve) -> None:
    unit = battery()
    address = await serve(unit)
    verdict, states = await act(bess(address, watts=500_000, revert_seconds=60))
    assert states == [State.SENT, State.ACKNOWLEDGED]
    assert (verdict.before, len(unit.writes)) == ("follows itself", 1), verdict.text
    assert [at(unit, name) for name in ("WSetEna", "WSetMod", "WSet", "WSetRvrtTms", "WSetEnaRvrt")] == [
        1,
        1,
        500,
        60,
        0,
    ]
    assert at(unit, "WSetPct") == 0x8000  # what is not meant stays as it was
    assert {start + place for start, words in unit.writes for place in range(len(words))} <= set(
        range(MODEL_AT + 22, MODEL_AT + 33)
    )


async def test_a_negative_set_point_charges(serve) -> None:
    unit = battery()
    await act(bess(await serve(unit), watts=-700_000, revert_seconds=30))
    assert at(unit, "WSet") == (1 << 32) - 700


async def test_a_set_point_is_renewed_only_when_its_timer_is_half_over(serve) -> None:
    unit = battery()
    address = await serve(unit)
    await act(bess(address, watts=500_000, revert_seconds=60))
    left = MODEL_AT + places_of(704)["WSetRvrtRem"].offset + 1
    unit.registers[left] = 45
    kept, _ = await act(bess(address, watts=500_000, revert_seconds=60))
    assert (kept.state, len(unit.writes)) == (State.NOT_SENT, 1)
    unit.registers[left] = 20
    renewed, _ = await act(bess(address, watts=500_000, revert_seconds=60))
    assert (renewed.state, len(unit.writes)) == (State.ACKNOWLEDGED, 2), renewed.text


async def test_a_set_point_is_let_go(serve) -> None:
    unit = battery()
    address = await serve(unit)
    await act(bess(address, watts=500_000, revert_seconds=60))
    verdict, _ = await act(bess(address, "bess_release"))
    assert (verdict.before, verdict.after, at(unit, "WSetEna")) == ("held", "follows itself", 0)
    assert unit.writes[-1] == (MODEL_AT + 22, (0,))


@pytest.mark.parametrize(("arguments", "text"), [
    ({"watts": 3e6, "revert_seconds": 60}, "outside what the site allows"), ({"watts": 1.5e6, "revert_seconds": 60}, "one step"),
    ({"watts": 5e5}, "revert_seconds is None"), ({"watts": 5e5, "revert_seconds": 1}, "revert_seconds is 1"),
    ({"watts": float("nan"), "revert_seconds": 60}, "try a number"), ({"watts": 5e5, "revert_seconds": 1e9}, "revert_seconds"),
])  # fmt: skip
async def test_what_the_owner_does_not_allow_is_never_written(serve, arguments, text) -> None:
    unit = battery()
    verdict, states = await act(bess(await serve(unit), **arguments))
    assert (verdict.state, states, unit.writes) == (State.NOT_SENT, [], [])
    assert text in verdict.text


async def test_without_the_owners_word_nothing_is_writable(serve) -> None:
    unit = battery()
    address = await serve(unit)
    for verb in ("bess_set_point", "bess_release"):
        verdict, _ = await act(bess(address, verb, writable=None, watts=1.0, revert_seconds=60))
        assert (verdict.state, unit.writes) == (State.NOT_SENT, [])


async def test_a_cooling_unit_is_asked_within_bounds_step_and_pace(serve) -> None:
    unit = Unit({100: 300, 101: 0})
    address, writer = await serve(unit), ModbusWriter(CLOCK, timing=QUICK)
    verdict, _ = await act(cdu(address, "coolant_set_point", celsius=28.5), writer)
    assert (verdict.state, verdict.before, verdict.after) == (State.ACKNOWLEDGED, "30 °C", "28.5 °C"), verdict.text
    soon, states = await act(cdu(address, "coolant_set_point", celsius=27.5), writer)
    assert (soon.state, states, unit.writes) == (State.NOT_SENT, [], [(100, (285,))])
    assert "may be asked again" in soon.text
    for celsius in (17.9, 33.0, 24.0):
        verdict, _ = await act(cdu(address, "coolant_set_point", celsius=celsius))
        assert verdict.state is State.NOT_SENT, celsius
    pump, _ = await act(cdu(address, "standby_pump", run=True), writer)
    assert (pump.after, unit.writes[1:]) == ("1", [(101, (1,))])


@pytest.mark.parametrize(("answer", "state"), [
    (None, State.UNKNOWN), (bytes((0x90, 4)), State.UNKNOWN), (bytes((0x90, 11)), State.UNKNOWN), (b"\x10\x00\x00\x00\x00", State.UNKNOWN),
    (bytes((0x90, 2)), State.REFUSED), (bytes((0x90, 6)), State.REFUSED), (bytes((0x90, 5)), State.ACKNOWLEDGED),
])  # fmt: skip
async def test_whatever_comes_back_there_is_one_write_and_then_a_look(serve, answer, state) -> None:
    unit = Unit({101: 0}, how=lambda pdu: answer)
    verdict, _ = await act(cdu(await serve(unit), "standby_pump", run=1))
    assert (verdict.state, verdict.after, len(unit.writes)) == (state, "1", 1), verdict.text


async def test_a_unit_that_says_yes_and_does_nothing_is_seen(serve) -> None:
    unit = Unit({101: 0}, obeys=False)
    verdict, _ = await act(cdu(await serve(unit), "standby_pump", run=1))
    assert (verdict.state, verdict.after, len(unit.writes)) == (State.ACKNOWLEDGED, "0", 1)


async def test_after_its_deadline_nothing_is_written(serve) -> None:
    unit = Unit({101: 0})
    verdict, states = await act(cdu(await serve(unit), "standby_pump", run=1, seconds=-1))
    assert (verdict.state, states, unit.writes) == (State.NOT_SENT, [], [])


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 15, 22, 23, 43])
async def test_no_other_function_ever_leaves(serve, code: int) -> None:
    unit = Unit({101: 0})
    courier = ModbusCourier(address=await serve(unit), unit=1)
    call = Call(method="modbus", path="", body=bytes((code,)) + write_call(101, [1]).body[1:])
    assert isinstance(await courier.exchange(call, answer_seconds=1, gate=lambda: None, sent=lambda: None), NotSent)
    assert unit.writes == []


async def test_a_battery_without_the_model_is_left_alone(serve) -> None:
    unit = battery()
    unit.registers[MODEL_AT] = 703
    verdict, _ = await act(bess(await serve(unit), watts=1e5, revert_seconds=60))
    assert (verdict.state, unit.writes) == (State.NOT_SENT, [])
    assert "no SunSpec model 704" in verdict.text
