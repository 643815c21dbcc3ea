"""pymodbus's client and pysunspec2's model definitions against the battery and the CDUs."""

import asyncio
import struct

import pytest
import sunspec2.device
from pymodbus.client import AsyncModbusTcpClient


@pytest.fixture
async def connect(site):
    clients = []

    async def to(port, **options):
        client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=0.6, retries=0, **options)
        assert await client.connect()
        clients.append(client)
        return client

    yield to
    for client in clients:
        client.close()
    await asyncio.sleep(0)


async def test_the_cdus_twelve_registers_are_those_of_the_plant(site, connect) -> None:
    client = await connect(site.ports.cdus["cdu-1"])
    words = (await client.read_input_registers(0, count=12)).registers
    cooling = site.plant.cooling
    assert words[0] == round(float(cooling.supply_celsius[0]) * 10)
    assert words[1] == round(float(cooling.return_celsius[0]) * 10)
    assert words[2] == round(float(cooling.flow[0]) * 10) == 2400
    assert words[3] == words[4] == 2950
    assert words[7:10] == [0, 0b11, 1]
    assert words[10] * 65536 + words[11] == pytest.approx(float(cooling.heat_watts[0]), abs=1)


async def test_heat_and_flow_of_the_cdu_balance(site, connect) -> None:
    client = await connect(site.ports.cdus["cdu-1"])
    site.step(600)
    words = (await client.read_input_registers(0, count=12)).registers
    carried = words[2] / 10 / 60 * 1.030 * 3974 * (words[1] - words[0]) / 10
    assert carried == pytest.approx(words[10] * 65536 + words[11], rel=0.03)


async def test_a_failed_pump_and_a_leak_show(site, connect) -> None:
    client = await connect(site.ports.cdus["cdu-1"])
    site.faults.begin({"fault": "pump-fail", "target": "cdu-1", "pump": 2})
    leak = site.faults.begin({"fault": "leak", "target": "cdu-1", "detector": 2})
    site.step(30)
    words = (await client.read_input_registers(0, count=12)).registers
    assert words[4] == 0 and words[3] == 2950
    assert words[2] == pytest.approx(0.65 * 2400, abs=2)
    assert words[5] < 600, "pressure falls with the square of the flow"
    assert words[7] == 0b10 and words[9] == 3 and words[6] < 850
    site.faults.heal(leak.number)
    assert (await client.read_input_registers(7, count=1)).registers == [0]


async def test_addresses_counts_and_functions_outside_the_map_are_refused_by_number(site, connect) -> None:
    client = await connect(site.ports.cdus["cdu-1"])
    assert (await client.read_input_registers(11, count=2)).exception_code == 2
    assert (await client.read_input_registers(12, count=1)).exception_code == 2
    assert (await client.read_holding_registers(2, count=1)).exception_code == 2
    assert (await client.read_input_registers(0, count=1, device_id=7)).exception_code == 11


async def test_writes_outside_the_map_are_refused_by_number_and_written_down(site, connect, truth) -> None:
    for port, name in ((site.ports.cdus["cdu-1"], "cdu-1"), (site.ports.battery, "bess-1")):
        client = await connect(port)
        refused = [
            (client.write_coil(0, True), 1),
            (client.write_coils(0, [True]), 1),
            (client.mask_write_register(address=0, and_mask=1, or_mask=1), 1),
            (client.readwrite_registers(read_address=0, read_count=1, write_address=0, values=[1]), 1),
            (client.write_register(9, 1), 2),
            (client.write_registers(9, [1, 2]), 2),
        ]
        for write, code in refused:
            assert (await write).exception_code == code
        entries = [entry for entry in truth() if entry["device"] == name]
        assert [entry["verb"] for entry in entries] == [
            "write_coil", "write_coils", "mask_write_register", "read_write_registers", "write_register", "write_registers",
        ]  # fmt: skip
        assert not any(entry["accepted"] or entry["executed"] for entry in entries)


async def test_a_generator_string_is_only_read(site, connect) -> None:
    client = await connect(site.ports.generators["gen-1"])
    assert (await client.write_register(0, 1)).exception_code == 1
    words = (await client.read_input_registers(0, count=21)).registers
    assert words[0] == 0 and words[4] == 0, "it stands"
    site.faults.begin({"fault": "grid-loss", "target": "grid-1"})
    site.step(30)
    words = (await client.read_input_registers(0, count=21)).registers
    watts = words[1] << 16 | words[2]
    assert words[0] == 2 and words[5] == 5_000
    assert watts == pytest.approx(float(site.plant.sources.generators.watts[0]), abs=1)


