"""One small simulated site for each test, bound on loopback; time stands still until the test steps it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from simulator.layout import Layout
from simulator.simulation import Simulation


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Simulation]:
    """16 nodes in 4 racks: r01 speaks SNMP v2c, r02 v3 with SHA-1, r03 is APC, r04 is the tight one."""
    simulation = Simulation(tmp_path / "site", Layout(16, 4))
    await simulation.open()
    try:
        yield simulation
    finally:
        simulation.close()
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
def truth(site: Simulation) -> Callable[[], list[dict]]:
    """The ground truth as the file holds it."""
    return lambda: [json.loads(line) for line in site.truth.path.read_text().splitlines()]


@pytest.fixture
async def http(site: Simulation) -> AsyncIterator[aiohttp.ClientSession]:
    """An aiohttp client that believes the site's own authority only."""
    context = ssl.create_default_context(cafile=str(site.directory / "ca.pem"))
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context), timeout=aiohttp.ClientTimeout(total=5)
    ) as session:
        yield session
    await asyncio.sleep(0.05)


@pytest.fixture
def program() -> Callable[..., "asyncio.Future[tuple[int, str]]"]:
    """Runs an outside program while the site answers; gives its status and all it said."""

    async def run(*arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await asyncio.wait_for(process.communicate(), 30)
        return process.returncode or 0, said.decode()

    return run
