"""Starts real peers on loopback ports of their own, and ends them by their own process id."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.asynccontextmanager
async def server(
    argv: Sequence[str], *, folder: Path, ready: str, seconds: float = 30.0
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a server until the block ends; `ready` is a URL that answers 200 when it is up."""
    with (folder / "server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        async with asyncio.timeout(seconds), aiohttp.ClientSession() as http:
            while True:
                assert process.returncode is None, (folder / "server.log").read_text()[-2000:]
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(ready) as answer:
                        if answer.status == 200:
                            break
                await asyncio.sleep(0.1)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(10):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


@contextlib.asynccontextmanager
async def alertmanager(binary: str, folder: Path, *, webhook: str) -> AsyncIterator[str]:
    """A real Alertmanager that posts to `webhook` at once; yields its address."""
    config = folder / "alertmanager.yml"
    config.write_text(
        "route: {receiver: ours, group_by: [incident], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}\n"
        f"receivers: [{{name: ours, webhook_configs: [{{url: '{webhook}', send_resolved: true}}]}}]\n"
    )
    address = f"127.0.0.1:{free_port()}"
    argv = [
        binary,
        f"--config.file={config}",
        f"--web.listen-address={address}",
        f"--storage.path={folder / 'am'}",
        "--cluster.listen-address=",
    ]
    async with server(argv, folder=folder, ready=f"http://{address}/-/ready"):
        yield f"http://{address}"


@contextlib.asynccontextmanager
async def prometheus(binary: str, folder: Path, *, target: str) -> AsyncIterator[str]:
    """A real Prometheus that scrapes `target` every second; yields its address."""
    config = folder / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: hallkeeper, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    address = f"127.0.0.1:{free_port()}"
    argv = [
        binary,
        f"--config.file={config}",
        f"--web.listen-address={address}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
    ]
    async with server(argv, folder=folder, ready=f"http://{address}/-/ready"):
        yield f"http://{address}"
