"""The files that a simulated site writes, and its life as a process."""

import asyncio
import json
import os
import signal
import socket
import stat
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from fleet.loader import load_site
from fleet.model import Kind, Wire
from fleet.secrets import read_secret
from simulator.__main__ import main
from simulator.layout import Layout
from simulator.machines import NodeState
from simulator.scenarios import load_scenarios
from simulator.simulation import Simulation

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(("nodes", "racks"), [(64, 16), (1, 1), (6, 2), (40, 9)])
async def test_fleet_accepts_the_site_file_of_any_size(tmp_path, nodes, racks) -> None:
    simulation = Simulation(tmp_path, Layout(nodes, racks))
    try:
        await simulation.open()
    finally:
        simulation.close()
        await asyncio.sleep(0)
    site = load_site(tmp_path / "site.yaml")
    assert site.simulated
    by_kind = [asset.kind for asset in site.assets.values()]
    assert (by_kind.count(Kind.NODE), by_kind.count(Kind.RACK), by_kind.count(Kind.PDU)) == (nodes, racks, 2 * racks)
    assert by_kind.count(Kind.OUTLET) == 2 * nodes
    assert len(site.endpoints(Wire.IPMI)) == len(site.endpoints(Wire.AGENT)) == nodes
    ports = {
        (endpoint.wire in {Wire.SNMP, Wire.IPMI}, endpoint.address) for endpoint in site.endpoints()
    }  # UDP, or TCP
    assert len(ports) == len(site.endpoints()), "every server has a port of its own"


async def test_every_node_hangs_on_both_feeds_and_every_command_declares_its_latency(site) -> None:
    loaded = load_site(site.directory / "site.yaml")
    for asset in loaded.assets.values():
        if asset.kind is Kind.NODE:
            feeds = {loaded.asset(loaded.asset(outlet).fed_by[0]).labels["feed"] for outlet in asset.fed_by}
            assert feeds == {"a", "b"}
        if asset.kind in (Kind.NODE, Kind.PDU):
            assert asset.effect_latency_seconds == 5


async def test_every_secret_can_be_read_by_its_owner_alone_and_fits_its_endpoint(site) -> None:
    loaded = load_site(site.directory / "site.yaml")
    wanted = {Wire.SNMP: "version", Wire.IPMI: "password", Wire.AGENT: "token", Wire.KUBERNETES: "token"}
    for endpoint in loaded.endpoints():
        for write in (False, True):
            reference = loaded.credentials_for(endpoint, write=write)
            if endpoint.wire in wanted:
                assert reference is not None
                assert wanted[endpoint.wire] in read_secret(reference, base=site.directory)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (site.directory / "secrets").iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE((site.directory / "ground-truth.jsonl").stat().st_mode) == 0o600
    assert b"PRIVATE" not in (site.directory / "ca.pem").read_bytes()
    assert not (site.directory / "server.pem").exists()


async def test_read_and_write_secrets_differ(site) -> None:
    folder = site.directory / "secrets"
    for path in folder.glob("*-read.yaml"):
        assert path.read_text() != (folder / path.name.replace("-read", "-write")).read_text()


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_the_process_is_ready_within_four_seconds_and_leaves_nothing_behind_on_sigterm(tmp_path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulator", "--directory", str(tmp_path), cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )  # fmt: skip
    assert process.stdout and process.stderr
    try:
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
        used = sum(
            map(int, Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13])
        ) / os.sysconf("SC_CLK_TCK")
        assert ready["ready"] is True and ready["site"] == str(tmp_path / "site.yaml")
        port = int(ready["control"].rpartition(":")[2])
        assert listening(port)
        address = load_site(tmp_path / "site.yaml").endpoints(Wire.KUBERNETES)[0].address
        assert listening(int(address.rpartition(":")[2]))
    finally:
        process.send_signal(signal.SIGTERM)
    said, complained = await asyncio.wait_for(process.communicate(), 5)
    assert (process.returncode, said, complained) == (0, b"", b"")
    assert not listening(port)
    assert used < 4.0, "seconds of CPU, which a busy machine does not stretch"


async def test_everything_listens_on_loopback_only(site) -> None:
    ours = {
        site.control_port, site.ports.kubernetes, site.ports.battery, *site.ports.pdus.values(), *site.ports.bmcs.values(),
        *site.ports.exporters.values(), *site.ports.agents.values(), *site.ports.cdus.values(), *site.ports.switches.values(),
    }  # fmt: skip
    bound = set()
    for table in ("tcp", "udp"):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            address, port = line.split()[1].split(":")
            state = line.split()[3]
            if int(port, 16) in ours and state in ("0A", "07"):
                assert address == "0100007F"
                bound.add(int(port, 16))
    assert bound == ours


def test_a_size_or_folder_that_cannot_be_is_refused_with_status_two(tmp_path, capsys) -> None:
    assert main(["--directory", str(tmp_path), "--nodes", "2", "--racks", "3"]) == 2
    assert "at least one node" in capsys.readouterr().err
    (tmp_path / "file").write_text("x")
    assert main(["--directory", str(tmp_path / "file"), "--nodes", "4", "--racks", "1"]) == 2
    assert "simulator:" in capsys.readouterr().err
    with pytest.raises(SystemExit) as refused:
        main(["--directory", str(tmp_path), "--speed", "0"])
    assert refused.value.code == 2


async def test_time_follows_the_clock_at_the_speed_asked_for(tmp_path) -> None:
    simulation = Simulation(tmp_path, Layout(4, 1), speed=20.0)
    await simulation.open()
    before, running = simulation.plant.now, asyncio.ensure_future(simulation.run())
    await asyncio.sleep(1.0)
    running.cancel()
    passed = simulation.plant.now - before
    simulation.close()
    await asyncio.sleep(0)
    assert 10 < passed < 40
    assert abs(simulation.unix_seconds_at(simulation.plant.now) - time.time()) < 2.0


async def test_a_scenario_is_begun_over_the_control_api_and_judges_its_own_bounds(tmp_path: Path) -> None:
    scenario = next(one for one in load_scenarios() if one.scenario == "hung-node")
    site = Simulation(tmp_path / "site", Layout(16, 4), scenario=scenario)
    await site.open()
    try:
        async with aiohttp.ClientSession() as http:
            url = f"http://127.0.0.1:{site.control_port}/scenario"
            site.step(5)
            async with http.get(url) as answer:
                assert (await answer.json())["begun"] is False
            async with http.post(url) as answer:
                assert (await answer.json())["begun"] is True
            site.step(1)
            assert site.plant.machines.state[6] == NodeState.HUNG
            for _ in range(200):
                site.step(1)
            async with http.get(url) as answer:
                told = await answer.json()
            assert told["over"] is True
            assert any("node-state" in line or "job-idle" in line for line in told["broken"]), told
    finally:
        site.close()
        await asyncio.sleep(0.05)


def test_a_scenario_that_is_not_there_is_named_with_those_that_are(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["--directory", str(tmp_path), "--scenario", "meteor"]) == 2
    assert "pump-failure/half-flow" in capsys.readouterr().err
