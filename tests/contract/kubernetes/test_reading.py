"""The mirror of a cluster over real HTTPS: what it shows, what it tells, and how it comes back from every break."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from collectors.kubernetes import KubernetesPoller, open_poller
from devices.wire.kubernetes import KubernetesReader
from fleet.clock import SystemClock
from fleet.errors import HallkeeperError, Malformed, Refused, Unreachable
from fleet.model import AssetId, Endpoint, Wire
from fleet.secrets import Secrets
from tests.contract.agent.certificates import Authority
from tests.contract.kubernetes.cluster import READ_ONLY, Cluster, node, pod, serving

DUE = frozenset({"scheduler"})


def endpoint(url: str) -> Endpoint:
    return Endpoint(
        asset=AssetId("k8s-1"),
        name="api",
        wire=Wire.KUBERNETES,
        address=url,
        profile="kubernetes",
        credentials="k",
        job="kubernetes",
    )


def secret(authority: Authority, token: str = READ_ONLY) -> Secrets:
    return Secrets({"token": token, "ca": str(authority.path)})


@pytest.fixture
async def poller(cluster: Cluster, authority: Authority) -> AsyncIterator[KubernetesPoller]:
    made = open_poller(endpoint(cluster.url), secret(authority), None, SystemClock())
    yield made
    await made.close()


@pytest.fixture
async def reader(cluster: Cluster, authority: Authority) -> AsyncIterator[KubernetesReader]:
    made = KubernetesReader(endpoint(cluster.url), secret(authority), SystemClock())
    yield made
    await made.close()


async def shown(poller: KubernetesPoller) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    (reading,) = (await poller.poll(DUE)).readings
    return dict(zip(reading.series, reading.values.tolist(), strict=True))


async def until(poller: KubernetesPoller, name: str, value: float | None, **labels: str) -> list[object]:
    """Poll until the series has the value (None: is not there); the events on the way."""
    events: list[object] = []
    wanted = (name, tuple(sorted(labels.items())))
    async with asyncio.timeout(10):
        while True:
            try:
                poll = await poller.poll(DUE)
            except HallkeeperError:
                await asyncio.sleep(0.02)
                continue
            events += poll.events
            if dict(zip(poll.readings[0].series, poll.readings[0].values.tolist(), strict=True)).get(wanted) == value:
                return events
            await asyncio.sleep(0.01)


async def test_nodes_pods_and_jobs_are_shown_under_kube_state_metrics_names(poller: KubernetesPoller) -> None:
    found = await shown(poller)
    ready = (("condition", "Ready"), ("node", "n1"), ("status", "true"))
    assert found["kube_node_status_condition", ready] == 1.0
    assert found["kube_node_status_condition", (*ready[:2], ("status", "false"))] == 0.0
    assert found["kube_node_spec_unschedulable", (("node", "n1"),)] == 0.0
    place = (("namespace", "training"), ("node", "n1"))
    assert found["kube_pod_status_phase", (*place, ("phase", "Running"), ("pod", "llama-0"))] == 1.0
    job = (("gang", "g1"), ("job_id", "training/llama"), ("node", "n1"), ("priority", "T2"), ("priority_value", "200"))
    assert found["fleet_job_info", job] == 1.0
    restarts = (("container", "main"), *place, ("pod", "llama-0"))
    assert found["kube_pod_container_status_restarts_total", restarts] == 3.0
    assert not any("agent-x" in dict(labels).values() for _, labels in found)


async def test_a_change_arrives_by_watch_without_a_second_list(poller: KubernetesPoller, cluster: Cluster) -> None:
    await poller.poll(DUE)
    await cluster.watched()
    cluster.put("nodes", node("n1", ready="Unknown", unschedulable=True))
    events = await until(poller, "kube_node_spec_unschedulable", 1.0, node="n1")
    assert [(event.kind, event.code, event.severity) for event in events] == [
        ("node", "Ready=Unknown", "critical"),
        ("node", "cordoned", "info"),
    ]
    assert events[0].labels == {"node": "n1"}
    assert events[0].at_ms == 1_767_225_600_000
    assert len(cluster.lists) == 3


async def test_what_is_there_at_the_start_is_no_event(poller: KubernetesPoller) -> None:
    assert (await poller.poll(DUE)).events == ()


async def test_a_pods_life_is_told_in_its_phases(poller: KubernetesPoller, cluster: Cluster) -> None:
    await poller.poll(DUE)
    await cluster.watched()
    cluster.put("pods", pod("llama-0", phase="Failed"))
    cluster.drop("pods", "training", "llama-0")
    cluster.put("pods", pod("llama-0", "n2", uid="second", phase="Pending"))
    cluster.put("pods", pod("llama-0", "n2", uid="second"))
    events = await until(
        poller, "kube_pod_status_phase", 1.0, namespace="training", node="n2", phase="Running", pod="llama-0"
    )
    assert [event.code for event in events] == ["Failed", "Deleted", "Running"]
    assert events[0].severity == "warning"
    assert events[-1].labels["uid"] == "second"


async def test_a_deleted_object_ends_its_series(poller: KubernetesPoller, cluster: Cluster) -> None:
    await poller.poll(DUE)
    await cluster.watched()
    cluster.drop("nodes", "", "n2")
    await until(poller, "kube_node_spec_unschedulable", None, node="n2")


async def test_a_layout_stays_the_same_object_while_nothing_appears_or_goes(poller: KubernetesPoller) -> None:
    (first,) = (await poller.poll(DUE)).readings
    (second,) = (await poller.poll(DUE)).readings
    assert first.series is second.series


async def test_a_watch_that_ends_goes_on_where_it_ended(poller: KubernetesPoller, cluster: Cluster) -> None:
    await poller.poll(DUE)
    await cluster.watched()
    cluster.put("nodes", node("n1", unschedulable=True))
    await until(poller, "kube_node_spec_unschedulable", 1.0, node="n1")
    version = cluster.version
    cluster.raw("nodes", None)
    cluster.put("nodes", node("n1"))
    await until(poller, "kube_node_spec_unschedulable", 0.0, node="n1")
    assert len(cluster.lists) == 3
    assert any(f"resourceVersion={version}" in path for _, path, _ in cluster.requests if "/nodes" in path)


async def test_bookmarks_move_the_version_on(poller: KubernetesPoller, cluster: Cluster) -> None:
    await poller.poll(DUE)
    await cluster.watched()
    cluster.line("nodes", {"type": "BOOKMARK", "object": {"kind": "Node", "metadata": {"resourceVersion": "5000"}}})
    cluster.raw("nodes", None)
    async with asyncio.timeout(5):
        while not any("resourceVersion=5000" in path for _, path, _ in cluster.requests):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", ["status", "event"])
async def test_a_forgotten_past_is_listed_anew_and_what_was_missed_is_told(poller, cluster: Cluster, how: str) -> None:
    await poller.poll(DUE)
    await cluster.watched()
    if how == "status":
        cluster.objects["nodes", "", "n1"] = node("n1", ready="False") | {
            "metadata": {"name": "n1", "resourceVersion": "1"}
        }
        cluster.version += 10
        cluster.forget()
        cluster.raw("nodes", None)
    else:
        cluster.objects["nodes", "", "n1"] = node("n1", ready="False") | {
            "metadata": {"name": "n1", "resourceVersion": "1"}
        }
        cluster.raw("nodes", b'{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}\n')
    events = await until(poller, "kube_node_status_condition", 1.0, condition="Ready", node="n1", status="false")
    assert [event.code for event in events] == ["Ready=False"]
    assert len([path for path in cluster.lists if "/nodes" in path]) == 2


async def test_long_lists_are_read_in_pages(poller, cluster: Cluster) -> None:
    cluster.page_items = 7
    for number in range(30):
        cluster.put("nodes", node(f"extra-{number}"))
    found = await shown(poller)
    assert sum(name == "kube_node_spec_unschedulable" for name, _ in found) == 32


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"{}\n",
        b'{"type":"MODIFIED"}\n',
        b'{"type":"MODIFIED","object":[]}\n',
        b'{"type":"ERROR","object":{"code":500,"message":"etcd"}}\n',
        b"x" * 5_000_000,
        b"[" * 100_000 + b"\n",
    ],
)
async def test_a_broken_line_costs_a_new_watch_and_nothing_else(poller, cluster: Cluster, line: bytes) -> None:
    await poller.poll(DUE)
    await cluster.watched()
    cluster.raw("nodes", line)
    cluster.raw("nodes", None)
    cluster.put("nodes", node("n1", unschedulable=True))
    await until(poller, "kube_node_spec_unschedulable", 1.0, node="n1")
    assert (await shown(poller))["kube_node_spec_unschedulable", (("node", "n2"),)] == 0.0


async def test_one_broken_object_costs_itself_only(poller, cluster: Cluster) -> None:
    cluster.objects["nodes", "", "bad"] = {"metadata": {"name": 7}}
    found = await shown(poller)
    assert found["kube_node_spec_unschedulable", (("node", "n2"),)] == 0.0
    assert poller._reader.malformed == 1


async def test_an_api_server_that_stops_is_unreachable_when_its_copy_is_old_and_read_again_when_it_returns(
    authority,
) -> None:
    class Skipping(SystemClock):
        ahead_ms = 0

        def now_ms(self) -> int:
            return super().now_ms() + self.ahead_ms

    clock = Skipping()
    cluster = Cluster(("nodes", node("n1")))
    async with serving(authority, cluster):
        poller = open_poller(endpoint(cluster.url), secret(authority), None, clock)
        await poller.poll(DUE)
        port = int(cluster.url.rpartition(":")[2])
    async with asyncio.timeout(10):
        while not poller._reader._faults:
            await asyncio.sleep(0.02)
    await poller.poll(DUE)  # for a moment the copy counts: a restart of the API server is no outage
    clock.ahead_ms = 21_000
    with pytest.raises(Unreachable, match="k8s-1/api"):
        await poller.poll(DUE)
    async with serving(authority, cluster, port):
        await until(poller, "kube_node_spec_unschedulable", 0.0, node="n1")
    await poller.close()


@pytest.mark.parametrize(
    ("code", "error"), [(401, Refused), (403, Refused), (500, Unreachable), (429, Unreachable), (302, Malformed)]
)
async def test_what_the_api_server_says_becomes_what_to_do_next(
    poller, cluster, code: int, error: type[Exception]
) -> None:
    cluster.trouble = (code, "because")
    with pytest.raises(error, match=f"status {code}: because.*try"):
        await poller.poll(DUE)


async def test_a_wrong_token_is_refused_and_never_shown(cluster: Cluster, authority: Authority) -> None:
    made = open_poller(endpoint(cluster.url), secret(authority, "x" * 32), None, SystemClock())
    with pytest.raises(Refused, match="401") as caught:
        await made.poll(DUE)
    assert "x" * 32 not in str(caught.value)
    await made.close()


async def test_closing_ends_every_watch(cluster: Cluster, authority: Authority) -> None:
    made = open_poller(endpoint(cluster.url), secret(authority), None, SystemClock())
    await made.poll(DUE)
    async with asyncio.timeout(5):
        while len(cluster.watchers) < 3:
            await asyncio.sleep(0.01)
    await made.close()
    assert made._following.done()
    await made.close()


# looking up


async def test_a_node_is_looked_up_afresh(reader: KubernetesReader, cluster: Cluster) -> None:
    taint = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
    cluster.put("nodes", node("n1", ready="Unknown", unschedulable=True, taints=[taint]))
    found = await reader.node("n1")
    assert (found.ready, found.unschedulable, found.out_of_service) == (None, True, True)
    assert await reader.node("nobody") is None


async def test_pods_of_a_node_and_of_a_job_are_looked_up(reader: KubernetesReader, cluster: Cluster) -> None:
    cluster.put("pods", pod("llama-1", "n2"))
    on = {found.name: found for found in await reader.pods_on("n1")}
    assert set(on) == {"llama-0", "agent-x"}
    assert on["agent-x"].daemonset
    first = on["llama-0"]
    assert (first.job, first.owner, first.priority_class, first.gang, first.uid) == (
        "training/llama",
        "Job/llama",
        "T2",
        "g1",
        "uid-llama-0",
    )
    assert {found.name for found in await reader.pods_of_job("training", "llama")} == {"llama-0", "llama-1"}


async def test_a_pod_and_a_job_are_looked_up(reader: KubernetesReader) -> None:
    assert (await reader.pod("training", "llama-0")).node == "n1"
    assert await reader.pod("training", "nobody") is None
    found = await reader.job("training", "llama")
    assert (found.suspended, found.gpus, found.active, found.priority_class) == (False, 32, 4, "T2")
    assert await reader.job("training", "nobody") is None


async def test_a_pod_that_cannot_be_decoded_is_an_error_for_who_is_about_to_act(reader, cluster: Cluster) -> None:
    cluster.objects["pods", "training", "bad"] = {"metadata": {"name": 1}, "spec": {"nodeName": "n1"}}
    with pytest.raises(Malformed, match="PodObject"):
        await reader.pods_on("n1")


@pytest.mark.parametrize("name", ["../secrets", "n1?watch=1", "N1", "", "a/b", "n1,spec.nodeName=n2"])
async def test_a_name_that_is_none_is_never_asked_for(reader: KubernetesReader, cluster: Cluster, name: str) -> None:
    for ask in (reader.node(name), reader.pods_on(name), reader.pod("training", name), reader.job(name, "x")):
        with pytest.raises(Malformed, match="try a name"):
            await ask
    assert cluster.requests == []
