"""The actuator process under kill -9, SIGTERM and a mute network, in front of a real ipmi_sim."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.orders import State
from tests.faults.proxy import Fault, Plan, UdpProxy
from tests.faults.write_peers import PASSWORD, IpmiSim, eventually
from tests.faults.write_process import ActuatorProcess
from tests.faults.write_site import intent, lock_out, make_installation
from tests.faults.write_snmpd import Snmpd

pytestmark = pytest.mark.peer("ipmi_sim")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a Unix socket's is at most 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="hk-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def bmc(folder: Path) -> Iterator[IpmiSim]:
    sim = IpmiSim(folder / "bmc").start()
    yield sim
    sim.stop()


async def test_a_node_is_switched_off_through_the_process_once(folder: Path, bmc: IpmiSim) -> None:
    actuator = ActuatorProcess(make_installation(folder, bmc=bmc.address))
    try:
        answers = await actuator.ask(intent("i1"))
        again = await actuator.ask(intent("i1"))
        actuator.signal(signal.SIGTERM)
        assert await actuator.ended() == 0
    finally:
        said = actuator.close()
    assert [answer.state for answer in answers] == [State.SENT, State.ACKNOWLEDGED, State.FENCED, State.ACKNOWLEDGED]
    assert answers[-1].after == "off"
    assert again == answers[-1:]
    assert len(bmc.executions()) == 1
    assert PASSWORD not in said
    assert not actuator.socket.exists()


@pytest.mark.peer("snmpd")
async def test_both_lanes_serve_one_site_over_both_wires(folder: Path, bmc: IpmiSim) -> None:
    pdu = Snmpd(folder / "pdu").start()
    settings = make_installation(folder, bmc=bmc.address, pdu=pdu.address)
    lanes = [ActuatorProcess(settings, lane) for lane in ("corrective", "protective")]
    try:
        power, outlet = await asyncio.gather(
            lanes[0].ask(intent("i1")),
            lanes[1].ask(intent("p1", "outlet_off", "pdu-a", arguments={"outlet": "2"})),
        )
    finally:
        for lane in lanes:
            lane.close()
        pdu.stop()
    assert (power[-1].state, power[-1].after) == (State.ACKNOWLEDGED, "off")
    assert (outlet[-1].state, outlet[-1].after) == (State.ACKNOWLEDGED, "off")
    assert [run.what for run in pdu.executions()] == ["3.0.2=0"]


async def test_a_lockout_written_while_it_runs_is_obeyed(folder: Path, bmc: IpmiSim) -> None:
    actuator = ActuatorProcess(make_installation(folder, bmc=bmc.address))
    try:
        lock_out(folder / "data", "r01")
        answers = await actuator.ask(intent("i1"))
    finally:
        actuator.close()
    assert answers[-1].state is State.NOT_SENT
    assert "locked out by ann" in answers[-1].text
    assert bmc.executions() == []


async def test_killed_after_the_send_it_looks_on_restart_and_never_sends_again(folder: Path, bmc: IpmiSim) -> None:
    settings = make_installation(folder, bmc=bmc.address, latency=30)
    actuator = ActuatorProcess(settings)
    asking = asyncio.create_task(actuator.ask(intent("i1")))
    await eventually(bmc.executions)
    actuator.process.kill()
    await asking
    actuator.close()
    restarted = ActuatorProcess(settings)
    try:
        answers = await restarted.ask(intent("i1"))
        again = await restarted.ask(intent("i1"))
    finally:
        restarted.close()
    assert answers[-1].state in {State.UNKNOWN, State.ACKNOWLEDGED}  # the kill may have come after the ending
    assert answers[-1].after == "off"
    assert again[-1] == answers[-1]
    assert len(bmc.executions()) == 1


KILL_POINTS = {"sendto": (8, 9, 13), "fdatasync,fsync": (2, 3, 4)}
"""Around the command's send, and around the intent's durable writes; HK_KILL_POINTS=20 tries the first 20 of each."""


@pytest.mark.parametrize("boundary", KILL_POINTS)
async def test_killed_around_its_sends_and_durable_writes_it_never_runs_twice(
    folder: Path, bmc: IpmiSim, boundary: str
) -> None:
    """strace kills the process at its n-th send or sync; a restarted one is asked for the same intent."""
    if shutil.which("strace") is None:
        pytest.skip("strace is absent")
    settings = make_installation(folder, bmc=bmc.address, latency=0.2)
    every = int(os.environ.get("HK_KILL_POINTS", "0"))
    for count in range(1, every + 1) if every else KILL_POINTS[boundary]:
        await _kill_at(settings, bmc, boundary, count)


async def _kill_at(settings: Path, bmc: IpmiSim, boundary: str, count: int) -> None:
    name = f"{boundary}-{count}"
    bmc.set_power("on")
    ran = len(bmc.executions())
    doomed = ActuatorProcess(settings, strace=["-e", f"inject={boundary}:signal=SIGKILL:when={count}"])
    told = await doomed.ask(intent(name))
    doomed.close()
    restarted = ActuatorProcess(settings)
    try:
        answers = await restarted.ask(intent(name))
    finally:
        restarted.close()
    executions = len(bmc.executions()) - ran
    final = answers[-1]
    assert executions <= 1
    assert final.final
    if executions == 0:
        assert final.state in {State.NOT_SENT, State.UNKNOWN}
        assert final.after in {None, "on"}
    else:
        assert final.state in {State.UNKNOWN, State.ACKNOWLEDGED}
        assert final.after == "off"
    if told and told[-1].final:
        assert told[-1] == final


async def test_sigterm_waits_for_the_read_back_and_a_second_one_too(folder: Path, bmc: IpmiSim) -> None:
    """The device's answer is lost, so the act lasts; the effect is read back all the same."""
    plan = Plan(fault=Fault.NONE)
    host, port = bmc.address.split(":")
    async with UdpProxy((host, int(port)), plan) as proxy:
        actuator = ActuatorProcess(make_installation(folder, bmc=proxy.address, latency=30))
        try:
            asking = asyncio.create_task(actuator.ask(intent("i1")))
            await eventually(bmc.executions)
            proxy.plan = Plan(fault=Fault.DROP_REPLIES, rate=1.0)
            actuator.signal(signal.SIGTERM)
            await asyncio.sleep(0.3)
            actuator.signal(signal.SIGTERM)
            await asyncio.sleep(0.7)
            assert actuator.process.poll() is None
            proxy.plan = plan
            answers = await asking
            assert await actuator.ended(within_seconds=40) == 0
        finally:
            actuator.close()
    assert answers[-1].final
    assert answers[-1].after == "off"
    assert len(bmc.executions()) == 1


