"""kubernetes-asyncio (and kubectl, where it is installed) against the simulated API."""

import asyncio
import shutil

import kubernetes_asyncio as k8s
import pytest
from kubernetes_asyncio.client import ApiException

OUT_OF_SERVICE = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}


@pytest.fixture
async def clients(site):
    """Core and batch clients that write, and a core client that only reads."""
    opened = []

    def api(login):
        settings = k8s.client.Configuration()
        settings.host = f"https://127.0.0.1:{site.ports.kubernetes}"
        settings.ssl_ca_cert = str(site.directory / "ca.pem")
        settings.api_key = {"BearerToken": f"Bearer {login.word}"}
        opened.append(k8s.client.ApiClient(settings))
        return opened[-1]

    writer, reader = api(site.secrets.kubernetes_write), api(site.secrets.kubernetes_read)
    yield k8s.client.CoreV1Api(writer), k8s.client.BatchV1Api(writer), k8s.client.CoreV1Api(reader)
    for one in opened:
        await one.close()
    await asyncio.sleep(0.05)


def step(site, seconds) -> None:
    for _ in range(round(seconds / 0.25)):
        site.step(0.25)


def pods_of(site, job):
    return {
        (
            pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"],
            pod["spec"].get("nodeName"),
            pod["status"]["phase"],
        )
        for pod in site.cluster.pods.by_job()[job]
    }


async def pod_on(core, node):
    return (await core.list_pod_for_all_namespaces(field_selector=f"spec.nodeName={node}")).items[0]


async def test_nodes_pods_jobs_budgets_and_priorities_are_listed(clients) -> None:
    core, batch, _ = clients
    nodes = (await core.list_node()).items
    assert len(nodes) == 16
    assert {c.type: c.status for c in nodes[0].status.conditions}["Ready"] == "True"
    assert nodes[0].status.allocatable["nvidia.com/gpu"] == "8"
    pods = (await core.list_pod_for_all_namespaces()).items
    assert {pod.status.phase for pod in pods} == {"Running"}
    train = [pod for pod in pods if pod.metadata.labels["batch.kubernetes.io/job-name"] == "train-a"]
    assert {(pod.spec.priority_class_name, pod.spec.priority, pod.metadata.namespace) for pod in train} == {
        ("t2-training", 8000, "training")
    }
    assert {pod.metadata.owner_references[0].kind for pod in pods} == {"Job"}
    jobs = (await batch.list_job_for_all_namespaces()).items
    assert {job.metadata.name for job in jobs} == {"train-a", "research-b", "batch-c"}
    assert all(job.status.active == job.status.ready == job.spec.parallelism for job in jobs)
    policies = k8s.client.PolicyV1Api(core.api_client)
    assert len((await policies.list_pod_disruption_budget_for_all_namespaces()).items) == 2
    priorities = k8s.client.SchedulingV1Api(core.api_client)
    assert {one.value for one in (await priorities.list_priority_class()).items} == {8000, 6000, 4000}


async def test_selectors_narrow_a_list_and_nonsense_is_refused(clients) -> None:
    core, _, _ = clients
    count = core.list_pod_for_all_namespaces
    every = len((await count()).items)
    train = len((await count(label_selector="batch.kubernetes.io/job-name=train-a")).items)
    rest = len((await count(label_selector="batch.kubernetes.io/job-name!=train-a")).items)
    assert train + rest == every and train == 9
    assert len((await count(label_selector="job-name in (train-a, batch-c),!nowhere")).items) > train
    assert len((await count(field_selector="status.phase=Pending")).items) == 0
    assert len((await core.list_namespaced_pod("batch")).items) == len(
        (await count(label_selector="job-name=batch-c")).items
    )
    for wrong in ({"field_selector": "spec.colour=red"}, {"label_selector": "a in b"}):
        with pytest.raises(ApiException) as refused:
            await count(**wrong)
        assert refused.value.status == 400


