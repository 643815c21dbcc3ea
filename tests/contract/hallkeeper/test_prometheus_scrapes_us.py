"""A real Prometheus scrapes a running Hallkeeper, and promtool finds its metrics well named."""

import asyncio
import contextlib
import subprocess
import sys

import aiohttp
import pytest

from fleet.clock import SystemClock
from hallkeeper.commands.run import SERVICES
from hallkeeper.demo.installation import install
from hallkeeper.demo.stage import Process, Site
from tests.conftest import peer_path
from tests.real.servers import free_port, prometheus
from tests.scenario.live.house import PATIENCE_SECONDS, marked

pytestmark = pytest.mark.timeout(3 * PATIENCE_SECONDS)


@contextlib.asynccontextmanager
async def running(folder, *services):
    """Services of ours over a small simulated site, in one daemon; yields its address. Nothing of it outlives the block."""
    with marked():
        async with contextlib.AsyncExitStack() as stack:
            site = Site(folder, nodes=16, racks=4, seed=1)
            stack.push_async_callback(site.stop)
            await site.start()
            status = f"127.0.0.1:{free_port()}"
            settings = install(
                folder,
                site.folder / "site.yaml",
                bus="embedded",
                webhook="http://127.0.0.1:9/",
                idle=(),
                clock=SystemClock(),
                status={services[0]: status},
            )
            argv = [sys.executable, "-m", "hallkeeper", "run", *services, "--settings", str(settings)]
            daemon = Process("daemon", argv, log=folder / "daemon.log")
            stack.push_async_callback(daemon.stop)
            await daemon.start()
            await ready(daemon, status)
            yield status


async def ready(daemon, status):
    """Return when every service of the daemon is ready."""
    async with asyncio.timeout(PATIENCE_SECONDS), aiohttp.ClientSession() as http:
        while True:
            assert daemon.failed() is None, daemon.failed()
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(f"http://{status}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.2)


async def ask(http, address, expr):
    """What Prometheus has for an expression."""
    async with http.get(f"{address}/api/v1/query", params={"query": expr}) as answer:
        return (await answer.json())["data"]["result"]


@pytest.mark.peer("prometheus", "promtool")
async def test_a_real_prometheus_reads_our_metrics_and_promtool_accepts_their_names(tmp_path):
    async with running(tmp_path, *SERVICES) as target, contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        address = await stack.enter_async_context(prometheus(peer_path("prometheus"), tmp_path, target=target))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await ask(http, address, 'hallkeeper_polls_total{outcome="answered"} > 0'):
                await asyncio.sleep(0.5)
        assert (await ask(http, address, 'up{job="hallkeeper"}'))[0]["value"][1] == "1"
        names = await ask(http, address, 'count by (__name__) ({job="hallkeeper"})')
        async with http.get(f"http://{target}/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
            page = await answer.text()
    families = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")}
    taken = {each["metric"]["__name__"] for each in names}
    for room in ("hallkeeper_polls_total", "hallkeeper_rules_evaluations_total", "process_resident_memory_bytes"):
        assert room in families & taken
    checked = await asyncio.to_thread(
        subprocess.run, [peer_path("promtool"), "check", "metrics"], input=page, capture_output=True, text=True
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    assert not [secret for secret in ("password", "whsec_", "token=") if secret in page]
