"""Recorded pages of real exporters, over HTTP, become readings."""

import asyncio
import gzip
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from aiohttp import web

from devices.reading import Reading
from devices.wire.scrape import PageReader
from fleet.clock import VirtualClock
from fleet.quality import Quality, Reason, quality_of, reason_of


@asynccontextmanager
async def exporter(answer: Callable[[web.Request], web.StreamResponse]):
    """An aiohttp server as exporters are in Python; yields the URL."""

    async def handle(request: web.Request) -> web.StreamResponse:
        found = answer(request)
        return await found if asyncio.iscoroutine(found) else found

    app = web.Application()
    app.add_routes([web.get("/{path:.*}", handle)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
    finally:
        await runner.cleanup()


async def read(answer: Callable[[web.Request], web.StreamResponse], times: int = 1) -> list[Reading]:
    async with exporter(answer) as url:
        reader = PageReader(url, signal="gpu", clock=VirtualClock())
        try:
            return [await reader.read(deadline_seconds=10) for _ in range(times)]
        finally:
            await reader.close()


def value_of(reading: Reading, name: str, **labels: str) -> float:
    found = [
        value
        for (series, own), value in zip(reading.series, reading.values.tolist(), strict=True)
        if series == name and labels.items() <= dict(own).items()
    ]
    assert len(found) == 1, (name, labels, found)
    return found[0]


async def test_a_dcgm_page_with_mig_lines_and_a_blank_is_read(recordings: Path) -> None:
    page = (recordings / "exporters" / "dcgm_a100_nvidia_docs.prom").read_bytes()
    (reading,) = await read(lambda _: web.Response(body=page))
    gpu = "GPU-34319582-d595-d1c7-d1d2-179bcfa61660"
    assert value_of(reading, "DCGM_FI_DEV_POWER_USAGE", UUID=gpu) == 409.692
    assert value_of(reading, "DCGM_FI_DEV_MEMORY_TEMP", UUID=gpu) == 69
    assert value_of(reading, "DCGM_FI_PROF_DRAM_ACTIVE", GPU_I_ID="13") == 0.800339
    assert reading.quality is not None
    bad = [at for at, mark in enumerate(reading.quality.tolist()) if quality_of(mark) is Quality.BAD]
    assert [reading.series[at][0] for at in bad] == ["DCGM_FI_DEV_MEMORY_TEMP"]
    assert reason_of(int(reading.quality[bad[0]])) is Reason.SENTINEL


async def test_a_node_exporter_page_is_read_whole(recordings: Path) -> None:
    page = (recordings / "exporters" / "node_exporter_e2e-output.txt").read_bytes()
    (reading,) = await read(lambda _: web.Response(body=page))
    samples = [line for line in page.decode().split("\n") if line and not line.startswith("#")]
    assert len(reading.series) == len(samples)
    assert value_of(reading, "node_load1") == 0.21
    assert value_of(reading, "node_edac_correctable_errors_total", controller="0") == 1


async def test_the_layout_object_stays_the_same_while_the_page_does(recordings: Path) -> None:
    page = (recordings / "exporters" / "dcgm_a100_nvidia_docs.prom").read_bytes()
    changed = page.replace(b" 409.692000\n", b" 77.5\n")
    pages = iter([page, changed, page])
    first, second, third = await read(lambda _: web.Response(body=next(pages)), times=3)
    assert second.series is first.series
    assert third.series is first.series
    assert value_of(second, "DCGM_FI_DEV_POWER_USAGE") == 77.5


async def _chunked(request: web.Request, page: bytes) -> web.StreamResponse:
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for start in range(0, len(page), 4096):
        await response.write(page[start : start + 4096])
    await response.write_eof()
    return response


async def test_pages_come_through_whole_by_length_in_chunks_compressed_and_over_a_redirect(recordings: Path) -> None:
    page = (recordings / "exporters" / "node_exporter_e2e-output.txt").read_bytes()
    answers = {
        "length": lambda _: web.Response(body=page),
        "chunked": lambda request: _chunked(request, page),
        "compressed": lambda _: web.Response(body=gzip.compress(page), headers={"Content-Encoding": "gzip"}),
        "redirect": lambda request: (
            web.Response(body=page)
            if request.path == "/there"
            else web.Response(status=302, headers={"Location": "/there"})
        ),
        "closing": lambda _: web.Response(body=page, headers={"Connection": "close"}),
    }
    readings = {name: (await read(answer, times=3))[2] for name, answer in answers.items()}
    for name, reading in readings.items():
        assert reading.series == readings["length"].series, name
        assert np.array_equal(reading.values, readings["length"].values, equal_nan=True), name


async def test_a_sample_that_the_exporter_dates_back_is_uncertain() -> None:
    now = VirtualClock().now_ms()
    page = f"fresh 1 {now - 1000}\nold 1 {now - 31_000}\nplain 1\n".encode()
    (reading,) = await read(lambda _: web.Response(body=page))
    assert reading.quality is not None
    assert [quality_of(mark) for mark in reading.quality.tolist()] == [Quality.GOOD, Quality.UNCERTAIN, Quality.GOOD]
    assert reason_of(int(reading.quality[1])) is Reason.AGE
