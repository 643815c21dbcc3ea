"""The cluster behind the API: node lifecycle, kubelets, job controller, scheduler, pod garbage collection, in virtual time."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from simulator.kube import objects
from simulator.kube.store import BUDGETS, JOBS, NAMESPACES, NODES, PODS, PRIORITIES, Object, Store
from simulator.layout import GPUS, Job
from simulator.reach import Reach
from simulator.workload import Process, Workload

NOT_READY_SECONDS = 10.0
"""Without a heartbeat; the default is 50 s (v1.32 and later), 40 s before."""
START_SECONDS = (2.0, 4.0)
"""From binding to Running, the image being there."""
STOP_SECONDS = 2.0
"""From the signal to the end of a worker that listens to it."""
TERMINAL = ("Succeeded", "Failed")


@dataclass(slots=True)
class Binding:
    """What the cluster knows of one pod beside its object."""

    process: Process
    node: int | None = None
    start_at: float | None = None
    stop_at: float | None = None


@dataclass(slots=True)
class Cluster:
    """Controllers over one store; `step` runs each once."""

    reach: Reach
    workload: Workload
    store: Store = field(default_factory=Store)
    bindings: dict[str, Binding] = field(default_factory=dict)
    """By pod uid."""
    _heard: "np.ndarray[tuple[int], np.dtype[np.float64]]" = field(init=False)
    _by_job: dict[str, Job] = field(default_factory=dict)

    def __post_init__(self) -> None:
        layout, plant = self.reach.plant.layout, self.reach.plant
        self._heard = np.full(layout.node_count, plant.now)
        for namespace in objects.namespaces(layout.jobs):
            self.store.put(NAMESPACES, namespace)
        for priority in objects.priority_classes(layout.jobs):
            self.store.put(PRIORITIES, priority)
        for index in range(layout.node_count):
            self.store.put(NODES, objects.node(layout, index))
        for job in layout.jobs:
            self._by_job[job.key] = job
            self.store.put(JOBS, objects.job_object(job))
            if job.max_unavailable is not None:
                self.store.put(BUDGETS, objects.budget(job))
        for node, (job, rank) in layout.placement.items():
            pod = self._create(job, rank)
            self._bind(pod, layout.node_index[node])
            self._run(pod)
        self._sync_jobs()

    def reset_heartbeats(self) -> None:
        """Take every kubelet as heard just now: after time was made to pass without the controllers."""
        self._heard[:] = self.reach.plant.now

    def step(self) -> None:
        """Let every controller look once."""
        self._watch_nodes()
        self._kubelets()
        self._collect_garbage()
        self._sync_jobs()
        self._schedule()

    # Nodes -----------------------------------------------------------------------------------------------------------

    def _watch_nodes(self) -> None:
        plant = self.reach.plant
        for node in self.store.all(NODES):
            name = node["metadata"]["name"]
            index = plant.layout.node_index[name]
            if self.reach.kubelet(name):
                self._heard[index] = plant.now
                self._report(node, index)
            elif plant.now - self._heard[index] > NOT_READY_SECONDS:
                self._lose(node)

    def _report(self, node: Object, index: int) -> None:
        """What a living kubelet writes: ready, and how many GPUs its device plugin sees."""
        changed = objects.set_condition(node, "Ready", "True", "KubeletReady", "kubelet is posting ready status")
        gpus = str(int(self.reach.plant.machines.present[index].sum()))
        if node["status"]["allocatable"][objects.GPU] != gpus:
            node["status"]["allocatable"][objects.GPU] = gpus
            changed = True
        taints = [taint for taint in node["spec"].get("taints", []) if taint["key"] != objects.UNREACHABLE]
        if len(taints) != len(node["spec"].get("taints", [])):
            self._set_taints(node, taints)
            changed = True
        if changed:
            self.store.put(NODES, node)

    def _lose(self, node: Object) -> None:
        if not objects.set_condition(
            node, "Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."
        ):
            return
        stamp = objects.timestamp()
        unreachable = [
            {"key": objects.UNREACHABLE, "effect": effect, "timeAdded": stamp} for effect in ("NoSchedule", "NoExecute")
        ]
        self._set_taints(node, [*node["spec"].get("taints", []), *unreachable])
        self.store.put(NODES, node)
        for pod in self._pods_on(node["metadata"]["name"]):
            if objects.set_condition(pod, "Ready", "False", "NodeNotReady"):
                self.store.put(PODS, pod)

    @staticmethod
    def _set_taints(node: Object, taints: list[Object]) -> None:
        if taints:
            node["spec"]["taints"] = taints
        else:
            node["spec"].pop("taints", None)

    def _pods_on(self, name: str) -> list[Object]:
        return [pod for pod in self.store.all(PODS) if pod["spec"].get("nodeName") == name]

    @staticmethod
    def ready(item: Object) -> bool:
        found = objects.find_condition(item, "Ready")
        return found is not None and found["status"] == "True"

    # Kubelets --------------------------------------------------------------------------------------------------------

    def _kubelets(self) -> None:
        plant = self.reach.plant
        by_node: dict[str, list[Object]] = defaultdict(list)
        for pod in self.store.all(PODS):
            if "nodeName" in pod["spec"]:
                by_node[pod["spec"]["nodeName"]].append(pod)
        for index, name in enumerate(plant.layout.nodes):
            if self.reach.kubelet(name):
                self._kubelet(index, by_node.get(name, []))

    def _kubelet(self, index: int, pods: list[Object]) -> None:
        for uid in self.workload.uids_on(index) - {pod["metadata"]["uid"] for pod in pods}:
            self.workload.stop(index, uid)
        for pod in pods:
            binding = self.bindings[pod["metadata"]["uid"]]
            if "deletionTimestamp" in pod["metadata"]:
                self._stopping(pod, binding, index)
            elif not self.workload.has(index, pod["metadata"]["uid"]):
                self._starting(pod, binding)
            elif not self.ready(pod):
                objects.set_condition(pod, "Ready", "True", "ContainersReady")
                self.store.put(PODS, pod)

    def _stopping(self, pod: Object, binding: Binding, index: int) -> None:
        now = self.reach.plant.now
        if binding.stop_at is None:
            binding.stop_at = now + min(
                STOP_SECONDS, float(pod["metadata"].get("deletionGracePeriodSeconds", STOP_SECONDS))
            )
        if now >= binding.stop_at or not self.workload.has(index, pod["metadata"]["uid"]):
            self.workload.stop(index, pod["metadata"]["uid"])
            self.remove(pod)

    def _starting(self, pod: Object, binding: Binding) -> None:
        now = self.reach.plant.now
        if binding.start_at is None:
            binding.start_at = now + float(self.reach.plant.rng.uniform(*START_SECONDS))
            if pod["status"]["phase"] == "Running":
                pod["status"]["containerStatuses"][0].update(
                    ready=False, started=False, state={"waiting": {"reason": "ContainerCreating"}}
                )
                pod["status"]["containerStatuses"][0]["restartCount"] += 1
                objects.set_condition(pod, "Ready", "False", "ContainersNotReady")
                self.store.put(PODS, pod)
        elif now >= binding.start_at:
            self._run(pod)

    def _run(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        binding = self.bindings[uid]
        assert binding.node is not None
        binding.start_at = None
        restarts = pod["status"].get("containerStatuses", [{"restartCount": 0}])[0]["restartCount"]
        pod["status"].update(
            phase="Running",
            hostIP="127.0.0.1",
            startTime=pod["status"].get("startTime", objects.timestamp()),
            containerStatuses=[
                {
                    "name": "worker", "ready": True, "started": True, "restartCount": restarts, "image": pod["spec"]["containers"][0]["image"],
                    "imageID": "", "state": {"running": {"startedAt": objects.timestamp()}},
                }
            ],
        )  # fmt: skip
        for kind in ("Initialized", "ContainersReady", "Ready"):
            objects.set_condition(pod, kind, "True", "Started")
        self.store.put(PODS, pod)
        self.workload.start(binding.node, uid, binding.process)

    # Deletion --------------------------------------------------------------------------------------------------------

    def delete(self, pod: Object, grace_seconds: int) -> None:
        """Ask for a pod's end; with a grace of 0 the object goes at once, whatever its node does."""
        if grace_seconds == 0 or "nodeName" not in pod["spec"]:
            self.remove(pod)
        elif "deletionTimestamp" not in pod["metadata"]:
            pod["metadata"].update(deletionTimestamp=objects.timestamp(), deletionGracePeriodSeconds=grace_seconds)
            self.store.put(PODS, pod)

    def remove(self, pod: Object) -> None:
        self.bindings.pop(pod["metadata"]["uid"], None)
        self.store.remove(PODS, pod)

    def _collect_garbage(self) -> None:
        """Pods of nodes that are out of service go, as do pods that do not tolerate a NoExecute taint."""
        for node in self.store.all(NODES):
            taints = [
                taint
                for taint in node["spec"].get("taints", ())
                if taint.get("effect") == "NoExecute" and taint["key"] != objects.UNREACHABLE
            ]
            if not taints:
                continue
            gone = not self.ready(node) and any(taint["key"] == objects.OUT_OF_SERVICE for taint in taints)
            for pod in self._pods_on(node["metadata"]["name"]):
                self.delete(pod, 0 if gone else pod["spec"]["terminationGracePeriodSeconds"])

    # Jobs and scheduling ---------------------------------------------------------------------------------------------

    def _create(self, job: Job, rank: int) -> Object:
        item = self.store.get(JOBS, job.namespace, job.name)
        assert item is not None
        pod = objects.pod(job, item, rank)
        self.bindings[pod["metadata"]["uid"]] = Binding(Process(job, rank))
        self.store.put(PODS, pod)
        return pod

    def _sync_jobs(self) -> None:
        by_job: dict[str, list[Object]] = defaultdict(list)
        for pod in self.store.all(PODS):
            by_job[self.bindings[pod["metadata"]["uid"]].process.job.key].append(pod)
        for key, job in self._by_job.items():
            item = self.store.get(JOBS, job.namespace, job.name)
            assert item is not None
            pods = by_job[key]
            if item["spec"].get("suspend"):
                for pod in pods:
                    self.delete(pod, pod["spec"]["terminationGracePeriodSeconds"])
            else:
                taken = {self.bindings[pod["metadata"]["uid"]].process.rank for pod in pods}
                pods += [self._create(job, rank) for rank in range(job.ranks) if rank not in taken]
            self._write_job_status(item, pods)
            self._write_budget(job, pods)

    def _write_job_status(self, item: Object, pods: list[Object]) -> None:
        suspended = bool(item["spec"].get("suspend"))
        terminating = sum("deletionTimestamp" in pod["metadata"] for pod in pods)
        counts = {"active": len(pods) - terminating, "ready": self.healthy(pods), "terminating": terminating}
        changed = objects.set_condition(
            item, "Suspended", str(suspended), "JobSuspended" if suspended else "JobResumed"
        )
        if changed or any(item["status"].get(name) != value for name, value in counts.items()):
            item["status"].update(counts)
            self.store.put(JOBS, item)

    @classmethod
    def healthy(cls, pods: list[Object]) -> int:
        return sum(cls.ready(pod) and "deletionTimestamp" not in pod["metadata"] for pod in pods)

    def _write_budget(self, job: Job, pods: list[Object]) -> None:
        item = self.store.get(BUDGETS, job.namespace, job.name)
        if item is None:
            return
        current, desired = self.healthy(pods), item["status"]["desiredHealthy"]
        status = {"currentHealthy": current, "disruptionsAllowed": max(0, current - desired)}
        if any(item["status"][name] != value for name, value in status.items()):
            item["status"].update(status)
            self.store.put(BUDGETS, item)

    def disruptions_allowed(self, pod: Object) -> int | None:
        """How many pods of this one's job may be disrupted now; None without a budget."""
        job = self.bindings[pod["metadata"]["uid"]].process.job
        item = self.store.get(BUDGETS, job.namespace, job.name)
        if item is None:
            return None
        pods = [one for one in self.store.all(PODS) if self.bindings[one["metadata"]["uid"]].process.job is job]
        return self.healthy(pods) - int(item["status"]["desiredHealthy"])

    def _schedule(self) -> None:
        pending = [pod for pod in self.store.all(PODS) if "nodeName" not in pod["spec"]]
        if not pending:
            return
        free = self._free_nodes()
        for pod in sorted(pending, key=lambda one: -one["spec"]["priority"]):
            if free:
                self._bind(pod, free.pop(0))
            elif objects.set_condition(pod, "PodScheduled", "False", "Unschedulable", "no node has 8 free GPUs"):
                self.store.put(PODS, pod)

    def _free_nodes(self) -> list[int]:
        layout = self.reach.plant.layout
        taken = {pod["spec"].get("nodeName") for pod in self.store.all(PODS)}
        return [
            layout.node_index[name]
            for node in self.store.all(NODES)
            if (name := node["metadata"]["name"]) not in taken
            and self.ready(node)
            and not node["spec"].get("unschedulable")
            and not any(taint.get("effect") in ("NoSchedule", "NoExecute") for taint in node["spec"].get("taints", ()))
            and int(node["status"]["allocatable"][objects.GPU]) >= GPUS
        ]

    def _bind(self, pod: Object, node: int) -> None:
        pod["spec"]["nodeName"] = self.reach.plant.layout.nodes[node]
        objects.set_condition(pod, "PodScheduled", "True", "Scheduled")
        self.bindings[pod["metadata"]["uid"]].node = node
        self.store.put(PODS, pod)