async def test_a_second_sigterm_gives_up_what_was_not_sent(folder: Path, bmc: IpmiSim) -> None:
    host, port = bmc.address.split(":")
    async with UdpProxy((host, int(port)), Plan(fault=Fault.DROP_REQUESTS, rate=1.0)) as proxy:
        actuator = ActuatorProcess(make_installation(folder, bmc=proxy.address))
        try:
            asking = asyncio.create_task(actuator.ask(intent("i1")))
            await eventually(lambda: proxy.counts.requests > 0)
            started = time.monotonic()
            actuator.signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
            assert actuator.process.poll() is None
            actuator.signal(signal.SIGTERM)
            answers = await asking
            assert await actuator.ended() == 0
            assert time.monotonic() - started < 5
        finally:
            actuator.close()
    assert answers[-1].state is State.NOT_SENT
    assert bmc.executions() == []


async def test_a_second_actuator_of_the_lane_does_not_start(folder: Path, bmc: IpmiSim) -> None:
    settings = make_installation(folder, bmc=bmc.address)
    actuator = ActuatorProcess(settings)
    try:
        process = await asyncio.create_subprocess_exec(
            *actuator.process.args, cwd=Path(__file__).parents[3], stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
    finally:
        actuator.close()
    assert process.returncode == 1
    assert b"another corrective actuator runs here" in said


async def test_a_wrong_site_file_is_told_line_by_line(folder: Path) -> None:
    settings = make_installation(folder)
    (folder / "site.yaml").write_text("site: x\nhalls: 3\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "remediator.actuator"),
        *("--settings", settings, "--lane", "corrective"),
        cwd=Path(__file__).parents[3],
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert b"site.yaml:2:" in said
    assert b"Traceback" not in said
