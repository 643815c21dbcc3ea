"""Slurm when things break on the way: an answer that is lost, a controller that is away, a process that would send late."""

import asyncio
import json
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.orders import Order, State, Verdict
from devices.wire import slurm_objects as slurm
from devices.wire.http_order import Timing
from devices.wire.once import Answered
from devices.wire.slurm_reader import SlurmReader
from devices.wire.slurm_writer import SlurmWriter
from fleet.clock import SystemClock
from fleet.errors import HallkeeperError, Malformed
from fleet.model import AssetId, Endpoint, Wire
from fleet.secrets import Secrets
from tests.contract.agent.broken_server import SILENT, broken, reply
from tests.contract.agent.certificates import Authority

CLOCK = SystemClock()
QUICK = Timing(answer_seconds=2.0, longest_poll_seconds=0.05)


class Controller:
    """slurmrestd that shows one node, and a `scontrol` that drains it in a way of its own; each run is one line."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.drained = folder / "drained"
        self.runs = folder / "runs"
        self.runs.touch()
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def scontrol(self, script: str) -> None:
        path = self.folder / "scontrol"
        path.write_text(f'#!/bin/sh\necho "$@" >> {self.runs}\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        flags = ["DRAIN"] if self.drained.exists() else []
        body = json.dumps(
            {"errors": [], "nodes": [{"name": "n1", "state": "idle", "state_flags": flags, "reason": "hallkeeper"}]}
        )
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        writer.close()

    @property
    def sends(self) -> int:
        return self.runs.read_text().count("\n")


@pytest.fixture
def controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Controller:
    return Controller(tmp_path, monkeypatch)


def order(url: str, *, seconds: float = 5.0, latency: float = 0.5) -> Order:
    endpoint = Endpoint(
        asset=AssetId("s"), name="api", wire=Wire.SLURM, address=url, profile="slurm", credentials="s", job="slurm"
    )
    return Order(
        intent="i1", asset=AssetId("s"), verb="slurm_drain", arguments={"node": "n1"}, endpoint=endpoint,
        secret=Secrets({"user": "root", "token": "t"}), effect_latency_seconds=latency,
        not_after_boottime_ns=CLOCK.boottime_ns() + round(seconds * 1e9),
    )  # fmt: skip


async def act(controller: Controller, **options: float) -> tuple[Verdict, list[State]]:
    server = await asyncio.start_server(controller.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    states: list[State] = []
    async with server:
        verdict = await SlurmWriter(CLOCK, timing=QUICK).act(order(url, **options), states.append)
    return verdict, states


async def test_a_command_that_worked_and_told_of_a_lost_answer_is_read_never_sent_again(controller: Controller) -> None:
    controller.scontrol(f"touch {controller.drained}; echo 'Zero Bytes were transmitted or received' >&2; exit 1")
    verdict, states = await act(controller)
    assert (verdict.state, verdict.after, controller.sends) == (State.UNKNOWN, "drained", 1)
    assert states == [State.SENT, State.UNKNOWN]


async def test_a_lost_answer_without_effect_ends_unknown_after_one_send(controller: Controller) -> None:
    controller.scontrol("echo 'Unable to contact slurm controller (connect failure)' >&2; exit 1")
    verdict, _ = await act(controller)
    assert (verdict.state, verdict.after, controller.sends) == (State.UNKNOWN, "in service", 1)


async def test_a_process_that_would_send_late_is_ended_at_the_deadline(controller: Controller) -> None:
    controller.scontrol(f"(sleep 1.5; touch {controller.drained}) & wait")
    started = time.monotonic()
    verdict, _ = await act(controller, seconds=0.6, latency=0.1)
    assert time.monotonic() - started < 1.4
    assert verdict.state is State.UNKNOWN
    await asyncio.sleep(1.6)  # what it would have done by now
    assert not controller.drained.exists()


async def test_after_its_deadline_nothing_is_started(controller: Controller) -> None:
    controller.scontrol(f"touch {controller.drained}")
    verdict, states = await act(controller, seconds=-1)
    assert (verdict.state, states, controller.sends) == (State.NOT_SENT, [], 0)


async def test_what_the_controller_decided_is_a_refusal(controller: Controller) -> None:
    controller.scontrol("echo 'slurm_update error: Access/permission denied' >&2; exit 1")
    verdict, _ = await act(controller)
    assert (verdict.state, controller.sends) == (State.REFUSED, 1)


async def test_without_the_program_nothing_is_sent(controller: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(controller.folder))
    verdict, states = await act(controller)
    assert (verdict.state, states) == (State.NOT_SENT, [])
    assert "slurm-client" in verdict.text


async def test_a_token_never_leaves_this_machine_in_the_clear() -> None:
    verdict = await SlurmWriter(CLOCK, timing=QUICK).act(order("http://10.0.0.1:6820"), lambda state: None)
    assert verdict.state is State.NOT_SENT
    assert "in the clear" in verdict.text


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["nodes", "jobs", "errors", "name", "state", "job_state", "priority", "restart_cnt", "number", "set", "errno"]), inner, max_size=6),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.binary(max_size=200) | JUNK.map(lambda value: json.dumps(value).encode()),
    st.sampled_from([200, 302, 401, 404, 500]),
)
def test_whatever_slurmrestd_answers_is_an_object_none_or_a_named_error(body: bytes, status: int) -> None:
    class Peer:
        where = "x"

        async def get(self, path: str) -> Answered:
            return Answered(status, body)

    reader = SlurmReader(Peer())
    for ask in (reader.node("n1"), reader.job(1), reader.partition("p"), reader.reservation("r"), reader.jobs()):
        try:
            asyncio.run(ask)
        except HallkeeperError:
            continue


def test_states_and_numbers_are_read_in_both_shapes_that_are_served() -> None:
    old = {"job_id": 4, "job_state": "PENDING", "priority": 0, "restart_cnt": 2, "state_reason": "JobHeldAdmin"}
    new = {"job_id": 4, "job_state": ["PENDING"], "priority": {"set": True, "infinite": False, "number": 0},
           "restart_cnt": 2, "state_reason": "JobHeldAdmin"}  # fmt: skip
    assert slurm.job_of(old) == slurm.job_of(new)
    assert slurm.job_of(old).word == "held"
    assert slurm.node_of({"name": "n", "state": ["IDLE", "DRAIN"]}).drained
    assert slurm.partition_of({"name": "p", "partition": {"state": ["DOWN"]}}).states == {"down"}
    with pytest.raises(Malformed):
        slurm.items(slurm.decoded(b'{"nodes": 3}', "x"), "nodes", "x")


@pytest.mark.parametrize("how", [SILENT, reply({}, 500), reply("nonsense")], ids=["silent", "500", "nonsense"])
async def test_a_server_that_cannot_be_read_is_never_commanded(controller: Controller, tmp_path: Path, how) -> None:
    authority = Authority(tmp_path)
    controller.scontrol(f"touch {controller.drained}")
    async with broken(authority, lambda seen: how) as server:
        wanted = order(server.url)
        secret = Secrets({"user": "root", "token": "t", "ca": str(authority.path)})
        verdict = await SlurmWriter(CLOCK, timing=QUICK).act(replace(wanted, secret=secret), lambda state: None)
    assert (verdict.state, controller.sends) == (State.NOT_SENT, 0)
