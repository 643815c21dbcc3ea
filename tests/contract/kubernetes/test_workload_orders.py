"""Taints of our own, replicas, admission, checkpoints by annotation, and the override that people agree to."""

import pytest

from devices.orders import State
from tests.contract.kubernetes.cluster import Cluster, job, node, pod
from tests.contract.kubernetes.test_orders import OTHER_TAINT, POD, carried_out, order

OURS = {"key": "hallkeeper.io/suspect", "effect": "NoSchedule"}
LOADER = {"namespace": "training", "kind": "Deployment", "name": "loader"}
QUEUES = "/apis/kueue.x-k8s.io/v1beta1/clusterqueues/"


def deployment(replicas: int, **bounds: str) -> dict[str, object]:
    annotations = {f"hallkeeper.io/{name}-replicas": value for name, value in bounds.items()}
    return {
        "metadata": {"name": "loader", "namespace": "training", "uid": "u", "annotations": annotations},
        "spec": {"replicas": replicas},
    }


def queue(policy: str | None = None) -> dict[str, object]:
    return {"metadata": {"name": "all", "uid": "q"}, "spec": {} if policy is None else {"stopPolicy": policy}}


async def test_our_own_taint_comes_and_goes_and_every_other_stays(cluster: Cluster, authority) -> None:
    cluster.put("nodes", node("n1", taints=[OTHER_TAINT]))
    verdict, states = await carried_out(order(cluster.url, authority, "taint", node="n1", key=OURS["key"]))
    assert (verdict.before, verdict.after, states) == ("untainted", "tainted", [State.SENT, State.ACKNOWLEDGED])
    assert cluster.objects["nodes", "", "n1"]["spec"]["taints"] == [OTHER_TAINT, OURS]
    again, states = await carried_out(order(cluster.url, authority, "taint", node="n1", key=OURS["key"]))
    assert (again.state, states) == (State.NOT_SENT, [])
    back, _ = await carried_out(order(cluster.url, authority, "untaint", node="n1", key=OURS["key"]))
    assert back.after == "untainted"
    assert cluster.objects["nodes", "", "n1"]["spec"]["taints"] == [OTHER_TAINT]


@pytest.mark.parametrize("arguments", [
    {"key": "node.kubernetes.io/out-of-service"}, {"key": "hallkeeper.io/"}, {}, {"key": OURS["key"], "effect": "NoExecute"},
])  # fmt: skip
async def test_taints_that_are_not_ours_or_evict_are_never_written(cluster: Cluster, authority, arguments) -> None:
    for verb in ("taint", "untaint"):
        verdict, _ = await carried_out(order(cluster.url, authority, verb, node="n1", **arguments))
        assert (verdict.state, cluster.writes) == (State.NOT_SENT, [])


async def test_a_loader_is_scaled_within_its_owners_bounds(cluster: Cluster, authority) -> None:
    cluster.put("deployments", deployment(4, least="2", most="8"))
    verdict, _ = await carried_out(order(cluster.url, authority, "scale", replicas=6, **LOADER))
    assert (verdict.state, verdict.before, verdict.after) == (State.ACKNOWLEDGED, "4 replicas", "6 replicas")
    assert cluster.writes[0][1].endswith("/deployments/loader/scale")
    for beyond in (1, 9):
        verdict, _ = await carried_out(order(cluster.url, authority, "scale", replicas=beyond, **LOADER))
        assert verdict.state is State.NOT_SENT
        assert "2 to 8" in verdict.text
    assert len(cluster.writes) == 1


async def test_a_workload_whose_owner_said_nothing_is_never_scaled(cluster: Cluster, authority) -> None:
    cluster.put("deployments", deployment(4, least="2"))
    verdict, _ = await carried_out(order(cluster.url, authority, "scale", replicas=3, **LOADER))
    assert (verdict.state, cluster.writes) == (State.NOT_SENT, [])
    assert "lets nobody scale it" in verdict.text


@pytest.mark.parametrize(
    "wrong", [{"replicas": -1}, {"replicas": True}, {"replicas": 2.5}, {"replicas": 3, "kind": "DaemonSet"}]
)
async def test_replicas_and_kinds_that_are_none_are_not_sent(cluster: Cluster, authority, wrong) -> None:
    verdict, _ = await carried_out(order(cluster.url, authority, "scale", **(LOADER | wrong)))
    assert (verdict.state, cluster.writes) == (State.NOT_SENT, [])


async def test_a_queue_is_held_and_opened(cluster: Cluster, authority) -> None:
    cluster.put("clusterqueues", queue())
    verdict, _ = await carried_out(order(cluster.url, authority, "stop_admissions", queue="all"))
    assert (verdict.before, verdict.after) == ("admits", "held")
    assert cluster.writes[0][1:] == (QUEUES + "all", {"spec": {"stopPolicy": "Hold"}})
    back, _ = await carried_out(order(cluster.url, authority, "allow_admissions", queue="all"))
    assert (back.before, back.after) == ("held", "admits")


async def test_a_queue_that_a_person_drains_is_not_opened(cluster: Cluster, authority) -> None:
    cluster.put("clusterqueues", queue("HoldAndDrain"))
    verdict, _ = await carried_out(order(cluster.url, authority, "allow_admissions", queue="all"))
    assert (verdict.state, cluster.writes) == (State.NOT_SENT, [])


@pytest.mark.parametrize(
    ("answer", "word"), [("checkpoint-done", "done"), ("checkpoint-failed", "failed"), (None, "requested")]
)
async def test_a_job_is_asked_by_annotation_and_answers_by_annotation(
    cluster: Cluster, authority, answer, word
) -> None:
    cluster.put("jobs", job())
    wanted = order(cluster.url, authority, "checkpoint_annotate", job="training/llama", deadline_seconds=20)
    if answer is not None:
        put = cluster.put

        def answering(plural: str, item: dict) -> None:
            asked = item["metadata"].get("annotations", {}).get("hallkeeper.io/checkpoint-request")
            put(
                plural,
                item | {"metadata": item["metadata"] | {"annotations": {f"hallkeeper.io/{answer}": asked}}}
                if asked
                else item,
            )

        cluster.put = answering
    verdict, _ = await carried_out(wanted)
    assert (verdict.state, verdict.after) == (State.ACKNOWLEDGED, word), verdict.text
    assert len(cluster.writes) == 1


async def test_a_budget_is_overridden_only_by_somebody_for_a_reason(cluster: Cluster, authority) -> None:
    cluster.put("pods", pod("llama-0"))
    cluster.budget_forbids = True
    refused, _ = await carried_out(order(cluster.url, authority, "evict", **POD))
    assert refused.state is State.REFUSED
    for missing in ({"reason": "leak"}, {"person": "ada"}, {"reason": " ", "person": "ada"}):
        verdict, _ = await carried_out(order(cluster.url, authority, "evict_override", **POD, **missing))
        assert verdict.state is State.NOT_SENT
    verdict, _ = await carried_out(order(cluster.url, authority, "evict_override", **POD, reason="leak", person="ada"))
    assert (verdict.state, verdict.after) == (State.ACKNOWLEDGED, "terminating"), verdict.text
    method, path, body = cluster.writes[-1]
    assert (method, path) == ("DELETE", "/api/v1/namespaces/training/pods/llama-0")
    assert body["preconditions"] == {"uid": POD["uid"]}
    assert "gracePeriodSeconds" not in body
