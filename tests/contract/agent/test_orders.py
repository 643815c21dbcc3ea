"""The agent's two orders: against the real daemon, and against servers that break in every way on the way."""

import asyncio
import time
from pathlib import Path

import pytest

from devices.orders import Order, State
from devices.wire.agent import AgentWriter
from devices.wire.http_order import Timing
from fleet.clock import SystemClock
from fleet.errors import Refused
from fleet.model import AssetId, Endpoint, Wire
from fleet.secrets import Secrets
from tests.contract.agent.broken_server import SILENT, BrokenServer, Seen, broken, reply
from tests.contract.agent.nodes import READ_TOKEN, WRITE_TOKEN, Node, running

CLOCK = SystemClock()
QUICK = Timing(answer_seconds=1.0, longest_poll_seconds=0.05)


def order(
    url: str,
    authority,
    verb: str = "gpu_power_limit",
    *,
    token: str = WRITE_TOKEN,
    seconds: float = 30.0,
    latency: float = 0.3,
    **arguments: object,
) -> Order:
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
        intent="intent-1",
        asset=AssetId("dgx-001"),
        verb=verb,
        arguments=arguments,
        endpoint=endpoint,
        secret=Secrets({"token": token, "ca": str(authority.path)}),
        not_after_boottime_ns=CLOCK.boottime_ns() + round(seconds * 1e9),
        effect_latency_seconds=latency,
    )


async def carried_out(wanted: Order, writer: AgentWriter | None = None):
    states: list[State] = []
    verdict = await (writer or AgentWriter(CLOCK, timing=QUICK)).act(wanted, states.append)
    return verdict, states


async def test_a_power_limit_is_sent_acknowledged_and_read_back(node: Node) -> None:
    verdict, states = await carried_out(order(node.url, node.authority, watts=400))
    assert states == [State.SENT, State.ACKNOWLEDGED]
    assert (verdict.state, verdict.before, verdict.after) == (State.ACKNOWLEDGED, "700", "400")
    assert node.gpus.sets == [((0, 1), 400.0)]


async def test_a_limit_that_is_met_already_is_not_sent(node: Node) -> None:
    verdict, states = await carried_out(order(node.url, node.authority, watts=700))
    assert (verdict.state, verdict.before, verdict.after, states) == (State.NOT_SENT, "700", "700", [])
    assert node.gpus.sets == []


async def test_single_gpus_can_be_limited_and_mixed_limits_are_told(node: Node) -> None:
    await carried_out(order(node.url, node.authority, watts=400, gpus=[1]))
    verdict, _ = await carried_out(order(node.url, node.authority, watts=300))
    assert verdict.before == "700,400"


async def test_a_gpu_that_fell_off_the_bus_keeps_nobody_from_capping_the_others(node: Node) -> None:
    node.gpus.lost.add(1)
    verdict, _ = await carried_out(order(node.url, node.authority, watts=400))
    assert (verdict.state, verdict.before, verdict.after) == (State.ACKNOWLEDGED, "700", "400")
    assert node.gpus.sets == [((0,), 400.0)]


async def test_watts_out_of_bounds_are_refused_with_the_agents_words_and_the_node_is_unchanged(node: Node) -> None:
    verdict, states = await carried_out(order(node.url, node.authority, watts=100))
    assert states == [State.SENT, State.REFUSED]
    assert (verdict.state, verdict.after) == (State.REFUSED, "700")
    assert "status 422" in verdict.text
    assert "200 to 700 W" in verdict.text


async def test_a_read_token_cannot_write(node: Node) -> None:
    verdict, _ = await carried_out(order(node.url, node.authority, token=READ_TOKEN, watts=400))
    assert verdict.state is State.REFUSED
    assert "403" in verdict.text
    assert node.gpus.sets == []


async def test_a_driver_that_fails_on_the_way_is_unknown_and_read_back(node: Node) -> None:
    node.gpus.set_fault = Refused("nvidia-smi -pl ended with 1, try it as root")
    verdict, states = await carried_out(order(node.url, node.authority, watts=400))
    assert states == [State.SENT, State.UNKNOWN]
    assert (verdict.state, verdict.after) == (State.UNKNOWN, "700")
    assert len(node.gpus.sets) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"watts": "400"},
        {"watts": -1},
        {"watts": True},
        {"watts": float("nan")},
        {"watts": 400, "gpus": []},
        {"watts": 400, "gpus": ["0"]},
    ],
)
async def test_arguments_that_make_no_sense_are_not_sent(node: Node, arguments: dict[str, object]) -> None:
    verdict, _ = await carried_out(order(node.url, node.authority, **arguments))
    assert verdict.state is State.NOT_SENT
    assert "try" in verdict.text