async def test_cordon_and_uncordon_by_each_kind_of_patch(clients, site, truth) -> None:
    core, _, _ = clients
    patches = {
        "application/merge-patch+json": ({"spec": {"unschedulable": True}}, {"spec": {"unschedulable": None}}),
        "application/strategic-merge-patch+json": (
            {"spec": {"unschedulable": True}},
            {"spec": {"unschedulable": False}},
        ),
        "application/json-patch+json": (
            [{"op": "add", "path": "/spec/unschedulable", "value": True}],
            [{"op": "remove", "path": "/spec/unschedulable"}],
        ),
    }
    for kind, (cordon, uncordon) in patches.items():
        for body, verb, expected in ((cordon, "cordon", True), (uncordon, "uncordon", None)):
            node = await core.patch_node("dgx-001", body, _content_type=kind)
            assert node.spec.unschedulable is expected
            entry = truth()[-1]
            assert (entry["verb"], entry["arguments"]["node"], entry["accepted"], entry["executed"]) == (
                verb,
                "dgx-001",
                True,
                True,
            )


async def test_cordoning_twice_is_accepted_and_changes_nothing_the_second_time(clients, truth) -> None:
    core, _, _ = clients
    for _ in range(2):
        await core.patch_node("dgx-001", {"spec": {"unschedulable": True}})
    assert [entry["executed"] for entry in truth()] == [True, False]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ({"spec": {"podCIDR": "10.0.0.0/8"}}, "application/merge-patch+json", 422),
        ({"status": {"phase": "x"}}, "application/merge-patch+json", 422),
        ({"spec": {"unschedulable": "yes"}}, "application/merge-patch+json", 422),
        ({"spec": {"taints": [{"key": "x"}]}}, "application/merge-patch+json", 422),
        ({"spec": None}, "application/merge-patch+json", 422),
        ({"metadata": {"resourceVersion": "1"}}, "application/merge-patch+json", 409),
        ([{"op": "test", "path": "/spec/unschedulable", "value": True}], "application/json-patch+json", 422),
        ([{"op": "replace", "path": "/spec/unschedulable", "value": True}], "application/json-patch+json", 422),
        ({"spec": {"unschedulable": True}}, "application/json-patch+json", 422),
        ({"spec": {"unschedulable": True}}, "application/apply-patch+yaml", 415),
    ],
)
async def test_a_patch_that_may_not_be_is_refused_written_down_and_changes_nothing(
    clients, site, truth, body, kind, status
) -> None:
    core, _, _ = clients
    before = site.cluster.store.version
    with pytest.raises(ApiException) as refused:
        await core.patch_node("dgx-001", body, _content_type=kind)
    assert refused.value.status == status
    assert truth()[-1]["accepted"] is False
    assert site.cluster.store.version == before


async def test_a_pod_is_evicted_and_its_replacement_runs_on_a_free_schedulable_node(clients, site, truth) -> None:
    core, _, _ = clients
    await core.patch_node("dgx-001", {"spec": {"unschedulable": True}})
    pod = await pod_on(core, "dgx-001")
    body = k8s.client.V1Eviction(
        metadata=k8s.client.V1ObjectMeta(name=pod.metadata.name, namespace=pod.metadata.namespace),
        delete_options=k8s.client.V1DeleteOptions(preconditions=k8s.client.V1Preconditions(uid=pod.metadata.uid)),
    )
    await core.create_namespaced_pod_eviction(pod.metadata.name, pod.metadata.namespace, body)
    assert (truth()[-1]["verb"], truth()[-1]["arguments"]["pod"], truth()[-1]["executed"]) == (
        "evict",
        pod.metadata.name,
        True,
    )
    assert (await core.read_namespaced_pod(pod.metadata.name, pod.metadata.namespace)).metadata.deletion_timestamp
    assert site.plant.machines.demand[0] > 0, "its worker still ends"
    step(site, 8)
    with pytest.raises(ApiException, match="404"):
        await core.read_namespaced_pod(pod.metadata.name, pod.metadata.namespace)
    assert site.plant.machines.demand[0] == 0
    moved = [one for one in pods_of(site, "training/train-a") if one[0] == "0"]
    assert len(moved) == 1 and moved[0][1] not in ("dgx-001", None) and moved[0][2] == "Running"
    assert site.plant.machines.demand[site.layout.node_index[moved[0][1]]] > 0
    assert not site.workload.second_writers


