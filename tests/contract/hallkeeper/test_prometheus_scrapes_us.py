"""A real Prometheus scrapes a running Hallkeeper, and promtool finds its metrics well named."""

import asyncio
import contextlib
import subprocess
import sys

import aiohttp
import pytest

from fleet.clock import SystemClock
from hallkeeper.demo.installation import install
from hallkeeper.demo.stage import Process, Site
from tests.conftest import peer_path
from tests.real.servers import free_port, prometheus


@contextlib.asynccontextmanager
async def running(tmp_path, *services):
    """Services of ours over a small simulated site, in one daemon; yields its address."""
    site = Site(tmp_path, nodes=16, seed=1)
    await site.start()
    status = f"127.0.0.1:{free_port()}"
    settings = install(
        tmp_path,
        site.folder / "site.yaml",
        bus="embedded",
        webhook="http://127.0.0.1:9/",
        idle=(),
        clock=SystemClock(),
        status={services[0]: status},
    )
    daemon = Process(
        "daemon",
        [sys.executable, "-m", "hallkeeper", "run", *services, "--settings", str(settings)],
        log=tmp_path / "daemon.log",
    )
    await daemon.start()
    try:
        async with asyncio.timeout(40), aiohttp.ClientSession() as http:
            while True:
                assert daemon.failed() is None, daemon.failed()
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"http://{status}/readyz") as answer:
                        if answer.status == 200:
                            break
                await asyncio.sleep(0.2)
        yield status
    finally:
        await daemon.stop()
        await site.stop()


async def ask(http, address, expr):
    async with http.get(f"{address}/api/v1/query", params={"query": expr}) as answer:
        return (await answer.json())["data"]["result"]


@pytest.mark.peer("prometheus", "promtool")
async def test_a_real_prometheus_reads_our_metrics_and_promtool_accepts_their_names(tmp_path):
    async with (
        running(tmp_path, "collectors", "rules", "oncall") as target,
        aiohttp.ClientSession() as http,
        prometheus(peer_path("prometheus"), tmp_path, target=target) as address,
    ):
        async with asyncio.timeout(30):
            while not await ask(http, address, "hallkeeper_polls_total > 0"):
                await asyncio.sleep(0.5)
        assert (await ask(http, address, 'up{job="hallkeeper"}'))[0]["value"][1] == "1"
        assert await ask(http, address, "process_resident_memory_bytes > 0")
        async with http.get(f"http://{target}/metrics") as answer:
            page = await answer.text()
    checked = await asyncio.to_thread(
        subprocess.run,
        [peer_path("promtool"), "check", "metrics"],
        input=page,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "password" not in page
