"""Faults as a whole: what each breaks, what it must leave alone, and that healing ends it."""

import asyncio

import kubernetes_asyncio as k8s
import pytest

from simulator.faults import FaultError
from simulator.machines import NodeState

NODE, INDEX = "dgx-002", 1
OUT_OF_SERVICE = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}


@pytest.fixture
async def core(site):
    settings = k8s.client.Configuration()
    settings.host, settings.ssl_ca_cert = f"https://127.0.0.1:{site.ports.kubernetes}", str(site.directory / "ca.pem")
    settings.api_key = {"BearerToken": f"Bearer {site.secrets.kubernetes_write.word}"}
    async with k8s.client.ApiClient(settings) as client:
        yield k8s.client.CoreV1Api(client)
    await asyncio.sleep(0.05)


def step(site, seconds) -> None:
    for _ in range(round(seconds / 0.25)):
        site.step(0.25)


async def ready(core, node=NODE) -> str:
    return {one.type: one.status for one in (await core.read_node(node)).status.conditions}["Ready"]


async def pods(core, node):
    return (await core.list_pod_for_all_namespaces(field_selector=f"spec.nodeName={node}")).items


async def rank_one(core):
    """Where rank 1 of the gang is: (node, phase, terminating) for each of its pods."""
    found = await core.list_namespaced_pod("training", label_selector="batch.kubernetes.io/job-completion-index=1")
    return [(pod.spec.node_name, pod.status.phase, pod.metadata.deletion_timestamp is not None) for pod in found.items]


async def test_a_hung_nodes_pod_stays_until_the_node_is_proven_off_and_marked_out_of_service(site, core) -> None:
    site.faults.begin({"fault": "hung-node", "target": NODE})
    step(site, 8)
    assert await ready(core) == "True", "not before ten seconds"
    step(site, 3)
    assert await ready(core) == "Unknown"
    assert {(taint.key, taint.effect) for taint in (await core.read_node(NODE)).spec.taints} == {
        ("node.kubernetes.io/unreachable", "NoSchedule"), ("node.kubernetes.io/unreachable", "NoExecute"),
    }  # fmt: skip
    pod = (await pods(core, NODE))[0]
    await core.delete_namespaced_pod(pod.metadata.name, "training")
    step(site, 60)
    assert await rank_one(core) == [(NODE, "Running", True)], (
        "its kubelet has not answered, and no second writer starts"
    )
    site.plant.chassis(INDEX, on=False)
    step(site, 3)
    await core.patch_node(NODE, {"spec": {"taints": [OUT_OF_SERVICE, *_taints(await core.read_node(NODE))]}})
    step(site, 8)
    moved = await rank_one(core)
    assert len(moved) == 1 and moved[0][0] != NODE and moved[0][1:] == ("Running", False)
    assert not site.workload.second_writers


def _taints(node):
    return [{"key": taint.key, "value": taint.value, "effect": taint.effect} for taint in node.spec.taints or ()]


async def test_the_out_of_service_taint_is_written_down_by_name_and_so_is_its_removal(site, core, truth) -> None:
    await core.patch_node(NODE, {"spec": {"taints": [OUT_OF_SERVICE]}})
    assert truth()[-1]["verb"] == "taint_out_of_service"
    await core.patch_node(NODE, {"spec": {"taints": None}}, _content_type="application/merge-patch+json")
    assert (truth()[-1]["verb"], truth()[-1]["executed"]) == ("untaint_out_of_service", True)


async def test_a_deleted_pod_of_a_hung_node_ends_when_its_kubelet_returns(site, core) -> None:
    fault = site.faults.begin({"fault": "hung-node", "target": NODE})
    step(site, 12)
    pod = (await pods(core, NODE))[0]
    await core.delete_namespaced_pod(pod.metadata.name, "training")
    step(site, 20)
    assert await rank_one(core) == [(NODE, "Running", True)]
    site.faults.heal(fault.number)
    step(site, 10)
    assert [(phase, ending) for _, phase, ending in await rank_one(core)] == [("Running", False)]
    assert await ready(core) == "True"
    assert (await core.read_node(NODE)).spec.taints is None
    assert not site.workload.second_writers