async def test_a_budget_without_room_answers_429_and_has_room_again_when_the_replacement_is_ready(
    clients, site, truth
) -> None:
    core, _, _ = clients
    first, second = await pod_on(core, "dgx-001"), await pod_on(core, "dgx-002")
    evict = lambda pod: core.create_namespaced_pod_eviction(pod.metadata.name, "training", k8s.client.V1Eviction())  # noqa: E731
    await evict(first)
    with pytest.raises(ApiException) as refused:
        await evict(second)
    assert refused.value.status == 429
    assert (truth()[-1]["verb"], truth()[-1]["accepted"], truth()[-1]["executed"]) == ("evict", False, False)
    step(site, 8)
    await evict(second)


async def test_a_wrong_uid_protects_the_pod_of_the_same_name(clients, site) -> None:
    core, _, _ = clients
    pod = await pod_on(core, "dgx-001")
    options = k8s.client.V1DeleteOptions(
        preconditions=k8s.client.V1Preconditions(uid="another"), grace_period_seconds=0
    )
    with pytest.raises(ApiException) as refused:
        await core.delete_namespaced_pod(pod.metadata.name, "training", body=options)
    assert refused.value.status == 409
    assert (await core.read_namespaced_pod(pod.metadata.name, "training")).metadata.deletion_timestamp is None


async def test_a_dry_run_is_answered_and_does_nothing(clients, site, truth) -> None:
    core, _, _ = clients
    pod = await pod_on(core, "dgx-001")
    await core.patch_node("dgx-001", {"spec": {"unschedulable": True}}, dry_run="All")
    await core.create_namespaced_pod_eviction(pod.metadata.name, "training", k8s.client.V1Eviction(), dry_run="All")
    await core.delete_namespaced_pod(pod.metadata.name, "training", dry_run="All")
    assert (await core.read_node("dgx-001")).spec.unschedulable is None
    assert (await core.read_namespaced_pod(pod.metadata.name, "training")).metadata.deletion_timestamp is None
    assert [entry["executed"] for entry in truth()] == [False] * 3


async def test_a_suspended_job_lets_its_nodes_idle_and_a_resumed_one_runs_again(clients, site, truth) -> None:
    _, batch, _ = clients
    await batch.patch_namespaced_job("batch-c", "batch", {"spec": {"suspend": True}})
    assert truth()[-1]["verb"] == "suspend_job"
    step(site, 5)
    assert pods_of(site, "batch/batch-c") == set()
    assert site.plant.power.outlet_watts[13].sum() == pytest.approx(2000, rel=0.05)
    job = await batch.read_namespaced_job("batch-c", "batch")
    assert (job.status.active, {c.type: c.status for c in job.status.conditions}["Suspended"]) == (0, "True")
    await batch.patch_namespaced_job("batch-c", "batch", {"spec": {"suspend": False}})
    assert truth()[-1]["verb"] == "resume_job"
    step(site, 8)
    assert {phase for _, _, phase in pods_of(site, "batch/batch-c")} == {"Running"}


async def test_a_reader_may_only_read_and_a_stranger_not_even_that(clients, site, truth) -> None:
    _, _, reader = clients
    assert (await reader.list_node()).items
    with pytest.raises(ApiException) as refused:
        await reader.patch_node("dgx-001", {"spec": {"unschedulable": True}})
    assert refused.value.status == 403
    assert (truth()[-1]["verb"], truth()[-1]["accepted"]) == ("cordon", False)
    settings = k8s.client.Configuration()
    settings.host, settings.ssl_ca_cert = f"https://127.0.0.1:{site.ports.kubernetes}", str(site.directory / "ca.pem")
    async with k8s.client.ApiClient(settings) as stranger:
        with pytest.raises(ApiException) as unknown:
            await k8s.client.CoreV1Api(stranger).list_node()
    assert unknown.value.status == 401


async def test_what_the_api_does_not_offer_is_refused_and_written_down(clients, truth) -> None:
    core, _, _ = clients
    for call in (
        lambda: core.delete_node("dgx-001"),
        lambda: core.create_namespace({"metadata": {"name": "x"}}),
        lambda: core.delete_collection_namespaced_pod("batch"),
    ):
        with pytest.raises(ApiException) as refused:
            await call()
        assert refused.value.status == 405
        assert truth()[-1]["accepted"] is False


