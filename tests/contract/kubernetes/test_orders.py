"""The Kubernetes verbs: against a cluster that guards its objects, and against servers that break on the way."""

import asyncio
import json

import pytest

from devices.orders import Order, State, Verdict
from devices.wire.http_order import Timing
from devices.wire.kubernetes import KubernetesWriter
from fleet.clock import SystemClock
from fleet.model import AssetId, Endpoint, Wire
from fleet.secrets import Secrets
from tests.contract.agent.broken_server import SILENT, Seen, broken, reply
from tests.contract.kubernetes.cluster import READ_ONLY, TOKEN, Cluster, job, node, pod

CLOCK = SystemClock()
QUICK = Timing(answer_seconds=1.0, longest_poll_seconds=0.05)
OTHER_TAINT = {"key": "x", "effect": "NoSchedule", "timeAdded": "2026-01-01T00:00:00Z"}
DEAD = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
POD = {"namespace": "training", "pod": "llama-0", "uid": "uid-llama-0"}


def order(
    url: str,
    authority,
    verb: str,
    *,
    token: str = TOKEN,
    seconds: float = 30.0,
    latency: float = 0.3,
    **arguments: object,
) -> Order:
    endpoint = Endpoint(
        asset=AssetId("k8s-1"),
        name="api",
        wire=Wire.KUBERNETES,
        address=url,
        profile="kubernetes",
        credentials="k",
        job="k",
    )
    return Order(
        intent="intent-1",
        asset=AssetId("k8s-1"),
        verb=verb,
        arguments=arguments,
        endpoint=endpoint,
        secret=Secrets({"token": token, "ca": str(authority.path)}),
        not_after_boottime_ns=CLOCK.boottime_ns() + round(seconds * 1e9),
        effect_latency_seconds=latency,
    )


async def carried_out(wanted: Order) -> tuple[Verdict, list[State]]:
    states: list[State] = []
    verdict = await KubernetesWriter(CLOCK, timing=QUICK).act(wanted, states.append)
    return verdict, states


VERBS = [
    ("cordon", {"node": "n1"}, "schedulable", "unschedulable"),
    ("taint_out_of_service", {"node": "n1"}, "in service", "out of service"),
    ("evict", POD, "running", "terminating"),
    ("delete_pod", POD, "running", "gone"),
    ("suspend_job", {"namespace": "training", "job": "llama"}, "running", "suspended"),
    ("suspend_job", {"job": "training/llama"}, "running", "suspended"),
]


@pytest.mark.parametrize(("verb", "arguments", "before", "after"), VERBS)
async def test_each_verb_is_one_request_acknowledged_and_read_back(
    cluster: Cluster, authority, verb, arguments, before, after
) -> None:
    verdict, states = await carried_out(order(cluster.url, authority, verb, **arguments))
    assert states == [State.SENT, State.ACKNOWLEDGED]
    assert (verdict.state, verdict.before, verdict.after) == (State.ACKNOWLEDGED, before, after)
    assert len(cluster.writes) == 1


@pytest.mark.parametrize(("verb", "arguments", "before", "after"), VERBS)
async def test_a_verb_whose_goal_is_met_sends_nothing(
    cluster: Cluster, authority, verb, arguments, before, after
) -> None:
    await carried_out(order(cluster.url, authority, verb, **arguments))
    verdict, states = await carried_out(order(cluster.url, authority, verb, **arguments))
    assert (verdict.state, verdict.before, verdict.after, states) == (State.NOT_SENT, after, after, [])
    assert len(cluster.writes) == 1


@pytest.mark.parametrize(
    ("there", "back", "arguments"),
    [("cordon", "uncordon", {"node": "n1"}), ("suspend_job", "resume_job", {"job": "training/llama"})],
)
async def test_there_and_back_leaves_the_object_as_it_was(cluster, authority, there, back, arguments) -> None:
    await carried_out(order(cluster.url, authority, there, **arguments))
    verdict, _ = await carried_out(order(cluster.url, authority, back, **arguments))
    assert verdict.state is State.ACKNOWLEDGED
    assert verdict.after in {"schedulable", "running"}


