"""A battery image that pysunspec2 packs, served by pymodbus, read by ours: two libraries that know nothing of us."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from sunspec2.device import Model

from devices.profiles.sunspec_battery import PROFILE
from devices.wire.modbus import ModbusLink
from devices.wire.modbus_points import SunSpecPoints
from fleet.errors import HallkeeperError, Malformed

DUE = frozenset({"bess"})


def packed(model_id: int, **points: object) -> list[int]:
    model = Model(model_id)
    model.L.value = model.len - 2
    for name, value in points.items():
        getattr(model, name).value = value
    octets = model.get_mb()
    return [int.from_bytes(octets[at : at + 2], "big") for at in range(0, len(octets), 2)]


def battery_image() -> list[int]:
    return [
        0x5375,
        0x6E53,
        *packed(1, Mn="Acme", Md="Block", SN="0001"),
        *packed(701, W=1250, W_SF=4, Hz=5001, Hz_SF=-2, ConnSt=1, InvSt=3, TotWhInj=123456789012, TotWh_SF=0),
        *packed(704, WSetEna=0, WSet_SF=0),
        *packed(713, WHRtg=10000, WHAvail=6400, SoC=640, SoH=985, Sta=0, WH_SF=4, Pct_SF=-1),
        *packed(802, State=3, ChaSt=3, CellVMax=3412, CellVMin=3390, CellV_SF=-3, V=13310, V_SF=-1, SoC=10, SoC_SF=0),
        0xFFFF,
        0,
    ]


@asynccontextmanager
async def served(image: list[int], base: int = 40_000) -> AsyncIterator[str]:
    device = SimDevice(id=1, simdata=[SimData(address=base, values=image, datatype=DataType.REGISTERS)])
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        yield f"127.0.0.1:{server.transport.sockets[0].getsockname()[1]}"
    finally:
        await server.shutdown()


@pytest.fixture
async def battery() -> AsyncIterator[Callable[..., object]]:
    async with AsyncExitStack() as stack:

        async def make(image: list[int], base: int = 40_000) -> SunSpecPoints:
            link = ModbusLink(await stack.enter_async_context(served(image, base)), request_seconds=1.0)
            stack.callback(link.close)
            return SunSpecPoints(PROFILE, link)

        yield make


async def test_a_battery_packed_by_pysunspec2_is_read_in_base_units(battery) -> None:
    found = {point.metric: value for point, value in (await (await battery(battery_image())).read(DUE)).items()}
    assert found["bess_power_watts"] == 12_500_000.0
    assert found["bess_state_of_charge_ratio"] == pytest.approx(0.64)
    assert found["bess_state_of_health_ratio"] == pytest.approx(0.985)
    assert found["bess_capacity_joules"] == 100e6 * 3600
    assert found["bess_available_energy_joules"] == 64e6 * 3600
    assert found["bess_discharged_energy_joules_total"] == 123456789012 * 3600
    assert found["bess_frequency_hertz"] == pytest.approx(50.01)
    assert found["bess_state"] == 3.0
    assert found["bess_cell_voltage_max_volts"] == pytest.approx(3.412)
    assert found["bess_dc_voltage_volts"] == 1331.0


async def test_what_the_device_has_not_implemented_is_absent(battery) -> None:
    found = {point.metric for point in await (await battery(battery_image())).read(DUE)}
    assert "bess_dc_current_amperes" not in found
    assert "bess_charged_energy_joules_total" not in found


@pytest.mark.parametrize("base", [40_000, 50_000, 0])
async def test_the_mark_is_found_at_every_base_of_the_specification(battery, base: int) -> None:
    assert await (await battery(battery_image(), base)).read(DUE)


async def test_the_whole_unit_is_believed_before_its_battery(battery) -> None:
    """Model 713 says 64.0 %, model 802 of the same image 10 %."""
    found = await (await battery(battery_image())).read(DUE)
    assert [value for point, value in found.items() if point.metric == "bess_state_of_charge_ratio"] == [
        pytest.approx(0.64)
    ]


async def test_a_device_without_the_mark_is_named_malformed_with_what_to_try(battery) -> None:
    with pytest.raises(Malformed, match=r"no 'SunS' at 40000, 50000, 0, try"):
        await (await battery([1, 2, 3] * 60)).read(DUE)


async def test_models_that_move_are_noticed_and_walked_again(battery) -> None:
    image = battery_image()
    reader = await battery(image)
    await reader.read(DUE)
    reader._chain = tuple(type(m)(id=m.id, start=m.start + 1, length=m.length) for m in reader._chain)
    with pytest.raises(Malformed, match="walking it again"):
        await reader.read(DUE)
    assert await reader.read(DUE)


async def test_mutated_images_never_crash_hang_or_read_outside_the_chain(battery) -> None:
    """200 images with 1 to 40 random registers each: an answer, or one of our errors."""
    chaos = random.Random(7)
    outcomes: set[str] = set()
    advised: list[bool] = []
    async with AsyncExitStack() as stack:
        for _ in range(200):
            image = battery_image()
            for _ in range(chaos.randint(1, 40)):
                image[chaos.choice([chaos.randrange(len(image)), 3, 71, 226])] = chaos.choice(
                    [0, 0xFFFF, chaos.getrandbits(16)]
                )
            link = ModbusLink(await stack.enter_async_context(served(image)), request_seconds=1.0)
            stack.callback(link.close)
            try:
                found = await SunSpecPoints(PROFILE, link).read(DUE)
            except HallkeeperError as error:
                outcomes.add(type(error).__name__)
                advised.append("try" in str(error) or "walking" in str(error))
            else:
                outcomes.add("read")
                assert all(isinstance(value, float) for value in found.values())
    assert "read" in outcomes
    assert "Malformed" in outcomes
    assert all(advised)
