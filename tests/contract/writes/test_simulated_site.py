"""The writers against a simulated site: cipher suite 17, its PDUs, and its own log of what it was told."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devices.orders import Order, State, Verdict, forget
from devices.wire import rmcp_bmc
from devices.wire.rmcp import session_with
from devices.wire.rmcp_crypto import suite_of
from devices.wire.rmcp_session import OPERATOR, USER, Account
from fleet.clock import SystemClock
from fleet.errors import Refused
from fleet.loader import load_site
from fleet.model import Endpoint, Site, Wire
from fleet.secrets import Secrets, read_secret, reveal
from remediator.actuator.process import writers

ROOT = Path(__file__).resolve().parents[3]


class Simulated:
    """A simulated site in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "simulator", "--directory", str(folder), "--nodes", "8", "--racks", "4"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert json.loads(self.process.stdout.readline())["ready"]
        self.site: Site = load_site(folder / "site.yaml")

    def endpoint(self, wire: Wire, place: int = 0) -> Endpoint:
        return self.site.endpoints(wire)[place]

    def secret(self, endpoint: Endpoint, *, write: bool) -> Secrets:
        reference = self.site.credentials_for(endpoint, write=write)
        assert reference is not None
        return read_secret(reference, base=self.site.base)

    def requests(self, device: str) -> list[dict[str, object]]:
        lines = (self.folder / "ground-truth.jsonl").read_text().splitlines()
        return [one for one in map(json.loads, lines) if one["device"] == device]

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


def account(secret: Secrets, privilege: int) -> Account:
    user, password = reveal(secret["user"]), reveal(secret["password"])
    return Account(user=user, password=password, suite=suite_of(17), privilege=privilege)


async def act(
    simulated: Simulated, endpoint: Endpoint, verb: str, *, latency: float = 5.0, **arguments: object
) -> Verdict:
    clock = SystemClock()
    writer = writers(clock, forget)[endpoint.wire]()
    order = Order(
        intent=f"{verb}-{endpoint.source}",
        asset=endpoint.asset,
        verb=verb,
        arguments=arguments,
        endpoint=endpoint,
        secret={} if endpoint.wire is Wire.MODBUS else simulated.secret(endpoint, write=True),
        not_after_boottime_ns=clock.boottime_ns() + 10**10,
        effect_latency_seconds=latency,
    )
    return await writer.act(order, lambda _: None)


async def test_a_bmc_of_suite_17_is_read(simulated: Simulated) -> None:
    endpoint = simulated.endpoint(Wire.IPMI)
    async with session_with(endpoint.address, account(simulated.secret(endpoint, write=False), USER)) as client:
        assert (await rmcp_bmc.chassis_status(client)).power_on
        sensors = await rmcp_bmc.sensors(client)
        readings = {one.sensor.name: one for one in await rmcp_bmc.read_sensors(client, sensors)}
        power = await rmcp_bmc.dcmi_power(client)
        tail = await rmcp_bmc.sel_since(client, None)
    assert 10 < (readings["Inlet Temp"].value or 0) < 40
    assert readings["Fan 1"].sensor.unit == "rpm"
    assert power is not None
    assert power.current_watts > 500
    assert not tail.gap


async def test_the_reading_user_may_not_log_in_to_command(simulated: Simulated) -> None:
    endpoint = simulated.endpoint(Wire.IPMI)
    with pytest.raises(Refused):
        async with session_with(endpoint.address, account(simulated.secret(endpoint, write=False), OPERATOR)):
            pass


async def test_a_node_goes_off_and_on_by_one_command_each(simulated: Simulated) -> None:
    endpoint = simulated.endpoint(Wire.IPMI, 1)
    off = await act(simulated, endpoint, "power_off")
    on = await act(simulated, endpoint, "power_on")
    assert (off.state, off.before, off.after) == (State.ACKNOWLEDGED, "on", "off")
    assert (on.state, on.before, on.after) == (State.ACKNOWLEDGED, "off", "on")
    seen = [(one["verb"], one["executed"]) for one in simulated.requests(endpoint.asset) if one["server"] == "ipmi"]
    assert seen == [("power_off", True), ("power_on", True)]


@pytest.mark.parametrize("family", ["eaton-epdu-g3", "apc-rpdu2"])
async def test_an_outlet_goes_off_and_on_by_one_set_each(simulated: Simulated, family: str) -> None:
    endpoint = next(one for one in simulated.site.endpoints(Wire.SNMP) if one.profile == family)
    off = await act(simulated, endpoint, "outlet_off", outlet="2")
    on = await act(simulated, endpoint, "outlet_on", outlet="2")
    assert (off.state, off.before, off.after) == (State.ACKNOWLEDGED, "on", "off")
    assert (on.state, on.before, on.after) == (State.ACKNOWLEDGED, "off", "on")
    seen = [one["verb"] for one in simulated.requests(endpoint.asset) if one["executed"]]
    assert seen == ["outlet_off", "outlet_on"]


def executed(simulated: Simulated, endpoint: Endpoint) -> list[object]:
    return [one["verb"] for one in simulated.requests(endpoint.asset) if one["executed"]]


async def test_a_host_is_asked_to_shut_down_and_goes_off(simulated: Simulated) -> None:
    endpoint = simulated.endpoint(Wire.IPMI, 2)
    verdict = await act(simulated, endpoint, "soft_off", latency=60.0)
    assert (verdict.state, verdict.before, verdict.after) == (State.ACKNOWLEDGED, "on", "off"), verdict.text
    assert len(executed(simulated, endpoint)) == 1


async def test_a_bmc_keeps_a_limit_and_gives_it_back(simulated: Simulated) -> None:
    endpoint = simulated.endpoint(Wire.IPMI, 4)
    for verb, arguments, after in (
        ("dcmi_power_limit", {"watts": 4000}, "4000 W"), ("dcmi_limit_on", {}, "active"), ("dcmi_limit_off", {}, "inactive"),
    ):  # fmt: skip
        verdict = await act(simulated, endpoint, verb, **arguments)
        assert (verdict.state, verdict.after) == (State.ACKNOWLEDGED, after), verdict.text
    assert len(executed(simulated, endpoint)) == 3


async def test_a_battery_takes_a_set_point_with_its_timer_and_lets_go(simulated: Simulated) -> None:
    found = next(one for one in simulated.site.endpoints(Wire.MODBUS) if one.profile == "sunspec-battery")
    bounds = {"low": -1e6, "high": 1e6, "step": 1e6, "every_seconds": 0.01}
    endpoint = replace(found, options={**found.options, "writable": {"bess_set_point": bounds}})
    verdict = await act(simulated, endpoint, "bess_set_point", watts=200_000.0, revert_seconds=60.0)
    assert (verdict.state, verdict.before) == (State.ACKNOWLEDGED, "follows itself"), verdict.text
    assert str(verdict.after).startswith("200000 W for")
    back = await act(simulated, endpoint, "bess_release")
    assert (back.state, back.after) == (State.ACKNOWLEDGED, "follows itself"), back.text


async def test_a_machine_whose_gpu_a_job_holds_refuses_its_reset(simulated: Simulated) -> None:
    endpoint = simulated.endpoint(Wire.AGENT, 5)
    verdict = await act(simulated, endpoint, "gpu_reset", gpus=[0])
    assert verdict.state is State.REFUSED, verdict.text
    assert "holds a GPU" in verdict.text
