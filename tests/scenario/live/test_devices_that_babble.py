"""Devices whose every answer is malformed are counted and shown as gone; their neighbours and the process never notice."""

import asyncio
import contextlib
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest
import yaml

from bus.frames import SeriesTable, decode
from bus.port import Bus, open_bus
from bus.topics import FRAMES
from fleet.clock import SystemClock
from fleet.loader import load_site
from fleet.model import Endpoint, Site
from hallkeeper.demo import stage
from hallkeeper.demo.installation import install
from hallkeeper.demo.stage import Process
from hallkeeper.preflight import partitions
from rules.query import LiveWindow
from tests.contract.hallkeeper.test_prometheus_scrapes_us import ready
from tests.real.servers import free_port
from tests.scenario.live.babble import babbling
from tests.scenario.live.house import PATIENCE_SECONDS, lines_of, marked

pytestmark = pytest.mark.timeout(3 * PATIENCE_SECONDS)

WATCHED_SECONDS = 15.0
LONGEST_GAP_SECONDS = 12.0
"""Between two answers of a good target, on a machine that is busy with other things; BMCs are asked every 5 s here."""


def with_bad_devices(site: Path, ports: Sequence[tuple[int, int]]) -> None:
    """One more device of every kind, all of which babble, each on UDP and TCP ports of its own."""
    document = yaml.safe_load(site.read_text())
    datagrams = [f"127.0.0.1:{udp}" for udp, _ in ports]
    streams = [f"127.0.0.1:{tcp}" for _, tcp in ports]
    rack = document["halls"][0]["rows"][-1]["racks"][-1]
    node = rack["nodes"][-1]
    rack["nodes"].append(
        {
            **node,
            "name": "bad-node",
            "bmc": {**node["bmc"], "address": datagrams[0]},
            "exporters": [{**exporter, "address": f"http://{streams[0]}/metrics"} for exporter in node["exporters"]],
            "agent": {**node["agent"], "address": f"https://{streams[1]}"},
        }
    )
    power, cooling, fabric = document["power"], document["cooling"], document["fabric"]
    outlets = [{"outlet": 1, "node": "bad-node", "supply": "psu-1", "phase": 1}]
    power["pdus"].append({**power["pdus"][-1], "name": "bad-pdu", "address": datagrams[1], "outlets": outlets})
    power["bess"].append({**power["bess"][0], "name": "bad-bess", "address": streams[2]})
    cooling["cdus"].append({**cooling["cdus"][0], "name": "bad-cdu", "address": streams[3]})
    fabric["switches"].append({"name": "bad-leaf", "exporter": f"http://{streams[4]}/metrics", "ports": []})
    with site.open("w") as out:
        yaml.safe_dump(document, out)


def parted(site: Site) -> tuple[list[Endpoint], list[Endpoint]]:
    """The endpoints that babble, and the good ones."""
    bad = [endpoint for endpoint in site.endpoints() if endpoint.asset.startswith("bad-")]
    return bad, [endpoint for endpoint in site.endpoints() if endpoint not in bad]


async def heard(bus: Bus, window: LiveWindow) -> dict[str, set[str]]:
    """Everything on the bus into the window; asset → names of its series."""
    names: dict[str, set[str]] = defaultdict(set)
    reader = await bus.reader(topics=[FRAMES])
    while records := await reader.fetch(limit=5_000, timeout_seconds=1.0):
        for record in records:
            window.append(record.value)
            table = decode(record.value)
            if isinstance(table, SeriesTable):
                for name, labels in table.series:
                    names[dict(labels).get("asset", "")].add(name)
        if len(records) < 1_000:
            break
    await reader.close()
    return names


