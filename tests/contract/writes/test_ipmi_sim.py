"""Our RMCP+ client, the writer and pyghmi's inventory against OpenIPMI's ipmi_sim (cipher suite 3)."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.orders import Order, State, Verdict
from devices.wire import rmcp_bmc
from devices.wire.ipmi_inventory import inventory
from devices.wire.ipmi_writer import IpmiWriter, Timing
from devices.wire.rmcp import Patience, session_with
from devices.wire.rmcp_crypto import suite_of
from devices.wire.rmcp_session import ADMINISTRATOR, OPERATOR, USER, Account
from fleet.clock import SystemClock
from fleet.errors import Refused, Unreachable
from fleet.model import AssetId, Endpoint, Wire
from tests.faults.write_device import free_port
from tests.faults.write_peers import PASSWORD, IpmiSim
from tests.faults.write_peers import USER as WRITER

pytestmark = pytest.mark.peer("ipmi_sim")
SECRET = {"user": WRITER, "password": PASSWORD, "suite": 3}


@pytest.fixture
def bmc(tmp_path: Path) -> Iterator[IpmiSim]:
    sim = IpmiSim(tmp_path / "bmc", sixbit_fan=True).start()
    yield sim
    sim.stop()


def account(privilege: int = USER, **changes: object) -> Account:
    return Account(**({"user": WRITER, "password": PASSWORD, "suite": suite_of(3), "privilege": privilege} | changes))


def endpoint(address: str) -> Endpoint:
    return Endpoint(
        asset=AssetId("node"), name="bmc", wire=Wire.IPMI, address=address, profile="any", credentials="bmc", job="ipmi"
    )


def order(bmc: IpmiSim, verb: str, **changes: object) -> Order:
    whole = {
        "intent": "i1",
        "asset": AssetId("node"),
        "verb": verb,
        "endpoint": endpoint(bmc.address),
        "secret": SECRET,
        "not_after_boottime_ns": SystemClock().boottime_ns() + 10**10,
        "effect_latency_seconds": 1.0,
    }
    return Order(**(whole | changes))


async def act(bmc: IpmiSim, verb: str, **changes: object) -> tuple[Verdict, list[State]]:
    states: list[State] = []
    writer = IpmiWriter(SystemClock(), timing=Timing(patience=Patience(timeout_seconds=1.0)))
    return await writer.act(order(bmc, verb, **changes), states.append), states


async def test_power_sensors_and_identity_are_read(bmc: IpmiSim) -> None:
    async with session_with(bmc.address, account(ADMINISTRATOR)) as client:
        assert (await rmcp_bmc.chassis_status(client)).power_on
        device = await rmcp_bmc.device_id(client)
        found = await rmcp_bmc.sensors(client)
        readings = await rmcp_bmc.read_sensors(client, found)
        assert await rmcp_bmc.dcmi_power(client) is None
    assert (device.firmware, device.manufacturer) == ("9.08", 0x1291)
    assert [(one.sensor.name, one.value, one.sensor.unit) for one in readings] == [
        ("TEMP_INLET", 42.0, "celsius"),
        ("FAN1", 6000.0, "rpm"),
    ]


async def test_the_event_log_is_read_once_and_then_only_its_tail(bmc: IpmiSim) -> None:
    async with session_with(bmc.address, account()) as client:
        info = await rmcp_bmc.sel_info(client)
        tail = await rmcp_bmc.sel_since(client, None)
        again = await rmcp_bmc.sel_since(client, tail.last)
        now = await rmcp_bmc.sel_time(client)
    assert [record.code for record in tail.records] == ["0xc:0x0", "0x8:0x3"]
    assert info.entries == 2
    assert (again.records, again.gap, again.last) == ((), False, tail.last)
    assert 0 <= now - tail.records[0].raw_at <= 60


async def test_a_log_that_was_cleared_shows_a_gap_and_is_read_from_its_start(bmc: IpmiSim) -> None:
    async with session_with(bmc.address, account()) as client:
        tail = await rmcp_bmc.sel_since(client, None)
        lost = type(tail.last)(record=900, kind=2, at=None, raw_at=1)
        again = await rmcp_bmc.sel_since(client, lost)
    assert again.gap
    assert again.records == tail.records


async def test_a_wrong_password_is_refused_at_once(bmc: IpmiSim) -> None:
    started = time.monotonic()
    with pytest.raises(Refused, match="password"):
        async with session_with(bmc.address, account(password="wrong")):
            pass
    assert time.monotonic() - started < 1.0


async def test_suite_17_is_not_downgraded_to_what_the_bmc_has(bmc: IpmiSim) -> None:
    with pytest.raises(Refused, match="cipher suite"):
        async with session_with(bmc.address, account(suite=suite_of(17))):
            pass


async def test_sessions_are_closed_so_that_a_hundred_logins_find_room(bmc: IpmiSim) -> None:
    for _ in range(100):
        async with session_with(bmc.address, account(ADMINISTRATOR)) as client:
            assert client.session is not None


async def test_a_dead_address_is_unreachable_after_the_patience_it_was_given() -> None:
    started = time.monotonic()
    with pytest.raises(Unreachable):
        async with session_with(
            f"127.0.0.1:{free_port()}", account(), patience=Patience(timeout_seconds=0.05, tries=2)
        ):
            pass
    assert time.monotonic() - started < 2.0


async def test_one_event_loop_reads_many_bmcs_at_once(tmp_path: Path) -> None:
    sims = [IpmiSim(tmp_path / str(place)).start() for place in range(6)]

    async def power(sim: IpmiSim) -> bool:
        async with session_with(sim.address, account()) as client:
            return (await rmcp_bmc.chassis_status(client)).power_on

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(power(sim)) for sim in sims]
        assert all(task.result() for task in tasks)
    finally:
        for sim in sims:
            sim.stop()


async def test_off_and_on_run_once_each_and_are_read_back(bmc: IpmiSim) -> None:
    off, states = await act(bmc, "power_off")
    on, _ = await act(bmc, "power_on")
    assert states == [State.SENT, State.ACKNOWLEDGED, State.FENCED]
    assert (off.state, off.before, off.after) == (State.ACKNOWLEDGED, "on", "off")
    assert (on.state, on.before, on.after) == (State.ACKNOWLEDGED, "off", "on")
    assert [run.what for run in bmc.executions()] == ["power 0", "power 1"]


async def test_a_goal_that_is_met_sends_nothing_and_says_so(bmc: IpmiSim) -> None:
    verdict, states = await act(bmc, "power_on")
    assert (verdict.state, verdict.before, verdict.after) == (State.NOT_SENT, "on", "on")
    assert "already" in verdict.text
    assert states == []
    assert bmc.executions() == []


@pytest.mark.parametrize("left_ns", [-1, 0, 9_000_000])
async def test_nothing_is_sent_without_the_margin_before_the_deadline(bmc: IpmiSim, left_ns: int) -> None:
    class Stopped(SystemClock):
        def boottime_ns(self) -> int:
            return 1_000_000_000

    writer = IpmiWriter(Stopped())
    late = order(bmc, "power_off", not_after_boottime_ns=1_000_000_000 + left_ns)
    verdict = await writer.act(late, lambda _: None)
    assert verdict.state is State.NOT_SENT
    assert "time was over" in verdict.text
    assert bmc.executions() == []


async def test_an_intent_that_cannot_be_made_durable_is_not_sent(bmc: IpmiSim) -> None:
    def full_disk(_intent: str, _note: str) -> None:
        raise OSError(28, "No space left on device")

    writer = IpmiWriter(SystemClock(), remember=full_disk)
    verdict = await writer.act(order(bmc, "power_off"), lambda _: None)
    assert verdict.state is State.NOT_SENT
    assert bmc.executions() == []


async def test_the_intent_is_durable_before_the_command_runs(bmc: IpmiSim) -> None:
    seen: list[int] = []
    writer = IpmiWriter(SystemClock(), remember=lambda _i, _n: seen.append(len(bmc.executions())))
    await writer.act(order(bmc, "power_off"), lambda _: None)
    assert seen == [0]
    assert len(bmc.executions()) == 1


async def test_an_earlier_processs_session_is_ended_and_the_state_read(bmc: IpmiSim) -> None:
    notes: list[str] = []
    async with session_with(bmc.address, account(OPERATOR)) as abandoned:
        assert abandoned.session is not None
        notes.append(f"{abandoned.session.bmc:08x}")
        states: list[State] = []
        verdict = await IpmiWriter(SystemClock()).settle(
            order(bmc, "power_off", effect_latency_seconds=0.1), notes[0], states.append
        )
        abandoned.patience = Patience(timeout_seconds=0.05, tries=2)
        with pytest.raises(Unreachable):
            await rmcp_bmc.device_id(abandoned)
        abandoned.session = None
    assert states == [State.FENCED]
    assert (verdict.state, verdict.after) == (State.UNKNOWN, "on")
    assert bmc.executions() == []


async def test_a_bmc_that_cannot_be_logged_in_to_gets_nothing(bmc: IpmiSim) -> None:
    verdict, _ = await act(bmc, "power_off", secret=SECRET | {"password": "wrong"})
    assert verdict.state is State.NOT_SENT
    assert "password" in verdict.text
    assert PASSWORD not in verdict.text


async def test_a_secret_that_lacks_its_suite_is_named(bmc: IpmiSim) -> None:
    verdict, _ = await act(bmc, "power_off", secret={"user": WRITER, "password": PASSWORD})
    assert verdict.state is State.NOT_SENT
    assert "'suite'" in verdict.text


async def test_pyghmi_reads_the_inventory_in_a_process_of_its_own(tmp_path: Path) -> None:
    sim = IpmiSim(tmp_path / "plain").start()
    try:
        found = await _inventory_in_two_tries(sim)
    finally:
        sim.stop()
    assert found.fru["System"]["Serial Number"] == "S1"
    assert found.firmware["BMC Version"]["version"] == "9.8"
    assert found.sensors == ("TEMP_INLET",)


async def _inventory_in_two_tries(sim: IpmiSim):
    """pyghmi now and then hangs on a slow answer; that costs one killed process and no more."""
    try:
        return await inventory(endpoint(sim.address), SECRET, deadline_seconds=15, privilege=ADMINISTRATOR)
    except Unreachable:
        return await inventory(endpoint(sim.address), SECRET, deadline_seconds=15, privilege=ADMINISTRATOR)


async def test_a_bmc_that_hangs_pyghmi_costs_one_killed_process(bmc: IpmiSim) -> None:
    """Six-bit sensor names send pyghmi 1.6.19 round in circles."""
    started = time.monotonic()
    with pytest.raises(Unreachable, match="killed"):
        await inventory(endpoint(bmc.address), SECRET, deadline_seconds=3, privilege=ADMINISTRATOR)
    assert time.monotonic() - started < 6


async def test_the_inventory_does_not_accept_a_weaker_suite(bmc: IpmiSim) -> None:
    with pytest.raises((Refused, Unreachable)) as refused:
        await inventory(endpoint(bmc.address), SECRET | {"suite": 17}, deadline_seconds=15, privilege=ADMINISTRATOR)
    assert "suite 17" in str(refused.value) or "killed" in str(refused.value)


@pytest.mark.peer("ipmitool")
async def test_ipmitool_sees_what_we_did(bmc: IpmiSim, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    await act(bmc, "power_off")
    host, port = bmc.address.split(":")
    said = subprocess.run(
        ["ipmitool", "-I", "lanplus", "-C", "3", "-H", host, "-p", port, "-U", WRITER, "-f", str(secret), "power", "status"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )  # fmt: skip
    assert "is off" in said.stdout