async def test_a_checkpoint_is_asked_for_and_awaited(tmp_path: Path, authority) -> None:
    hook = tmp_path / "hook"
    hook.write_text("#!/bin/sh\nsleep 0.1; echo step=7\n")
    hook.chmod(0o755)
    async with running(tmp_path / "n", authority, checkpoint={"command": [str(hook)]}) as node:
        wish = {"job": "training/llama", "deadline_seconds": 10}
        verdict, states = await carried_out(order(node.url, authority, "checkpoint", latency=8, **wish))
        assert states == [State.SENT, State.ACKNOWLEDGED]
        assert (verdict.before, verdict.after) == ("none", "done")
        again, _ = await carried_out(order(node.url, authority, "checkpoint", latency=8, **wish))
        assert (again.state, again.after) == (State.NOT_SENT, "done")


async def test_a_checkpoint_that_fails_ends_the_waiting(tmp_path: Path, authority) -> None:
    hook = tmp_path / "hook"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    async with running(tmp_path / "n", authority, checkpoint={"command": [str(hook)]}) as node:
        began = time.monotonic()
        wish = {"namespace": "training", "job": "llama", "deadline_seconds": 10}
        verdict, _ = await carried_out(order(node.url, authority, "checkpoint", latency=30, **wish))
        assert (verdict.state, verdict.after) == (State.ACKNOWLEDGED, "failed")
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("job", [{"job": "a/../b"}, {"job": "x"}, {"job": "A/b"}, {}, {"namespace": "a", "job": "b?c"}])
async def test_a_job_that_is_no_name_is_not_sent(authority, job: dict[str, str]) -> None:
    verdict, _ = await carried_out(order("https://127.0.0.1:1", authority, "checkpoint", deadline_seconds=5, **job))
    assert verdict.state is State.NOT_SENT


async def test_another_verb_is_not_sent(authority) -> None:
    verdict, _ = await carried_out(order("https://127.0.0.1:1", authority, "power_off"))
    assert verdict.state is State.NOT_SENT


# servers that break


def readings(watts: float = 700.0) -> bytes:
    return reply({"at": 1, "boot_id": "b", "gpus": [{"gpu": 0, "power_limit_watts": watts}]})


def on_put(answer: bytes | None):
    def answered(request: Seen) -> bytes | None:
        return readings() if request.method == "GET" else answer

    return answered


BREAKS: dict[str, bytes | None] = {
    "drops the connection after it has the request": None,
    "stays silent": SILENT,
    "answers half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "answers half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    "answers half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{",
    "answers nonsense": b"\x00\x01\x02 nonsense\r\n\r\n",
    "answers an endless head": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
    "fails with 500": reply({"error": "x"}, 500),
    "fails with 503 and asks to retry": reply({}, 503, **{"Retry-After": "0"}),
    "says that the request came too slowly": reply({}, 408),
}


@pytest.mark.parametrize("how", BREAKS)
async def test_one_request_per_order_whatever_the_server_does_and_the_outcome_is_unknown(authority, how: str) -> None:
    def answer(request: Seen) -> bytes | None:
        return readings() if request.method == "GET" else BREAKS[how]

    async with broken(authority, answer) as server:
        verdict, states = await carried_out(order(server.url, authority, watts=400))
        assert states == [State.SENT, State.UNKNOWN]
        assert (verdict.state, verdict.before, verdict.after) == (State.UNKNOWN, "700", "700")
        assert [request.json["intent"] for request in server.writes] == ["intent-1"]


async def test_an_unknown_order_is_watched_until_its_effect_shows(authority) -> None:
    watts = [700.0]

    def answer(request: Seen) -> bytes | None:
        if request.method == "GET":
            return readings(watts[0])
        asyncio.get_running_loop().call_later(0.2, watts.__setitem__, 0, 400.0)
        return None

    async with broken(authority, answer) as server:
        verdict, _ = await carried_out(order(server.url, authority, watts=400, latency=5))
        assert (verdict.state, verdict.before, verdict.after) == (State.UNKNOWN, "700", "400")
        assert len(server.writes) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(authority, status: int) -> None:
    async with broken(authority, lambda request: readings()) as elsewhere:
        there = reply({}, status, Location=elsewhere.url + "/v1/gpus/power-limit")
        async with broken(authority, on_put(there)) as server:
            verdict, _ = await carried_out(order(server.url, authority, watts=400))
            assert verdict.state is State.REFUSED
            assert len(server.writes) == 1
            assert elsewhere.seen == []