async def test_a_device_that_babbles_is_gone_and_counted_and_its_neighbours_never_notice(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "SIMULATOR_SECONDS", PATIENCE_SECONDS)
    with marked():
        site = stage.Site(tmp_path, nodes=8, racks=2, seed=1)
        await site.start()
        try:
            async with contextlib.AsyncExitStack() as stack:
                ports = [await stack.enter_async_context(babbling(seed)) for seed in range(5)]
                file = site.folder / "site.yaml"
                with_bad_devices(file, ports)
                status = f"127.0.0.1:{free_port()}"
                settings = install(
                    tmp_path, file, bus="embedded", webhook="http://127.0.0.1:9/", idle=(), clock=SystemClock(),
                    status={"collectors": status},
                )  # fmt: skip
                page, log = await watched(tmp_path, settings, status)
        finally:
            await site.stop()
    known = load_site(file)
    bad, good = parted(known)
    assert len(bad) == 7
    assert_counted(page, bad)
    assert_said_once(log, bad)
    bus = await open_bus("embedded", data=tmp_path / "data", clock=SystemClock(), partitions=partitions(known))
    try:
        window = LiveWindow(depth_seconds=120.0, names=frozenset({"up"}))
        names = await heard(bus, window)
    finally:
        await bus.close()
    for endpoint in bad:
        labels = {"asset": endpoint.asset, "job": endpoint.job, "instance": endpoint.instance}
        assert {sample.value for sample in window.since("up", labels, 0)} == {0.0}, endpoint.source
        assert names[endpoint.asset] <= {"up"} | {name for name in names[endpoint.asset] if name.startswith("fleet_")}
    for endpoint in good:
        labels = {"asset": endpoint.asset, "job": endpoint.job, "instance": endpoint.instance}
        samples = window.since("up", labels, 0)
        assert {sample.value for sample in samples} == {1.0}, endpoint.source
        times = [sample.at_ms / 1000 for sample in samples]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert len(times) >= 2 and max(gaps) <= LONGEST_GAP_SECONDS, (endpoint.source, gaps)


async def watched(folder: Path, settings: Path, status: str) -> tuple[str, list[dict[str, object]]]:
    """Collectors at work for a while; their page of metrics and what they logged."""
    daemon = Process(
        "collectors",
        [sys.executable, "-m", "hallkeeper", "run", "collectors", "--settings", str(settings)],
        log=folder / "daemon.log",
    )
    await daemon.start()
    try:
        await ready(daemon, status)
        begun = time.monotonic()
        async with aiohttp.ClientSession() as http:
            while True:
                await asyncio.sleep(1.0)
                async with http.get(f"http://{status}/metrics") as answer:
                    page = await answer.text()
                gone = sum(
                    value for labels, value in samples_of(page, "hallkeeper_targets") if labels["state"] == "gone"
                )
                if time.monotonic() - begun >= WATCHED_SECONDS and gone >= 7:
                    return page, lines_of(folder / "daemon.log")
                assert time.monotonic() - begun < PATIENCE_SECONDS, f"{gone:g} of 7 targets gone"
    finally:
        await daemon.stop()


def samples_of(page: str, name: str) -> list[tuple[dict[str, str], float]]:
    """Labels and value of each sample of a metric."""
    found = []
    for line in page.splitlines():
        if line.startswith(name + "{"):
            labels, _, value = line[len(name) + 1 :].rpartition("} ")
            pairs = (pair.split("=") for pair in labels.split(","))
            found.append(({key: text.strip('"') for key, text in pairs}, float(value)))
    return found


def assert_counted(page: str, bad: list[Endpoint]) -> None:
    """Every job tells how many of its targets are gone, what was malformed, and that nothing failed by a fault of ours."""
    polls = {(labels["job"], labels["outcome"]): count for labels, count in samples_of(page, "hallkeeper_polls_total")}
    targets = {(labels["job"], labels["state"]): count for labels, count in samples_of(page, "hallkeeper_targets")}
    for job, count in Counter(endpoint.job for endpoint in bad).items():
        assert targets[job, "gone"] == count, job
        assert polls[job, "unreachable"] + polls[job, "refused"] + polls[job, "malformed"] >= 2, job
        assert polls[job, "answered"] > 0, job
    assert [polls[job, "malformed"] for job in ("dcgm", "fabric", "modbus")] >= [1, 1, 1]
    assert {job: count for (job, outcome), count in polls.items() if outcome == "failed" and count} == {}


def assert_said_once(log: list[dict[str, object]], bad: list[Endpoint]) -> None:
    """Once when it goes, nothing of ours fell over, and no good one is named."""
    gone = Counter(line["source"] for line in log if line["event"] == "a target is gone")
    assert gone == Counter(endpoint.source for endpoint in bad)
    assert [line for line in log if "exception" in line] == []
