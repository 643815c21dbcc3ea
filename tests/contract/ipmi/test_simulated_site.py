"""BMCs, battery, coolant unit, agents and the cluster of a simulated site, which shares no decoder with the product."""

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from collectors.poller import Poll, factory_of
from devices.orders import Order, State, Verdict
from devices.wire.agent import AgentWriter
from devices.wire.kubernetes import KubernetesReader, KubernetesWriter
from fleet.clock import SystemClock
from fleet.loader import load_site
from fleet.metrics import METRICS
from fleet.model import Endpoint, Site, Wire
from fleet.secrets import Secrets, read_secret

CLOCK = SystemClock()


class Simulated:
    """A simulated site in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "simulator", "--directory", str(folder), "--nodes", "8", "--racks", "4"],
            cwd=Path(__file__).resolve().parents[3],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.control = json.loads(self.process.stdout.readline())["control"]
        self.site: Site = load_site(folder / "site.yaml")

    def secret(self, endpoint: Endpoint, *, write: bool = False) -> Secrets | None:
        reference = self.site.credentials_for(endpoint, write=write)
        return None if reference is None else read_secret(reference, base=self.site.base)

    def inject(self, **fault: object) -> None:
        request = urllib.request.Request(f"{self.control}/faults", method="POST", data=json.dumps(fault).encode())
        urllib.request.urlopen(request, timeout=5).close()

    def changes(self, server: str) -> list[tuple[str, bool]]:
        lines = (self.folder / "ground-truth.jsonl").read_text().splitlines()
        return [(one["verb"], one["executed"]) for one in map(json.loads, lines) if one["server"] == server]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    site = Simulated(tmp_path_factory.mktemp("site"))
    yield site
    site.stop()


@asynccontextmanager
async def polled(simulated: Simulated, wire: Wire, profile: str, place: int = 0) -> AsyncIterator:
    endpoint = [one for one in simulated.site.endpoints(wire) if one.profile == profile][place]
    poller = factory_of(wire)(endpoint, simulated.secret(endpoint), None, CLOCK)

    async def poll() -> tuple[dict, Poll]:
        found = await poller.poll(frozenset(poller.signals))
        values = {
            series: value
            for reading in found.readings
            for series, value in zip(reading.series, reading.values.tolist(), strict=True)
        }
        assert {name for name, _ in values} <= set(METRICS)
        return values, found

    yield endpoint, poll
    await poller.close()


async def test_a_bmc_of_suite_17_tells_power_inlet_and_fans(simulated: Simulated) -> None:
    async with polled(simulated, Wire.IPMI, "openbmc") as (_, poll):
        found, _ = await poll()
    assert found["bmc_power_state", ()] == 1.0
    assert found["bmc_power_watts", ()] > 500
    assert 10 < found["bmc_inlet_temperature_celsius", ()] < 40
    assert found["bmc_fan_speed_rpm", (("fan", "Fan 1"),)] > 500
    assert found["bmc_sensor_power_watts", (("sensor", "PSU1 Power In"),)] > 100


async def test_a_battery_tells_charge_power_and_state(simulated: Simulated) -> None:
    async with polled(simulated, Wire.MODBUS, "sunspec-battery") as (_, poll):
        found, _ = await poll()
    assert 0 < found["bess_state_of_charge_ratio", ()] <= 1
    assert found["bess_capacity_joules", ()] > 3.6e9
    assert found["bess_available_energy_joules", ()] <= found["bess_capacity_joules", ()]
    assert found["bess_state", ()] in {3.0, 4.0}
    assert ("bess_power_watts", ()) in found


async def test_a_coolant_unit_tells_temperatures_flow_pumps_and_leaks(simulated: Simulated) -> None:
    async with polled(simulated, Wire.MODBUS, "cdu-modbus") as (_, poll):
        found, poll_ = await poll()
    assert 10 < found["cdu_supply_temperature_celsius", ()] < found["cdu_return_temperature_celsius", ()] < 70
    assert found["cdu_flow_liters_per_minute", ()] > 10
    assert found["cdu_pump_speed_rpm", (("pump", "1"),)] > 100
    assert found["cdu_leak_detected", (("detector", "1"),)] == 0.0
    assert poll_.readings[0].quality is None


async def test_a_leak_shows(simulated: Simulated) -> None:
    async with polled(simulated, Wire.MODBUS, "cdu-modbus") as (endpoint, poll):
        simulated.inject(fault="leak", target=endpoint.asset, detector=2)
        async with asyncio.timeout(10):
            while (await poll())[0]["cdu_leak_detected", (("detector", "2"),)] != 1.0:
                await asyncio.sleep(0.1)


async def test_an_agent_tells_its_gpus_and_an_xid_as_it_happens(simulated: Simulated) -> None:
    async with polled(simulated, Wire.AGENT, "agent", 2) as (endpoint, poll):
        found, _ = await poll()
        assert found["agent_gpu_count", ()] == 8.0
        assert found["agent_gpu_power_watts", (("gpu", "0"),)] > 20
        simulated.inject(fault="gpu-off-bus", target=endpoint.asset, gpu=3)
        events = []
        async with asyncio.timeout(20):
            while not events:
                events = [event for event in (await poll())[1].events if event.kind == "xid"]
                await asyncio.sleep(0.1)
    assert (events[0].code, events[0].severity) == ("79", "critical")


async def test_a_cluster_tells_its_nodes_and_jobs(simulated: Simulated) -> None:
    async with polled(simulated, Wire.KUBERNETES, "kubernetes") as (_, poll):
        found, _ = await poll()
    ready = [
        value
        for (name, labels), value in found.items()
        if name == "kube_node_status_condition"
        and dict(labels)["condition"] == "Ready"
        and dict(labels)["status"] == "true"
    ]
    assert ready == [1.0] * 8
    jobs = [dict(labels) for name, labels in found if name == "fleet_job_info"]
    assert jobs
    assert all({"job_id", "node", "priority", "priority_value"} <= set(job) for job in jobs)


async def act(simulated: Simulated, wire: Wire, verb: str, *, place: int = 0, **arguments: object) -> Verdict:
    endpoint = simulated.site.endpoints(wire)[place]
    secret = simulated.secret(endpoint, write=True)
    assert secret is not None
    order = Order(
        intent=f"{verb}-{endpoint.source}",
        asset=endpoint.asset,
        verb=verb,
        arguments=arguments,
        endpoint=endpoint,
        secret=secret,
        not_after_boottime_ns=CLOCK.boottime_ns() + 10**10,
        effect_latency_seconds=5.0,
    )
    writer = AgentWriter(CLOCK) if wire is Wire.AGENT else KubernetesWriter(CLOCK)
    return await writer.act(order, lambda _state: None)


async def test_a_gpu_power_limit_is_set_by_one_request_and_read_back(simulated: Simulated) -> None:
    verdict = await act(simulated, Wire.AGENT, "gpu_power_limit", place=1, watts=400)
    assert (verdict.state, verdict.after) == (State.ACKNOWLEDGED, "400"), verdict.text
    assert [verb for verb, executed in simulated.changes("agent") if executed] == ["gpu_power_limit"]
    refused = await act(simulated, Wire.AGENT, "gpu_power_limit", place=1, watts=5_000)
    assert refused.state is State.REFUSED


async def test_a_checkpoint_is_made(simulated: Simulated) -> None:
    endpoint = simulated.site.endpoints(Wire.KUBERNETES)[0]
    reader = KubernetesReader(endpoint, simulated.secret(endpoint), CLOCK)
    node = simulated.site.endpoints(Wire.AGENT)[0].asset
    job = next(pod.job for pod in await reader.pods_on(node) if pod.job)
    await reader.close()
    verdict = await act(simulated, Wire.AGENT, "checkpoint", job=job, deadline_seconds=20)
    assert verdict.state is State.ACKNOWLEDGED, verdict.text
    assert verdict.after in {"requested", "done"}


async def test_every_verb_of_the_cluster_is_one_request_that_the_cluster_carries_out(simulated: Simulated) -> None:
    endpoint = simulated.site.endpoints(Wire.KUBERNETES)[0]
    reader = KubernetesReader(endpoint, simulated.secret(endpoint), CLOCK)
    node = simulated.site.endpoints(Wire.AGENT)[0].asset
    pod = next(pod for pod in await reader.pods_on(node) if pod.job)
    namespace, _, job = pod.job.partition("/")
    wanted = [
        ("cordon", {"node": node}),
        ("taint_out_of_service", {"node": node}),
        ("untaint_out_of_service", {"node": node}),
        ("uncordon", {"node": node}),
        ("suspend_job", {"namespace": namespace, "job": job}),
        ("resume_job", {"namespace": namespace, "job": job}),
    ]
    for verb, arguments in wanted:
        verdict = await act(simulated, Wire.KUBERNETES, verb, **arguments)
        assert verdict.state is State.ACKNOWLEDGED, verdict.text
    assert simulated.changes("kubernetes") == [(verb, True) for verb, _ in wanted]
    await reader.close()


async def test_a_pod_is_evicted_by_its_uid_and_another_uid_is_left_alone(simulated: Simulated) -> None:
    endpoint = simulated.site.endpoints(Wire.KUBERNETES)[0]
    reader = KubernetesReader(endpoint, simulated.secret(endpoint), CLOCK)
    nodes = [one.asset for one in simulated.site.endpoints(Wire.AGENT)]
    pods = [pod for node in nodes for pod in await reader.pods_on(node)]
    await reader.close()
    pod = next(pod for pod in pods if pod.job and pod.phase == "Running" and not pod.deletion_timestamp)
    names = {"namespace": pod.namespace, "pod": pod.name}
    wrong = await act(simulated, Wire.KUBERNETES, "evict", **names, uid="another")
    assert (wrong.state, wrong.before) == (State.NOT_SENT, "gone")
    verdict = await act(simulated, Wire.KUBERNETES, "evict", **names, uid=pod.uid)
    assert verdict.state in {State.ACKNOWLEDGED, State.REFUSED}, verdict.text
    if verdict.state is State.ACKNOWLEDGED:
        assert verdict.after in {"terminating", "gone"}