async def test_a_forced_deletion_on_a_living_partitioned_node_makes_a_second_writer_and_the_plant_knows(
    site, core
) -> None:
    site.faults.begin({"fault": "partition", "target": NODE})
    step(site, 12)
    pod = (await pods(core, NODE))[0]
    await core.delete_namespaced_pod(pod.metadata.name, "training", grace_period_seconds=0)
    step(site, 10)
    assert [(entry["job"], entry["rank"]) for entry in site.workload.second_writers] == [("training/train-a", 1)]


async def test_a_forced_deletion_of_a_hung_nodes_pod_leaves_an_orphan_that_its_kubelet_kills_on_return(
    site, core
) -> None:
    fault = site.faults.begin({"fault": "hung-node", "target": NODE})
    step(site, 12)
    pod = (await pods(core, NODE))[0]
    await core.delete_namespaced_pod(pod.metadata.name, "training", grace_period_seconds=0)
    step(site, 10)
    assert (await rank_one(core))[0][0] != NODE
    site.faults.heal(fault.number)
    step(site, 2)
    assert site.workload.uids_on(INDEX) == set()
    assert site.plant.machines.demand[INDEX] == 0


async def test_a_power_cycled_node_becomes_ready_again_and_restarts_its_pod_in_place(site, core) -> None:
    site.faults.begin({"fault": "hung-node", "target": NODE})
    step(site, 12)
    site.plant.chassis(INDEX, on=False)
    step(site, 3)
    site.plant.chassis(INDEX, on=True)
    step(site, 30)
    assert await ready(core) == "True"
    pod = (await pods(core, NODE))[0]
    assert pod.status.phase == "Running" and pod.status.container_statuses[0].restart_count == 1
    assert site.plant.machines.demand[INDEX] > 0


async def test_a_partition_hides_healthy_nodes_and_touches_nothing_else(site, core) -> None:
    hidden = [f"dgx-{number:03d}" for number in range(1, 9)]
    before = site.plant.power.outlet_watts[:8].sum()
    fault = site.faults.begin({"fault": "partition", "targets": ["r01", "r02"]})
    step(site, 15)
    assert [await ready(core, node) for node in hidden] == ["Unknown"] * 8
    assert await ready(core, "dgx-009") == "True"
    assert site.plant.power.outlet_watts[:8].sum() == pytest.approx(before, rel=0.03), "the jobs go on"
    assert site.plant.fabric_up().all()
    assert not any(site.reach.bmc(node) or site.reach.agent(node) or site.reach.exporter(node) for node in hidden)
    site.faults.heal(fault.number)
    step(site, 2)
    assert [await ready(core, node) for node in hidden] == ["True"] * 8
    assert not site.workload.second_writers


async def test_a_gpu_off_the_bus_shrinks_what_the_node_offers_until_it_was_cycled(site, core) -> None:
    site.faults.begin({"fault": "gpu-off-bus", "target": NODE})
    step(site, 1)
    assert (await core.read_node(NODE)).status.allocatable["nvidia.com/gpu"] == "7"
    await core.patch_node(NODE, {"spec": {"unschedulable": True}})
    pod = (await pods(core, NODE))[0]
    await core.create_namespaced_pod_eviction(pod.metadata.name, "training", k8s.client.V1Eviction())
    step(site, 8)
    assert await pods(core, NODE) == []
    site.plant.chassis(INDEX, on=False)
    step(site, 3)
    site.plant.chassis(INDEX, on=True)
    step(site, 25)
    assert (await core.read_node(NODE)).status.allocatable["nvidia.com/gpu"] == "8"
    await core.patch_node(NODE, {"spec": {"unschedulable": None}})


async def test_without_a_free_node_a_pod_waits_and_says_so(site, core) -> None:
    for number in range(10, 17):
        await core.patch_node(f"dgx-{number:03d}", {"spec": {"unschedulable": True}})
    await core.patch_node(NODE, {"spec": {"unschedulable": True}})
    pod = (await pods(core, NODE))[0]
    await core.delete_namespaced_pod(pod.metadata.name, "training")
    step(site, 20)
    assert await rank_one(core) == [(None, "Pending", False)]
    await core.patch_node("dgx-016", {"spec": {"unschedulable": None}})
    step(site, 6)
    assert await rank_one(core) == [("dgx-016", "Running", False)]


