"""GPU resets and reboots by the agent: each intent once, in the boot it was meant for, and never while a GPU is in use."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from agent.gpus import parse_holders
from devices.orders import Order, State, Verdict
from devices.wire.agent import AgentWriter
from devices.wire.http_order import Timing
from devices.wire.tls import client_context
from fleet.clock import SystemClock
from fleet.errors import Malformed, Refused
from fleet.model import AssetId, Endpoint, Wire
from fleet.secrets import Secrets
from tests.contract.agent.broken_server import broken, reply
from tests.contract.agent.nodes import BOOT, WRITE_TOKEN, FakeGpus, running

CLOCK = SystemClock()
QUICK = Timing(answer_seconds=2.0, longest_poll_seconds=0.05)


def order(url: str, authority, verb: str, *, intent: str = "i1", latency: float = 2.0, **arguments: object) -> Order:
    endpoint = Endpoint(
        asset=AssetId("dgx-001"),
        name="agent",
        wire=Wire.AGENT,
        address=url,
        profile="agent",
        credentials="a",
        job="agent",
    )
    return Order(
        intent=intent, asset=AssetId("dgx-001"), verb=verb, arguments=arguments, endpoint=endpoint,
        secret=Secrets({"token": WRITE_TOKEN, "ca": str(authority.path)}), effect_latency_seconds=latency,
        not_after_boottime_ns=CLOCK.boottime_ns() + 10**10,
    )  # fmt: skip


async def act(wanted: Order) -> tuple[Verdict, list[State]]:
    states: list[State] = []
    return await AgentWriter(CLOCK, timing=QUICK).act(wanted, states.append), states


def node_with(folder: Path, authority, **more: object):
    rebooted = folder / "rebooted"
    allowed = {"gpu_reset": True, "reboot": ["/bin/sh", "-c", f"echo once >> {rebooted}"]}
    return running(folder / "node", authority, gpus=FakeGpus(), repairs=allowed, **more)


def reboots(folder: Path) -> int:
    path = folder / "rebooted"
    return path.read_text().count("once") if path.exists() else 0


async def test_gpus_are_reset_once_and_answer_again(tmp_path: Path, authority) -> None:
    async with node_with(tmp_path, authority) as node:
        verdict, states = await act(order(node.url, authority, "gpu_reset", gpus=[1], boot_id=BOOT))
        assert (verdict.state, verdict.after, node.gpus.resets) == (State.ACKNOWLEDGED, "done", [(1,)]), verdict.text
        again, states = await act(order(node.url, authority, "gpu_reset", gpus=[1], boot_id=BOOT))
        assert (again.state, states, node.gpus.resets) == (State.NOT_SENT, [], [(1,)])


async def test_a_gpu_that_a_process_holds_is_not_reset(tmp_path: Path, authority) -> None:
    async with node_with(tmp_path, authority) as node:
        node.gpus.holders = [(4242, "GPU-1")]
        verdict, _ = await act(order(node.url, authority, "gpu_reset", gpus=[1]))
        assert (verdict.state, node.gpus.resets) == (State.REFUSED, [])
        assert "4242" in verdict.text
        other, _ = await act(order(node.url, authority, "gpu_reset", intent="i2", gpus=[0]))
        assert (other.state, node.gpus.resets) == (State.ACKNOWLEDGED, [(0,)])
        node.gpus.holders = [(4242, "GPU-of-nobody")]
        unknown, _ = await act(order(node.url, authority, "gpu_reset", intent="i3", gpus=[0]))
        assert (unknown.state, node.gpus.resets) == (State.REFUSED, [(0,)])


async def test_a_gpu_that_stays_away_after_its_reset_has_failed(tmp_path: Path, authority) -> None:
    async with node_with(tmp_path, authority) as node:
        node.gpus.comes_back = False
        verdict, _ = await act(order(node.url, authority, "gpu_reset", gpus=[1]))
        assert (verdict.state, verdict.after) == (State.ACKNOWLEDGED, "failed"), verdict.text


async def test_a_reboot_is_handed_on_once_for_its_boot(tmp_path: Path, authority) -> None:
    async with node_with(tmp_path, authority) as node:
        verdict, _ = await act(order(node.url, authority, "reboot", boot_id=BOOT, latency=0.3))
        assert (verdict.state, verdict.after, reboots(tmp_path)) == (State.ACKNOWLEDGED, "done", 1), verdict.text
    async with node_with(tmp_path, authority, boot_id="another-boot") as node:
        verdict, states = await act(order(node.url, authority, "reboot", boot_id=BOOT))
        assert (verdict.state, verdict.after, states) == (State.NOT_SENT, "restarted", [])
        assert reboots(tmp_path) == 1


async def test_a_reboot_that_names_no_boot_ends_the_one_that_was_seen_and_is_known_after_it(
    tmp_path: Path, authority
) -> None:
    async with node_with(tmp_path, authority) as node:
        verdict, _ = await act(order(node.url, authority, "reboot", latency=0.3))
        assert (verdict.state, verdict.after, reboots(tmp_path)) == (State.ACKNOWLEDGED, "done", 1), verdict.text
    async with node_with(tmp_path, authority, boot_id="another-boot") as node:
        settled = await AgentWriter(CLOCK, timing=QUICK).settle(
            order(node.url, authority, "reboot"), "http", lambda _: None
        )
        assert (settled.after, reboots(tmp_path)) == ("restarted", 1), settled.text


async def test_all_gpus_may_be_meant_by_their_word(tmp_path: Path, authority) -> None:
    async with node_with(tmp_path, authority) as node:
        verdict, _ = await act(order(node.url, authority, "gpu_reset", gpus="all"))
        assert (verdict.after, node.gpus.resets) == ("done", [(0, 1)]), verdict.text


async def test_a_late_copy_of_a_request_is_refused_after_the_restart(tmp_path: Path, authority) -> None:
    async with node_with(tmp_path, authority, boot_id="another-boot") as node:
        context = client_context({"ca": str(authority.path)}, "x")
        headers = {"Authorization": f"Bearer {WRITE_TOKEN}"}
        asked = {"intent": "late", "boot_id": BOOT}
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
            session.put(f"{node.url}/v1/reboot", json=asked, headers=headers) as answer,
        ):
            assert answer.status == 409
        assert reboots(tmp_path) == 0


@pytest.mark.parametrize(("verb", "arguments"), [("gpu_reset", {"gpus": [0]}), ("reboot", {"boot_id": BOOT})])
async def test_what_the_owner_did_not_allow_is_refused(tmp_path: Path, authority, verb, arguments) -> None:
    async with running(tmp_path / "node", authority, gpus=FakeGpus()) as node:
        verdict, _ = await act(order(node.url, authority, verb, **arguments))
        assert (verdict.state, node.gpus.resets) == (State.REFUSED, [])
        assert "owner allows no" in verdict.text


async def test_two_repairs_at_once_are_one(tmp_path: Path, authority) -> None:
    async with node_with(tmp_path, authority) as node:
        node.gpus.hold = asyncio.Event()
        first = asyncio.create_task(act(order(node.url, authority, "gpu_reset", gpus=[0])))
        while not node.gpus.resets:
            await asyncio.sleep(0.01)
        second, _ = await act(order(node.url, authority, "gpu_reset", intent="i2", gpus=[0], latency=0.1))
        assert (second.state, node.gpus.resets) == (State.REFUSED, [(0,)])
        node.gpus.hold.set()
        assert (await first)[0].after == "done"


async def test_an_agent_that_restarts_in_the_middle_says_that_it_does_not_know(tmp_path: Path, authority) -> None:
    async with node_with(tmp_path, authority) as node:
        node.gpus.hold = asyncio.Event()
        await act(order(node.url, authority, "gpu_reset", gpus=[0], latency=0.1))
    async with node_with(tmp_path, authority) as node:
        verdict, _ = await act(order(node.url, authority, "gpu_reset", gpus=[0], latency=0.1))
        assert (verdict.after, node.gpus.resets) == ("failed", [])


async def test_a_lost_answer_is_never_followed_by_a_second_request(authority) -> None:
    state = {"boot_id": BOOT, "state": "none"}
    async with broken(authority, lambda seen: reply(state) if seen.method == "GET" else None) as server:
        verdict, states = await act(order(server.url, authority, "reboot", boot_id=BOOT, latency=0.2))
        assert (verdict.state, len(server.writes)) == (State.UNKNOWN, 1)
        assert states == [State.SENT, State.UNKNOWN]


@pytest.mark.parametrize("arguments", [{"boot_id": ""}, {"boot_id": "x y"}, {"boot_id": 7}])
async def test_a_reboot_of_what_is_no_boot_is_not_sent(tmp_path: Path, authority, arguments) -> None:
    async with node_with(tmp_path, authority) as node:
        verdict, _ = await act(order(node.url, authority, "reboot", **arguments))
        assert (verdict.state, reboots(tmp_path)) == (State.NOT_SENT, 0)


def test_who_holds_a_gpu_is_never_guessed() -> None:
    assert parse_holders("12, GPU-a\n\n 13 ,GPU-b\n") == [(12, "GPU-a"), (13, "GPU-b")]
    assert parse_holders("") == parse_holders("No running processes found\n") == []
    for wrong in ("ERROR", "x, GPU-a", "12,"):
        with pytest.raises(Malformed):
            parse_holders(wrong)


async def test_a_driver_that_refuses_is_told(tmp_path: Path, authority) -> None:
    async with node_with(tmp_path, authority) as node:
        node.gpus.set_fault = Refused("in use by another client")
        verdict, _ = await act(order(node.url, authority, "gpu_reset", gpus=[0]))
        assert verdict.after == "failed"