@pytest.mark.parametrize("status", [401, 403, 404, 409, 413, 422, 429])
async def test_a_refusal_is_refused_with_its_words(authority, status: int) -> None:
    async with broken(authority, on_put(reply({"error": "no", "try": "later"}, status))) as server:
        verdict, states = await carried_out(order(server.url, authority, watts=400))
        assert states == [State.SENT, State.REFUSED]
        assert f"status {status}: no, try later" in verdict.text


async def test_each_request_has_a_connection_of_its_own_and_closes_it(authority) -> None:
    async with broken(authority, on_put(reply({}))) as server:
        await carried_out(order(server.url, authority, watts=400))
        assert server.connections == len(server.seen)
        assert {request.headers["connection"] for request in server.seen} == {"close"}


async def test_nothing_is_sent_when_the_time_is_over_even_by_a_little(authority) -> None:
    async with broken(authority, on_put(reply({}))) as server:
        for seconds in (-1.0, 0.0, 0.005):
            verdict, states = await carried_out(order(server.url, authority, watts=400, seconds=seconds))
            assert (verdict.state, states) == (State.NOT_SENT, [])
            assert "time was over" in verdict.text
        assert server.writes == []


async def test_the_time_is_compared_after_the_look_and_the_connection(authority) -> None:
    """The look takes longer than the order has: with a comparison at the start it would be sent."""

    def slow(request: Seen) -> bytes | None:
        time.sleep(0.3)
        return readings()

    async with broken(authority, slow) as server:
        verdict, _ = await carried_out(order(server.url, authority, watts=400, seconds=0.2))
        assert verdict.state is State.NOT_SENT
        assert server.writes == []


async def test_a_state_that_was_read_too_long_ago_is_not_acted_upon(authority) -> None:
    class Jumping(SystemClock):
        looks = 0

        def boottime_ns(self) -> int:
            self.looks += 1
            return super().boottime_ns() + (6_000_000_000 if self.looks > 1 else 0)

    async with broken(authority, on_put(reply({}))) as server:
        writer = AgentWriter(Jumping(), timing=QUICK)
        verdict, _ = await carried_out(order(server.url, authority, watts=400), writer)
        assert verdict.state is State.NOT_SENT
        assert "too long ago" in verdict.text
        assert server.writes == []


async def test_the_intent_is_remembered_before_the_request_is_written(authority) -> None:
    sent_when_remembered: list[int] = []
    async with broken(authority, on_put(reply({}))) as server:
        writer = AgentWriter(
            CLOCK, remember=lambda intent, note: sent_when_remembered.append(len(server.writes)), timing=QUICK
        )
        await carried_out(order(server.url, authority, watts=400), writer)
        assert (sent_when_remembered, len(server.writes)) == ([0], 1)


async def test_an_intent_that_cannot_be_remembered_is_not_sent(authority) -> None:
    def full(intent: str, note: str) -> None:
        raise OSError(28, "No space left on device")

    async with broken(authority, on_put(reply({}))) as server:
        verdict, _ = await carried_out(
            order(server.url, authority, watts=400), AgentWriter(CLOCK, remember=full, timing=QUICK)
        )
        assert verdict.state is State.NOT_SENT
        assert "No space left" in verdict.text
        assert server.writes == []


async def test_a_node_that_is_gone_is_not_sent_to(authority) -> None:
    verdict, _ = await carried_out(order("https://127.0.0.1:1", authority, watts=400))
    assert verdict.state is State.NOT_SENT
    assert "no connection" in verdict.text


async def test_a_node_of_another_authority_is_not_sent_to(node: Node, tmp_path: Path) -> None:
    from tests.contract.agent.certificates import Authority

    verdict, _ = await carried_out(order(node.url, Authority(tmp_path / "o"), watts=400))
    assert verdict.state is State.NOT_SENT
    assert "certificate" in verdict.text.lower()
    assert node.gpus.sets == []


async def test_a_later_process_only_reads_what_an_earlier_one_may_have_sent(authority) -> None:
    async with broken(authority, lambda request: readings(400.0)) as server:
        states: list[State] = []
        verdict = await AgentWriter(CLOCK, timing=QUICK).settle(
            order(server.url, authority, watts=400), "http", states.append
        )
        assert (verdict.state, verdict.after) == (State.UNKNOWN, "400")
        assert server.writes == []


async def test_what_the_agent_answers_when_it_is_read_may_be_anything(authority) -> None:
    for answer in (
        b"nonsense\r\n\r\n",
        reply([]),
        reply({"at": -1}),
        reply({}, 401),
        None,
        reply({"at": 1, "boot_id": "", "gpus": [{"gpu": 0}]}),
    ):
        server: BrokenServer
        async with broken(authority, lambda request, answer=answer: answer) as server:
            verdict, _ = await carried_out(order(server.url, authority, watts=400))
            assert verdict.state is State.NOT_SENT
            assert server.writes == []
