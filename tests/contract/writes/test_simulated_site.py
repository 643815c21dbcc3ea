"""The writers against a simulated site: cipher suite 17, its PDUs, and its own log of what it was told."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.orders import Order, State, Verdict
from devices.wire import rmcp_bmc
from devices.wire.ipmi_writer import IpmiWriter
from devices.wire.rmcp import session_with
from devices.wire.rmcp_crypto import suite_of
from devices.wire.rmcp_session import OPERATOR, USER, Account
from devices.wire.snmp_set import SnmpSetWriter
from fleet.clock import SystemClock
from fleet.errors import Refused
from fleet.loader import load_site
from fleet.model import Endpoint, Site, Wire
from fleet.secrets import Secrets, read_secret, reveal

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


async def act(simulated: Simulated, endpoint: Endpoint, verb: str, **arguments: object) -> Verdict:
    clock = SystemClock()
    writer = IpmiWriter(clock) if endpoint.wire is Wire.IPMI else SnmpSetWriter(clock)
    order = Order(
        intent=f"{verb}-{endpoint.source}",
        asset=endpoint.asset,
        verb=verb,
        arguments=arguments,
        endpoint=endpoint,
        secret=simulated.secret(endpoint, write=True),
        not_after_boottime_ns=clock.boottime_ns() + 10**10,
        effect_latency_seconds=5.0,
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
