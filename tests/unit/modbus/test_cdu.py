"""The generic coolant distribution unit, over real Modbus TCP served by pymodbus."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from collectors.modbus import open_poller
from devices.reading import STALE
from fleet.clock import VirtualClock
from fleet.errors import Refused, Unreachable
from fleet.model import AssetId, Endpoint, Wire
from fleet.quality import Quality, Reason, pack

HEALTHY = [400, 520, 5970, 2950, 2950, 1200, 850, 0, 0b11, 1, 7, 41248]
DUE = frozenset({"cooling"})


def endpoint(address: str, **options: object) -> Endpoint:
    return Endpoint(
        asset=AssetId("cdu-1"),
        name="modbus",
        wire=Wire.MODBUS,
        address=address,
        profile="cdu-modbus",
        credentials=None,
        job="modbus",
        options=options,
    )


@asynccontextmanager
async def cdu(image: list[int]) -> AsyncIterator[SimpleNamespace]:
    seen: list[int] = []

    async def action(function_code, start_address, address, count, current_registers, set_values):
        seen.append(function_code)
        current_registers[: len(image)] = image

    block = [SimData(address=0, values=list(image), datatype=DataType.REGISTERS)]
    coil = [SimData(address=0, values=[False] * 16, datatype=DataType.BITS)]
    device = SimDevice(id=1, simdata=(coil, coil, block, block), action=action)
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    poller = open_poller(endpoint(f"127.0.0.1:{port}", unit=1), None, None, VirtualClock(1_000))
    try:
        yield SimpleNamespace(poller=poller, image=image, functions=seen, server=server, port=port)
    finally:
        await poller.close()
        await server.shutdown()


async def values(plant: SimpleNamespace) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    (reading,) = (await plant.poller.poll(DUE)).readings
    return dict(zip(reading.series, reading.values.tolist(), strict=True))


async def test_the_published_example_image_reads_as_its_document_says() -> None:
    async with cdu(list(HEALTHY)) as plant:
        found = await values(plant)
    assert found[("cdu_supply_temperature_celsius", ())] == pytest.approx(40.0)
    assert found[("cdu_return_temperature_celsius", ())] == pytest.approx(52.0)
    assert found[("cdu_flow_liters_per_minute", ())] == pytest.approx(597.0)
    assert found[("cdu_pump_speed_rpm", (("pump", "2"),))] == 2950.0
    assert found[("cdu_pressure_difference_pascals", ())] == 120_000.0
    assert found[("cdu_reservoir_level_ratio", ())] == pytest.approx(0.85)
    assert found[("cdu_leak_detected", (("detector", "1"),))] == 0.0
    assert found[("cdu_state", ())] == 1.0
    assert found[("cdu_heat_removed_watts", ())] == 500_000.0


async def test_one_request_reads_the_whole_unit_and_only_with_a_read_function() -> None:
    async with cdu(list(HEALTHY)) as plant:
        await plant.poller.poll(DUE)
        assert plant.functions == [4]


async def test_a_leak_is_told_for_its_detector_and_unfitted_detectors_have_no_series() -> None:
    async with cdu([*HEALTHY[:7], 0b10, *HEALTHY[8:]]) as plant:
        found = await values(plant)
    leaks = {labels[0][1]: value for (name, labels), value in found.items() if name == "cdu_leak_detected"}
    assert leaks == {"1": 0.0, "2": 1.0}


async def test_a_negative_temperature_is_negative_and_marked_implausible() -> None:
    async with cdu([0x10000 - 15, *HEALTHY[1:]]) as plant:
        (reading,) = (await plant.poller.poll(DUE)).readings
    at = reading.series.index(("cdu_supply_temperature_celsius", ()))
    assert reading.values[at] == pytest.approx(-1.5)
    assert reading.quality is not None
    assert reading.quality[at] == pack(Quality.BAD, Reason.RANGE)
    assert np.count_nonzero(reading.quality) == 1


async def test_a_value_that_goes_away_becomes_stale_in_an_unchanged_layout() -> None:
    async with cdu(list(HEALTHY)) as plant:
        (before,) = (await plant.poller.poll(DUE)).readings
        plant.image[2] = 0xFFFF
        (after,) = (await plant.poller.poll(DUE)).readings
    assert after.series is before.series
    at = after.series.index(("cdu_flow_liters_per_minute", ()))
    assert after.values.view(np.uint64)[at] == np.array([STALE]).view(np.uint64)[0]


async def test_a_unit_that_went_away_is_unreachable_and_read_again_when_it_returns() -> None:
    async with cdu(list(HEALTHY)) as plant:
        await plant.poller.poll(DUE)
        await plant.server.shutdown()
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
            await plant.poller.poll(DUE)
        block = [SimData(address=0, values=list(HEALTHY), datatype=DataType.REGISTERS)]
        again = ModbusTcpServer(SimDevice(id=1, simdata=block), address=("127.0.0.1", plant.port))
        await again.serve_forever(background=True)
        assert await values(plant)
        await again.shutdown()


@pytest.mark.parametrize("unit", [-1, 256, "1", True, 1.0])
def test_a_unit_number_that_is_none_is_refused_before_anything_is_sent(unit: object) -> None:
    with pytest.raises(Refused, match="0 to 255"):
        open_poller(endpoint("127.0.0.1:502", unit=unit), None, None, VirtualClock())


async def test_a_register_map_the_device_does_not_have_is_refused_with_the_registers_named() -> None:
    block = [SimData(address=0, values=[1, 2, 3], datatype=DataType.REGISTERS)]
    server = ModbusTcpServer(SimDevice(id=1, simdata=block), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    poller = open_poller(endpoint(f"127.0.0.1:{port}"), None, None, VirtualClock())
    with pytest.raises(Refused, match="registers 0 to 11: exception 2"):
        await poller.poll(DUE)
    await poller.close()
    await server.shutdown()