async def watch_until(core, site, wanted, *, version, seconds=20.0, **how):
    """Events of a watch until `wanted` says enough, while the site lives."""
    seen = []

    async def living():
        while True:
            site.step(0.25)
            await asyncio.sleep(0.01)

    life = asyncio.ensure_future(living())
    watch = k8s.watch.Watch()
    try:
        async with asyncio.timeout(seconds):
            async for event in watch.stream(core.list_pod_for_all_namespaces, resource_version=version, **how):
                seen.append((event["type"], event["object"].metadata.name, event["object"].spec.node_name))
                if wanted(seen):
                    break
    finally:
        life.cancel()
        await watch.close()
    return seen


async def test_a_watch_tells_of_the_end_of_a_pod_and_of_its_replacement(clients, site) -> None:
    core, _, _ = clients
    pod = await pod_on(core, "dgx-001")
    version = (await core.list_pod_for_all_namespaces()).metadata.resource_version
    await core.delete_namespaced_pod(pod.metadata.name, "training")
    enough = lambda seen: any(kind == "MODIFIED" and name != pod.metadata.name and node for kind, name, node in seen)  # noqa: E731
    seen = await watch_until(core, site, enough, version=version, label_selector="job-name=train-a")
    kinds = [kind for kind, name, _ in seen if name == pod.metadata.name]
    assert kinds == ["MODIFIED", "DELETED"]
    assert next(kind for kind, name, _ in seen if name != pod.metadata.name) == "ADDED"


async def test_a_watch_without_a_version_starts_with_everything_that_is(clients, site) -> None:
    core, _, _ = clients
    seen = await watch_until(core, site, lambda seen: len(seen) == 9, version=None, label_selector="job-name=train-a")
    assert {kind for kind, _, _ in seen} == {"ADDED"}


async def test_a_watch_from_a_forgotten_version_is_told_410(clients, site) -> None:
    core, _, _ = clients
    version = (await core.list_pod_for_all_namespaces()).metadata.resource_version
    site.cluster.store.forget_events()
    with pytest.raises(ApiException) as gone:
        await watch_until(core, site, lambda _: False, version=str(int(version) - 5))
    assert gone.value.status == 410


async def test_a_watch_ends_when_its_time_is_up(clients, site) -> None:
    core, _, _ = clients
    version = (await core.list_pod_for_all_namespaces()).metadata.resource_version
    answer = await core.list_pod_for_all_namespaces(
        watch=True, resource_version=version, timeout_seconds=1, _preload_content=False
    )
    assert await asyncio.wait_for(answer.content.read(), 5) == b""


async def test_a_watch_that_asks_for_bookmarks_gets_them(clients, site, monkeypatch) -> None:
    monkeypatch.setattr("simulator.kube.watch.BOOKMARK_SECONDS", 0.05)
    core, _, _ = clients
    version = (await core.list_pod_for_all_namespaces()).metadata.resource_version
    answer = await core.list_pod_for_all_namespaces(
        watch=True, resource_version=version, allow_watch_bookmarks=True, timeout_seconds=1, _preload_content=False
    )
    line = await asyncio.wait_for(answer.content.readline(), 5)
    assert b'"BOOKMARK"' in line and f'"resourceVersion":"{site.cluster.store.version}"'.encode() in line
    await answer.content.read()


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
async def test_kubectl_reads_and_cordons(site, program, truth) -> None:
    base = (
        "kubectl", f"--server=https://127.0.0.1:{site.ports.kubernetes}", f"--certificate-authority={site.directory / 'ca.pem'}",
        f"--token={site.secrets.kubernetes_write.word}", "--kubeconfig=/dev/null", f"--cache-dir={site.directory / 'cache'}",
    )  # fmt: skip
    status, said = await program(*base, "get", "nodes", "-o", "name")
    assert status == 0 and said.count("node/dgx-") == 16, said
    status, said = await program(*base, "cordon", "dgx-005")
    assert status == 0 and "cordoned" in said
    assert truth()[-1]["verb"] == "cordon"
    status, said = await program(*base, "get", "pods", "-A", "-o", "name")
    assert status == 0 and "pod/train-a-0-" in said
