"""The BMC's restart, its power limit and the graceful shutdown: once, fenced, read back, whatever the network loses."""

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from devices.orders import Order, State, Verdict
from devices.wire.ipmi_writer import IpmiWriter, Timing
from devices.wire.rmcp import Patience
from fleet.clock import SystemClock
from fleet.model import AssetId, Endpoint, Wire
from simulator.ipmi import commands
from simulator.ipmi.commands import Bmc
from simulator.ipmi.server import BmcServer
from simulator.ipmi.sessions import Account, Session, Sessions
from simulator.layout import Layout
from simulator.plant import Plant
from simulator.truth import GroundTruth
from tests.faults.proxy import Fault, Plan, UdpProxy
from tests.faults.write_peers import IpmiSim

GUID = bytes(range(16))
SECRET = {"user": "w", "password": "secret", "suite": 17}
QUICK = Timing(patience=Patience(timeout_seconds=0.15, tries=3, logins=2), answer_seconds=0.3, longest_poll_seconds=0.1)
LOW_LEVEL = struct.Struct("<BHI2xH")


class Board:
    """A BMC over UDP that takes DCMI's limit and restarts when told; every execution is counted."""

    def __init__(self, folder: Path) -> None:
        self.done: list[str] = []
        self.watts, self.active, self.correction = 5000, False, 2000
        self.silent_seconds, self.obeys = 0.3, True
        self._silent = False
        self.sessions = Sessions(accounts={b"w": Account(b"secret", 4)}, suites=frozenset({17}), guid=GUID)
        bmc = Bmc(Plant(Layout(4, 1), seed=1), 0, GUID, lambda seconds: seconds, lambda: False, lambda *_: None)
        self.server = BmcServer(
            name="n", bmc=bmc, sessions=self.sessions, suites=frozenset({17}), truth=GroundTruth(folder / "truth.jsonl"),
            answers=lambda: not self._silent, loses_replies=lambda: self._silent, delay_seconds=lambda: 0.0,
        )  # fmt: skip
        self.port = 0

    def cold_reset(self, _: Bmc, __: bytes, ___: Session) -> tuple[int, bytes]:
        self.done.append("cold_reset")
        if self.obeys:
            asyncio.get_running_loop().call_later(0.02, self._down)
        return 0, b""

    def _down(self) -> None:
        self._silent = True
        self.sessions.__init__(accounts={b"w": Account(b"secret", 4)}, suites=frozenset({17}), guid=GUID)
        asyncio.get_running_loop().call_later(self.silent_seconds, self._up)

    def _up(self) -> None:
        self._silent = False

    def get_limit(self, _: Bmc, data: bytes, __: Session) -> tuple[int, bytes]:
        assert data == b"\xdc\x00\x00"
        body = struct.pack("<B2xBHI2xH", 0xDC, 0x11, self.watts, self.correction, 5)
        return (0 if self.active else 0x80), body

    def set_limit(self, _: Bmc, data: bytes, __: Session) -> tuple[int, bytes]:
        group, action, watts, correction, sampling = struct.unpack("<B3xBHI2xH", data)
        assert (group, action, correction, sampling) == (0xDC, 0x11, self.correction, 5)
        self.done.append(f"limit {watts}")
        self.watts = watts
        return 0, b"\xdc"

    def activate(self, _: Bmc, data: bytes, __: Session) -> tuple[int, bytes]:
        assert data[0] == 0xDC
        self.done.append(f"active {data[1]}")
        self.active = data[1] == 1
        return 0, b"\xdc"


@pytest.fixture
async def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Board]:
    made = Board(tmp_path)
    for command, deed in {
        (0x06, 0x02): made.cold_reset, (0x2C, 0x03): made.get_limit, (0x2C, 0x04): made.set_limit, (0x2C, 0x05): made.activate,
    }.items():  # fmt: skip
        monkeypatch.setitem(commands.TABLE, command, deed)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: made.server, local_addr=("127.0.0.1", 0)
    )
    made.port = transport.get_extra_info("sockname")[1]
    yield made
    transport.close()


def order(
    address: str, verb: str, *, secret: dict[str, object] = SECRET, latency: float = 1.5, **arguments: object
) -> Order:
    endpoint = Endpoint(
        asset=AssetId("n"), name="bmc", wire=Wire.IPMI, address=address, profile="any", credentials="b", job="ipmi"
    )
    return Order(
        intent="i1", asset=AssetId("n"), verb=verb, arguments=arguments, endpoint=endpoint, secret=secret,
        not_after_boottime_ns=SystemClock().boottime_ns() + 10**10, effect_latency_seconds=latency,
    )  # fmt: skip


async def act(address: str, verb: str, **others: object) -> tuple[Verdict, list[State]]:
    states: list[State] = []
    return await IpmiWriter(SystemClock(), timing=QUICK).act(order(address, verb, **others), states.append), states