async def test_the_taint_keeps_every_other_taint_and_untaint_takes_only_its_own(cluster: Cluster, authority) -> None:
    cluster.put("nodes", node("n1", taints=[OTHER_TAINT]))
    await carried_out(order(cluster.url, authority, "taint_out_of_service", node="n1"))
    assert cluster.objects["nodes", "", "n1"]["spec"]["taints"] == [OTHER_TAINT, DEAD]
    await carried_out(order(cluster.url, authority, "untaint_out_of_service", node="n1"))
    assert cluster.objects["nodes", "", "n1"]["spec"]["taints"] == [OTHER_TAINT]


async def test_a_node_that_changed_after_the_look_is_not_tainted(cluster: Cluster, authority, monkeypatch) -> None:
    """Somebody else's taint came between: writing our list would lose it."""
    from devices.wire.kubernetes_writer import _OutOfService

    looked = _OutOfService.look

    async def look_and_lose(self):
        seen = await looked(self)
        cluster.put("nodes", node("n1", taints=[OTHER_TAINT]))
        return seen

    monkeypatch.setattr(_OutOfService, "look", look_and_lose)
    verdict, states = await carried_out(order(cluster.url, authority, "taint_out_of_service", node="n1"))
    assert states == [State.SENT, State.REFUSED]
    assert "409" in verdict.text
    assert "modified" in verdict.text
    assert cluster.objects["nodes", "", "n1"]["spec"]["taints"] == [OTHER_TAINT]


@pytest.mark.parametrize("verb", ["evict", "delete_pod"])
async def test_a_successor_of_the_same_name_is_never_touched(cluster: Cluster, authority, verb: str) -> None:
    cluster.put("pods", pod("llama-0", uid="successor"))
    verdict, _ = await carried_out(order(cluster.url, authority, verb, **POD))
    assert (verdict.state, verdict.before) == (State.NOT_SENT, "gone")
    assert cluster.writes == []


@pytest.mark.parametrize("verb", ["evict", "delete_pod"])
async def test_a_successor_that_came_between_look_and_send_is_refused_by_its_uid(
    cluster, authority, verb, monkeypatch
) -> None:
    from devices.wire.kubernetes_writer import _Pod

    looked = _Pod.word

    async def look_and_replace(self):
        word = await looked(self)
        cluster.put("pods", pod("llama-0", uid="successor"))
        return word

    monkeypatch.setattr(_Pod, "word", look_and_replace)
    verdict, states = await carried_out(order(cluster.url, authority, verb, **POD))
    assert states == [State.SENT, State.REFUSED]
    assert verdict.state is State.REFUSED
    assert cluster.objects["pods", "training", "llama-0"]["metadata"]["uid"] == "successor"


async def test_a_disruption_budget_refuses_and_the_pod_stays(cluster: Cluster, authority) -> None:
    cluster.budget_forbids = True
    verdict, states = await carried_out(order(cluster.url, authority, "evict", **POD))
    assert states == [State.SENT, State.REFUSED]
    assert (verdict.after, "429" in verdict.text, "disruption budget" in verdict.text) == ("running", True, True)


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("cordon", {"node": "nobody"}),
        ("taint_out_of_service", {"node": "nobody"}),
        ("suspend_job", {"job": "training/nobody"}),
    ],
)
async def test_an_object_that_is_not_there_is_not_written_to(cluster: Cluster, authority, verb, arguments) -> None:
    verdict, _ = await carried_out(order(cluster.url, authority, verb, **arguments))
    assert verdict.state is State.NOT_SENT
    assert "there is no" in verdict.text
    assert cluster.writes == []


