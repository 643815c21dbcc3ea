"""The same series in a real Prometheus and in a console of ours, each behind its HTTP API."""

import asyncio
import contextlib
import math
import random
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import numpy as np
from prometheus_client import CollectorRegistry

from bus.embedded import EmbeddedBus
from bus.frames import FrameWriter, SeriesLayout
from console.service import ConsoleService
from fleet.clock import SystemClock
from tests.real.servers import free_port, server

STEP_MS = 10_000
STEPS = 80
"""Samples of each series: 13 minutes and 20 seconds."""
ODD_MS = 3_137
"""Samples lie off every whole second: at a range's very edge, releases 2 and 3 of Prometheus differ."""

Key = tuple[str, tuple[tuple[str, str], ...]]


def dataset(start_ms: int) -> dict[Key, list[tuple[int, float]]]:
    """Counters that restart, gauges with gaps, a histogram, what joins, and numbers that are none."""
    dice = random.Random(7)
    series: dict[Key, list[tuple[int, float]]] = {}
    for rack in ("r1", "r2"):
        for node in ("n1", "n2", "n3"):
            labels = (("job", "node"), ("node", f"{rack}-{node}"), ("rack", rack))
            _fill(series, start_ms, ("node_power_watts", labels), lambda step: 400 + 50 * math.sin(step / 7) + step)
            _fill(series, start_ms, ("node_energy_joules_total", labels), lambda step: (step % 37) * 1000.5)
            _fill(series, start_ms, ("up", labels), lambda _: float(dice.random() < 0.8))
            info = (("cluster", rack.upper()), *labels[1:])
            _fill(series, start_ms, ("fleet_node_info", info), lambda _: 1.0)
            for edge, share in (("0.1", 0.2), ("0.5", 0.7), ("+Inf", 1.0)):
                bucket = (("job", "node"), ("le", edge), *labels[1:])
                _fill(
                    series,
                    start_ms,
                    ("call_seconds_bucket", bucket),
                    lambda step, share=share: float(int(step * 9 * share)),
                )
        limit = (("rack", rack),)
        _fill(
            series,
            start_ms,
            ("fleet_rack_power_limit_watts", limit),
            lambda _, rack=rack: 1500.0 if rack == "r1" else 1400.0,
        )
    _fill(series, start_ms, ("odd_ratio", (("kind", "nan"),)), lambda _: math.nan)
    _fill(series, start_ms, ("odd_ratio", (("kind", "inf"),)), lambda _: math.inf)
    _fill(series, start_ms, ("odd_ratio", (("kind", "small"),)), lambda _: 1.25e-9)
    _fill(series, start_ms, ("odd_ratio", (("kind", "large"),)), lambda _: 3.5e22)
    gaps = ("fan_speed_rpm", (("node", 'quo"te\\d'),))
    series[gaps] = [(start_ms + step * STEP_MS, 900.0 + step) for step in range(STEPS) if step % 9 > 3]
    series["gone_watts", (("node", "x"),)] = [(start_ms + step * STEP_MS, 1.0) for step in range(20)]
    return series


def _fill(series: dict[Key, list[tuple[int, float]]], start_ms: int, key: Key, value: Any) -> None:
    series[key] = [(start_ms + step * STEP_MS, value(step)) for step in range(STEPS)]


def open_metrics(series: dict[Key, list[tuple[int, float]]]) -> str:
    """The series as promtool's backfilling reads them."""
    lines = []
    for (name, labels), samples in sorted(series.items()):
        escaped = ",".join(
            f'{key}="{value.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}"'
            for key, value in labels
        )
        lines += [f"{name}{{{escaped}}} {value!r} {at / 1000:.3f}" for at, value in samples]
    types = sorted({f"# TYPE {name} unknown" for name, _ in series})
    return "\n".join([*types, *lines, "# EOF\n"]).replace(" inf ", " +Inf ").replace(" nan ", " NaN ")


@contextlib.asynccontextmanager
async def real_prometheus(
    binary: str, promtool: str, folder: Path, series: dict[Key, list[tuple[int, float]]]
) -> AsyncIterator[str]:
    """A Prometheus that holds the series; yields its address."""
    (folder / "data.om").write_text(open_metrics(series))
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    argv = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(folder / "data.om"), str(folder / "tsdb")]
    made = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    address = f"127.0.0.1:{free_port()}"
    argv = [
        binary,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--web.listen-address={address}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
    ]
    async with server(argv, folder=folder, ready=f"http://{address}/-/ready"):
        yield f"http://{address}"


@contextlib.asynccontextmanager
async def console(
    folder: Path, series: dict[Key, list[tuple[int, float]]], rules: list[Path] | None = None
) -> AsyncIterator[tuple[str, EmbeddedBus]]:
    """A console of ours whose bus carried the series; yields its address and its bus."""
    clock = SystemClock()
    bus = await EmbeddedBus.open(folder / "bus.sqlite", clock=clock, partitions=2)
    try:
        await publish(bus, series)
        service = ConsoleService(
            site=SimpleNamespace(name="pair", assets={}, graph=None),  # type: ignore[arg-type]
            bus=bus,
            clock=clock,
            registry=CollectorRegistry(),
            listen="127.0.0.1:0",
            version="test",
            rules=rules or [],
        )
        running = asyncio.create_task(service.run())
        try:
            await _answers(f"http://{service.address}")
            yield f"http://{service.address}", bus
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
    finally:
        await bus.close()


async def publish(bus: EmbeddedBus, series: dict[Key, list[tuple[int, float]]]) -> None:
    """The series as frames, one source each, in the order of time."""
    writer, publisher = FrameWriter(1), await bus.publisher()
    messages = []
    samples = sorted((at, key, value) for key, found in series.items() for at, value in found)
    for at, key, value in samples:
        source = f"test/{key[0]}/{'-'.join(value for _, value in key[1])}"
        messages += writer.messages(source, 1, SeriesLayout.of([key]), at, np.array([value]))
    for begin in range(0, len(messages), 500):
        await publisher.publish(messages[begin : begin + 500])


async def _answers(address: str) -> None:
    """Return when the window has been read from the bus."""
    async with asyncio.timeout(30), aiohttp.ClientSession() as http:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(f"{address}/api/v1/query", params={"query": "up"}) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.05)