@pytest.mark.parametrize(
    ("order", "hint"),
    [
        ({}, "try one of"),
        ({"fault": "meteor", "target": NODE}, "try one of"),
        ({"fault": "hung-node"}, "target is missing"),
        ({"fault": "hung-node", "target": "dgx-999"}, "no asset"),
        ({"fault": "hung-node", "target": "pdu-r01-a"}, "no node"),
        ({"fault": "feed-loss", "target": NODE}, "no PDU"),
        ({"fault": "leak", "target": NODE}, "no CDU"),
        ({"fault": "gpu-off-bus", "target": NODE, "gpu": 8}, "from 0 to 7"),
        ({"fault": "gpu-off-bus", "target": NODE, "gpu": "3"}, "from 0 to 7"),
        ({"fault": "slow", "target": NODE, "delay_seconds": -1}, "up to 60"),
        ({"fault": "hung-node", "targets": []}, "target is missing"),
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused_with_what_to_try(site, order, hint) -> None:
    with pytest.raises(FaultError, match=hint):
        site.faults.begin(order)
    assert site.faults.active == {}


async def test_a_node_that_is_off_cannot_hang(site) -> None:
    site.plant.chassis(INDEX, on=False)
    step(site, 3)
    with pytest.raises(FaultError, match="does not run"):
        site.faults.begin({"fault": "hung-node", "target": NODE})


async def test_two_faults_of_a_kind_on_one_node_heal_one_by_one(site) -> None:
    first = site.faults.begin({"fault": "partition", "targets": [NODE, "dgx-003"]})
    second = site.faults.begin({"fault": "partition", "targets": [NODE, "dgx-004"]})
    site.faults.heal(second.number)
    assert not site.reach.bmc(NODE) and not site.reach.bmc("dgx-003") and site.reach.bmc("dgx-004")
    site.faults.heal(first.number)
    assert site.reach.bmc(NODE)
    assert site.faults.heal(first.number) is None


async def test_the_control_api_begins_lists_and_heals_faults_and_shows_the_state(site, http) -> None:
    control = f"http://127.0.0.1:{site.control_port}"
    async with http.post(f"{control}/faults", json={"fault": "feed-loss", "target": "pdu-r04-a"}) as answer:
        assert answer.status == 201
        number = (await answer.json())["id"]
    site.step(2)
    async with http.get(f"{control}/state") as answer:
        state = await answer.json()
    assert state["pdus"]["pdu-r04-a"]["phase_amperes"] == [0.0, 0.0, 0.0]
    assert 1.05 < max(state["pdus"]["pdu-r04-b"]["phase_load_ratio"]) < 1.18
    assert state["nodes"]["dgx-016"]["jobs"] == [] and state["jobs"]["training/train-a"]["ready"] == 9
    assert state["second_writers"] == []
    async with http.get(f"{control}/faults") as answer:
        assert [fault["id"] for fault in await answer.json()] == [number]
    async with http.delete(f"{control}/faults/{number}") as answer:
        assert answer.status == 200
    async with http.delete(f"{control}/faults/{number}") as answer:
        assert answer.status == 404
    async with http.post(f"{control}/faults", data=b"{nonsense") as answer:
        assert answer.status == 422 and (await answer.json())["try"]
    async with http.get(f"{control}/nowhere") as answer:
        assert answer.status == 404


async def test_the_control_api_hands_out_the_ground_truth_from_any_number_on(site, http, core, truth) -> None:
    for node in ("dgx-001", "dgx-002", "dgx-003"):
        await core.patch_node(node, {"spec": {"unschedulable": True}})
    async with http.get(f"http://127.0.0.1:{site.control_port}/ground-truth") as answer:
        assert await answer.json() == truth()
    async with http.get(f"http://127.0.0.1:{site.control_port}/ground-truth?after=2") as answer:
        assert [entry["number"] for entry in await answer.json()] == [3]
    assert all(
        set(entry) >= {"at_ms", "device", "server", "verb", "arguments", "request_id", "accepted", "executed"}
        for entry in truth()
    )


async def test_a_silent_scheduler_answers_nobody_and_its_watches_end(site, core) -> None:
    version = (await core.list_node()).metadata.resource_version
    watch = await core.list_node(watch=True, resource_version=version, _preload_content=False)
    fault = site.faults.begin({"fault": "device-silent", "target": "k8s-1"})
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(core.list_node(), 0.4)
    site.faults.begin({"fault": "hung-node", "target": NODE})
    step(site, 12)
    assert await asyncio.wait_for(watch.content.read(), 5) == b"", "what it missed it must list again"
    site.faults.heal(fault.number)
    assert (await core.list_node()).items
    assert site.plant.machines.state[INDEX] == NodeState.HUNG