async def test_an_account_that_may_only_read_is_refused(cluster: Cluster, authority) -> None:
    verdict, _ = await carried_out(order(cluster.url, authority, "cordon", token=READ_ONLY, node="n1"))
    assert verdict.state is State.REFUSED
    assert "403" in verdict.text


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("cordon", {}),
        ("cordon", {"node": "../n1"}),
        ("cordon", {"node": "n1/status"}),
        ("cordon", {"node": ["n1"]}),
        ("evict", {"namespace": "training", "pod": "llama-0"}),
        ("evict", {**POD, "uid": "a b"}),
        ("delete_pod", {**POD, "pod": "x?dryRun=All"}),
        ("suspend_job", {"job": "a/b/c"}),
        ("power_off", {"node": "n1"}),
    ],
)
async def test_names_that_are_none_and_other_verbs_are_not_sent(cluster, authority, verb, arguments) -> None:
    verdict, _ = await carried_out(order(cluster.url, authority, verb, **arguments))
    assert verdict.state is State.NOT_SENT
    assert "try" in verdict.text
    assert cluster.requests == []


# servers that break

LOOKS = {
    "cordon": node("n1"),
    "taint_out_of_service": node("n1"),
    "evict": pod("llama-0"),
    "delete_pod": pod("llama-0"),
    "suspend_job": job(),
}
BREAKS: dict[str, bytes | None] = {
    "drops the connection after it has the request": None,
    "stays silent": SILENT,
    "answers half": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    "fails with 500": reply({"kind": "Status", "message": "etcdserver: request timed out"}, 500),
    "fails with 504": reply({"kind": "Status", "message": "timeout"}, 504),
}


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("verb", LOOKS)
async def test_one_request_per_order_whatever_the_server_does_and_the_outcome_is_unknown(
    authority, verb: str, how: str
) -> None:
    def answer(request: Seen) -> bytes | None:
        return reply(LOOKS[verb]) if request.method == "GET" else BREAKS[how]

    arguments = (
        {"job": "training/llama"}
        if verb == "suspend_job"
        else POD
        if "pod" in verb or verb == "evict"
        else {"node": "n1"}
    )
    async with broken(authority, answer) as server:
        verdict, states = await carried_out(order(server.url, authority, verb, **arguments))
        assert states == [State.SENT, State.UNKNOWN]
        assert verdict.state is State.UNKNOWN
        assert verdict.before == verdict.after
        assert len(server.writes) == 1
        assert {request.headers["connection"] for request in server.seen} == {"close"}


async def test_an_unknown_order_that_took_effect_is_seen_to_have(authority) -> None:
    state = node("n1")

    def answer(request: Seen) -> bytes | None:
        if request.method == "GET":
            return reply(state)
        assert json.loads(request.body) == {"spec": {"unschedulable": True}}
        asyncio.get_running_loop().call_later(0.1, state["spec"].__setitem__, "unschedulable", True)
        return None

    async with broken(authority, answer) as server:
        verdict, _ = await carried_out(order(server.url, authority, "cordon", latency=5, node="n1"))
        assert (verdict.state, verdict.after) == (State.UNKNOWN, "unschedulable")
        assert len(server.writes) == 1


async def test_nothing_is_sent_when_the_time_is_over(cluster: Cluster, authority) -> None:
    for seconds in (-1.0, 0.005):
        verdict, states = await carried_out(order(cluster.url, authority, "cordon", seconds=seconds, node="n1"))
        assert (verdict.state, states) == (State.NOT_SENT, [])
        assert "time was over" in verdict.text
    assert cluster.writes == []


async def test_a_later_process_only_reads(cluster: Cluster, authority) -> None:
    wanted = order(cluster.url, authority, "cordon", node="n1")
    verdict = await KubernetesWriter(CLOCK, timing=QUICK).settle(wanted, "http", lambda _state: None)
    assert (verdict.state, verdict.after) == (State.UNKNOWN, "schedulable")
    assert cluster.writes == []