async def test_a_cdu_takes_a_supply_set_point_and_a_standby_pump_within_its_limits(site, connect, truth) -> None:
    client = await connect(site.ports.cdus["cdu-1"])
    assert not (await client.write_registers(100, [380, 1])).isError()
    assert (await client.read_holding_registers(100, count=2)).registers == [380, 1]
    assert (await client.write_register(100, 700)).exception_code == 3
    assert (await client.write_register(101, 2)).exception_code == 3
    assert site.plant.cooling.set_point_celsius[0] == 38.0
    assert [entry["executed"] for entry in truth() if entry["device"] == "cdu-1"] == [True, False, False]


async def test_a_battery_follows_a_set_point_and_reverts_when_nobody_renews_it(site, connect) -> None:
    client = await connect(site.ports.battery)
    controls = 40_000 + 225
    at = controls + 22
    watts = (-2_000_000) & 0xFFFFFFFF
    order = [1, 1, watts >> 16, watts & 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0, 60]
    assert not (await client.write_registers(at, order)).isError()
    site.step(10)
    assert site.plant.battery.watts == -2_000_000
    remaining = (await client.read_holding_registers(controls + 33, count=2)).registers
    assert remaining == [0, 50]
    assert not (await client.write_registers(controls + 31, [0, 60])).isError(), "renewed: the time begins anew"
    site.step(55)
    assert site.plant.battery.watts == -2_000_000
    site.step(6)
    assert site.plant.battery.watts == 0.0
    assert (await client.read_holding_registers(at, count=1)).registers == [0]


async def test_a_battery_refuses_more_than_it_is_rated_for(site, connect) -> None:
    client = await connect(site.ports.battery)
    watts = 26_000_000
    assert (await client.write_registers(40_000 + 225 + 24, [watts >> 16, watts & 0xFFFF])).exception_code == 3
    assert not site.plant.battery.set_point_enabled


async def image(client, count=367):
    words = []
    while len(words) < count:
        part = await client.read_holding_registers(40000 + len(words), count=min(120, count - len(words)))
        words += part.registers
    return words


async def test_the_battery_is_a_sunspec_device_that_pysunspec2_decodes(site, connect) -> None:
    words = await image(await connect(site.ports.battery))
    assert words[:2] == [0x5375, 0x6E53]
    at, models = 2, {}
    while words[at] != 0xFFFF:
        number, length = words[at], words[at + 1]
        raw = struct.pack(f">{length + 2}H", *words[at : at + length + 2])
        models[number] = sunspec2.device.Model(number, data=raw)
        at += length + 2
    assert list(models) == [1, 701, 704, 713, 802]
    assert words[at : at + 2] == [0xFFFF, 0]
    value = lambda model, point: models[model].points[point].cvalue  # noqa: E731
    assert value(1, "Mn") == "Simulated"
    assert value(701, "W") == 0 and value(701, "Hz") == 50.0 and value(701, "ConnSt") == 1
    assert value(713, "WHRtg") == 100_000_000
    assert value(713, "SoC") == pytest.approx(100 * site.plant.battery.charge_ratio, abs=0.1)
    assert value(713, "SoH") == pytest.approx(97.1, abs=0.1)
    assert value(802, "State") == 4 and 3.0 < value(802, "CellVMin") < value(802, "CellVMax") < 3.7
    assert value(802, "WDisChaRteMax") == 25_000_000
    assert value(704, "WSet") is None and value(704, "WMaxLimPct") is None, "set points are not there"


async def test_a_discharging_battery_shows_positive_watts_and_loses_charge(site, connect) -> None:
    site.plant.battery.command(watts=10_000_000.0, enabled=True, reversion_seconds=0.0)
    site.step(3600)
    words = await image(await connect(site.ports.battery))
    raw = struct.pack(">155H", *words[70:225])
    model = sunspec2.device.Model(701, data=raw)
    assert model.points["W"].cvalue == 10_000_000
    assert model.points["InvSt"].cvalue == 3
    assert site.plant.battery.charge_ratio == pytest.approx(0.73, abs=0.005)


async def test_reads_outside_the_image_are_refused(site, connect) -> None:
    client = await connect(site.ports.battery)
    assert (await client.read_holding_registers(40366, count=2)).exception_code == 2
    assert (await client.read_holding_registers(0, count=2)).exception_code == 2
    assert (await client.read_input_registers(40000, count=2)).exception_code == 1


async def test_a_silent_cdu_does_not_answer_and_its_neighbour_does(site, connect) -> None:
    client = await connect(site.ports.cdus["cdu-1"])
    site.faults.begin({"fault": "device-silent", "target": "cdu-1"})
    with pytest.raises(Exception, match="No response"):
        await client.read_input_registers(0, count=1)
    assert not (await (await connect(site.ports.battery)).read_holding_registers(40000, count=2)).isError()
