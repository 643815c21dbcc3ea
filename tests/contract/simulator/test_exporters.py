"""Exporter pages over HTTP, read by aiohttp and by prometheus_client's own parser."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families


@pytest.fixture
def page(site, http):
    async def get(port):
        async with http.get(f"http://127.0.0.1:{port}/metrics") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            return await answer.text()

    return get


def samples(text):
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


async def test_a_dcgm_page_has_43_fields_of_eight_gpus_with_the_exporters_labels(site, page) -> None:
    found = samples(await page(site.ports.exporters["dgx-001"]))
    assert len(found) == 344
    assert len({sample.name for sample in found}) == 43
    assert set(found[0].labels) == {
        "gpu",
        "UUID",
        "pci_bus_id",
        "device",
        "modelName",
        "Hostname",
        "DCGM_FI_DRIVER_VERSION",
    }
    watts = {sample.labels["gpu"]: sample.value for sample in found if sample.name == "DCGM_FI_DEV_POWER_USAGE"}
    assert watts == {
        str(gpu): pytest.approx(float(site.plant.machines.gpu_watts[0, gpu]), abs=1e-5) for gpu in range(8)
    }


async def test_the_page_moves_with_the_plant_and_its_layout_does_not(site, page) -> None:
    first = await page(site.ports.exporters["dgx-001"])
    assert await page(site.ports.exporters["dgx-001"]) == first, "nothing moved"
    site.step(0.25)
    second = await page(site.ports.exporters["dgx-001"])
    assert first != second
    strip = lambda text: [line.rpartition(" ")[0] for line in text.splitlines()]  # noqa: E731
    assert strip(first) == strip(second)


async def test_a_gpu_off_the_bus_is_missing_from_the_page(site, page) -> None:
    site.faults.begin({"fault": "gpu-off-bus", "target": "dgx-001", "gpu": 2})
    site.step(0.25)
    found = samples(await page(site.ports.exporters["dgx-001"]))
    assert {sample.labels["gpu"] for sample in found} == {"0", "1", "3", "4", "5", "6", "7"}


async def test_a_leaf_page_has_a_state_errors_and_a_byte_counter_for_each_node_of_its_row(site, page) -> None:
    before = samples(await page(site.ports.switches["leaf-1"]))
    assert len(before) == 5 * 16
    site.faults.begin({"fault": "hung-node", "target": "dgx-003"})
    site.faults.begin({"fault": "partition", "target": "dgx-004"})
    site.step(2)
    after = samples(await page(site.ports.switches["leaf-1"]))
    down = {sample.labels["port"] for sample in after if sample.name == "fabric_port_state" and sample.value == 0}
    assert down == {"3"}, "a partition of the management network leaves the fabric alone"
    counted = [
        {s.labels["port"]: s.value for s in page_ if s.name == "fabric_port_data_bytes_total"}
        for page_ in (before, after)
    ]
    assert counted[1]["4"] > counted[0]["4"]
    assert counted[1]["3"] == counted[0]["3"]


@pytest.mark.parametrize("kind", ["hung-node", "partition", "exporter-silent"])
async def test_a_cut_off_exporter_takes_the_connection_and_says_nothing(site, page, kind) -> None:
    fault = site.faults.begin({"fault": kind, "target": "dgx-001"})
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(page(site.ports.exporters["dgx-001"]), 0.4)
    assert await page(site.ports.exporters["dgx-002"])
    site.faults.heal(fault.number)
    assert await page(site.ports.exporters["dgx-001"])


async def test_one_connection_serves_many_pages(site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.ports.exporters["dgx-001"])
    for _ in range(5):
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        assert len(await reader.readexactly(size)) == size
    writer.close()
    await writer.wait_closed()


async def test_anything_but_the_page_is_an_error_that_says_what_is_there(site, http) -> None:
    async with http.get(f"http://127.0.0.1:{site.ports.exporters['dgx-001']}/") as answer:
        assert answer.status == 404 and "/metrics" in await answer.text()
    async with http.post(f"http://127.0.0.1:{site.ports.exporters['dgx-001']}/metrics", data=b"x") as answer:
        assert answer.status == 405
