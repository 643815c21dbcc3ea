"""What the benches share: a load process, a site made for it, the collectors on a bus of their own, the CPU they took."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from bus.frames import Frame, SeriesTable, decode
from bus.port import Bus, open_bus
from bus.topics import FRAMES
from collectors.service import CollectorService
from fleet.clock import SystemClock
from fleet.model import Asset, AssetId, CredentialRefs, Endpoint, Kind, PlantGraph, Site
from fleet.settings import Settings

WARM_POLLS = 4
"""Polls of every target before measuring begins: layouts are learned and connections made."""
WARM_UP_LIMIT_SECONDS = 120.0

DURABLE = {
    True: "committed to SQLite, synchronous=NORMAL",
    False: "acknowledged by every in-sync replica of Kafka, acks=all",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was read and durable within the measured time, and the CPU it took."""

    seconds: float
    user_seconds: float
    system_seconds: float
    frames: int
    values: int
    """Values in those frames, `up` not counted."""

    durable: str
    """What made them durable."""

    @property
    def cpu_seconds(self) -> float:
        return self.user_seconds + self.system_seconds

    @property
    def values_per_cpu_second(self) -> float:
        return self.values / self.cpu_seconds


@contextmanager
def load_process(module: str, *arguments: str) -> Iterator[dict[str, Any]]:
    """A load generator in a process of its own; yields what it said when it was ready, with its `pid`."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        said = json.loads(process.stdout.readline())
        yield said | {"pid": process.pid}
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def site_of(endpoints: Sequence[Endpoint], kind: Kind, secret: str | None = None) -> Site:
    """A site in one zone with these endpoints, one asset each."""
    assets = {
        endpoint.asset: Asset(
            id=endpoint.asset,
            kind=kind,
            zone=1,
            labels={"node": str(endpoint.asset), "rack": f"r{number // 4:03d}", "zone": "1"},
            endpoints=(endpoint,),
        )
        for number, endpoint in enumerate(endpoints)
    }
    credentials = {} if secret is None else {"bench": CredentialRefs(read=secret)}
    return Site(
        name="bench",
        simulated=True,
        assets=assets,
        graph=PlantGraph(assets),
        credentials=credentials,
        path=Path("site.yaml"),
    )


@asynccontextmanager
async def fresh_bus(url: str) -> AsyncIterator[Bus]:
    """A bus of its own: an embedded one in a folder that goes again, or the Kafka that was named."""
    with tempfile.TemporaryDirectory(prefix="hallkeeper-bench-") as folder:
        bus = await open_bus(url, data=Path(folder), clock=SystemClock(), partitions=2)
        try:
            yield bus
        finally:
            await bus.close()


async def collect(site: Site, bus: Bus, settings: Settings, seconds: float) -> Measured:
    """Run the collectors on a site; measure them after the warm-up."""
    clock = SystemClock()
    registry = CollectorRegistry()
    service = CollectorService(site, bus, clock, settings, registry)
    running = asyncio.create_task(service.run())
    async with asyncio.timeout(WARM_UP_LIMIT_SECONDS):
        while _polls(registry, site) < WARM_POLLS * len(site.endpoints()) and not running.done():
            await clock.sleep(0.5)
    before, start_ms = resource.getrusage(resource.RUSAGE_SELF), clock.now_ms()
    await asyncio.wait([running], timeout=seconds)
    after, end_ms = resource.getrusage(resource.RUSAGE_SELF), clock.now_ms()
    if running.done():
        running.result()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    frames, values = await count_frames(bus, {endpoint.source for endpoint in site.endpoints()}, start_ms, end_ms)
    return Measured(
        seconds=(end_ms - start_ms) / 1000,
        user_seconds=after.ru_utime - before.ru_utime,
        system_seconds=after.ru_stime - before.ru_stime,
        frames=frames,
        values=values,
        durable=DURABLE[type(bus).__name__ == "EmbeddedBus"],
    )


def _polls(registry: CollectorRegistry, site: Site) -> float:
    """How many polls were answered."""
    jobs = {one.job for one in site.endpoints()}
    found = [registry.get_sample_value("hallkeeper_polls_total", {"job": job, "outcome": "answered"}) for job in jobs]
    return sum(value or 0.0 for value in found)


async def count_frames(bus: Bus, sources: set[str], start_ms: int, end_ms: int) -> tuple[int, int]:
    """Frames of these sources that the bus took in that time, read back from it, and the values in them."""
    reader = await bus.reader(topics=[FRAMES])
    carrying: set[int] = set()
    frames = values = 0
    while records := await reader.fetch(limit=2000, timeout_seconds=2.0):
        for record in records:
            found = decode(record.value or b"")
            if isinstance(found, SeriesTable) and any(name == "up" for name, _ in found.series):
                carrying.add(found.layout)
            if isinstance(found, Frame) and found.source in sources and start_ms <= record.at_ms < end_ms:
                frames += 1
                values += len(found) - (found.layout in carrying)
    await reader.close()
    return frames, values


def quick(signals: Mapping[str, float]) -> Settings:
    """Settings that read these signals at these intervals."""
    return Settings.model_validate({"intervals": dict(signals)})


def endpoint(
    number: int, *, name: str, wire: str, address: str, profile: str, job: str, credentials: str | None
) -> Endpoint:
    """One target of the load."""
    from fleet.model import Wire

    return Endpoint(
        asset=AssetId(f"target-{number:04d}"),
        name=name,
        wire=Wire(wire),
        address=address,
        profile=profile,
        credentials=credentials,
        job=job,
        options={},
    )