async def test_a_cold_reset_is_shown_by_the_session_that_the_bmc_forgot(board: Board) -> None:
    verdict, states = await act(f"127.0.0.1:{board.port}", "bmc_cold_reset")
    assert (verdict.state, verdict.before, verdict.after) == (State.ACKNOWLEDGED, "runs", "restarted"), verdict.text
    assert states == [State.SENT, State.ACKNOWLEDGED, State.FENCED]
    assert board.done == ["cold_reset"]


async def test_a_bmc_that_says_yes_and_does_not_restart_is_seen(board: Board) -> None:
    board.obeys = False
    verdict, _ = await act(f"127.0.0.1:{board.port}", "bmc_cold_reset", latency=0.5)
    assert (verdict.state, verdict.after) == (State.ACKNOWLEDGED, "runs"), verdict.text
    assert "has not restarted" in verdict.text


async def test_a_bmc_that_does_not_come_back_is_left_locked(board: Board) -> None:
    board.silent_seconds = 30.0
    verdict, states = await act(f"127.0.0.1:{board.port}", "bmc_cold_reset", latency=0.5)
    assert (verdict.state, verdict.after) == (State.UNCONFIRMED, None), verdict.text
    assert states[-1] is State.UNCONFIRMED


@pytest.mark.parametrize(("verb", "arguments", "done"), [
    ("bmc_cold_reset", {}, ["cold_reset"]), ("dcmi_power_limit", {"watts": 3000}, ["limit 3000"]), ("dcmi_limit_on", {}, ["active 1"]),
])  # fmt: skip
async def test_an_answer_that_is_lost_is_never_followed_by_a_second_send(board: Board, verb, arguments, done) -> None:
    plan = Plan(fault=Fault.DROP_REPLIES, seed=3, rate=0.5, longest_seconds=0.1)
    async with UdpProxy(("127.0.0.1", board.port), plan) as proxy:
        for _ in range(5):
            board.done.clear()
            board.watts, board.active = 5000, False
            verdict, _ = await act(proxy.address, verb, **arguments)
            assert board.done in ([], done), verdict.text
            if verdict.state is State.NOT_SENT:
                assert board.done == []


async def test_the_limit_is_set_and_counts_only_once_it_is_active(board: Board) -> None:
    address = f"127.0.0.1:{board.port}"
    verdict, _ = await act(address, "dcmi_power_limit", watts=4000)
    assert (verdict.state, verdict.before, verdict.after) == (State.ACKNOWLEDGED, "5000 W", "4000 W"), verdict.text
    assert not board.active
    verdict, _ = await act(address, "dcmi_limit_on")
    assert (verdict.before, verdict.after, board.active) == ("inactive", "active", True)
    again, states = await act(address, "dcmi_limit_on")
    assert (again.state, states) == (State.NOT_SENT, [])
    verdict, _ = await act(address, "dcmi_limit_off")
    assert (verdict.after, board.active) == ("inactive", False)
    assert board.done == ["limit 4000", "active 1", "active 0"]


@pytest.mark.parametrize("watts", [None, 0, 50, 70_000, True, "400", float("nan")])
async def test_watts_that_are_none_are_refused_before_a_login(board: Board, watts: object) -> None:
    verdict, states = await act(f"127.0.0.1:{board.port}", "dcmi_power_limit", watts=watts)
    assert (verdict.state, states, board.done) == (State.NOT_SENT, [], [])


@pytest.mark.peer("ipmi_sim")
@pytest.mark.parametrize("verb", ["bmc_cold_reset", "dcmi_limit_on"])
async def test_a_real_bmc_server_that_knows_no_such_command_refuses_it_without_effect(
    tmp_path: Path, verb: str
) -> None:
    sim = IpmiSim(tmp_path / "bmc").start()
    try:
        verdict, _ = await act(
            sim.address, verb, secret={"user": "operator", "password": "Correct.Horse.9", "suite": 3}
        )
        executions = sim.executions()
    finally:
        sim.stop()
    assert verdict.state in {State.REFUSED, State.NOT_SENT}, verdict.text
    assert executions == []


@pytest.mark.peer("ipmi_sim")
async def test_a_graceful_shutdown_is_asked_of_a_real_bmc_server_once(tmp_path: Path) -> None:
    sim = IpmiSim(tmp_path / "bmc").start()
    try:
        secret = {"user": "operator", "password": "Correct.Horse.9", "suite": 3}
        verdict, _ = await act(sim.address, "soft_off", secret=secret)
        executions = [execution.what for execution in sim.executions()]
    finally:
        sim.stop()
    assert (verdict.state, verdict.before, verdict.after) == (State.ACKNOWLEDGED, "on", "off"), verdict.text
    assert executions == ["shutdown 1"]
