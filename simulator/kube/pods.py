"""The pods: made, bound to a node, run as processes, asked to end, gone."""

import secrets
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from simulator.kube import objects
from simulator.kube.store import JOBS, PODS, Object, Store
from simulator.layout import Job
from simulator.reach import Reach
from simulator.workload import Process, Workload

NO_RESTARTS = [{"restartCount": 0}]


@dataclass(slots=True)
class Binding:
    """What the cluster knows of one pod beside its object; times are virtual seconds."""

    process: Process
    node: int | None = None
    start_at: float | None = None
    stop_at: float | None = None


def ready(item: Object) -> bool:
    """Whether a node's or pod's Ready condition holds."""
    found = objects.find_condition(item, "Ready")
    return found is not None and found["status"] == "True"


def leaving(pod: Object) -> bool:
    """Whether its end was asked for."""
    return "deletionTimestamp" in pod["metadata"]


def healthy(pods: list[Object]) -> int:
    """How many count for a disruption budget."""
    return sum(ready(pod) and not leaving(pod) for pod in pods)


@dataclass(slots=True)
class Pods:
    """All pods with their bindings."""

    reach: Reach
    workload: Workload
    store: Store
    bindings: dict[str, Binding] = field(default_factory=dict)
    """By pod uid."""
    token: Callable[[], bytes] = field(default=lambda: secrets.token_bytes(8))
    """Draws what makes a pod's name its own."""

    def binding(self, pod: Object) -> Binding:
        return self.bindings[pod["metadata"]["uid"]]

    def job_of(self, pod: Object) -> Job:
        return self.binding(pod).process.job

    def by_job(self) -> dict[str, list[Object]]:
        """Pods by the `namespace/name` of their job."""
        grouped: dict[str, list[Object]] = defaultdict(list)
        for pod in self.store.all(PODS):
            grouped[self.job_of(pod).key].append(pod)
        return grouped

    def by_node(self) -> dict[str, list[Object]]:
        """Bound pods by the name of their node."""
        grouped: dict[str, list[Object]] = defaultdict(list)
        for pod in self.store.all(PODS):
            if "nodeName" in pod["spec"]:
                grouped[pod["spec"]["nodeName"]].append(pod)
        return grouped

    def unbound(self) -> list[Object]:
        """Pods without a node, the most important first."""
        return sorted(
            (pod for pod in self.store.all(PODS) if "nodeName" not in pod["spec"]),
            key=lambda pod: -int(pod["spec"]["priority"]),
        )

    def create(self, job: Job, rank: int) -> Object:
        """A new pod of a job, not yet on any node."""
        item = self.store.get(JOBS, job.namespace, job.name)
        assert item is not None
        pod = objects.pod(job, item, rank, self.token())
        self.bindings[pod["metadata"]["uid"]] = Binding(Process(job, rank))
        self.store.put(PODS, pod)
        return pod

    def bind(self, pod: Object, node: int) -> None:
        pod["spec"]["nodeName"] = self.reach.plant.layout.nodes[node]
        objects.set_condition(pod, "PodScheduled", "True", "Scheduled")
        self.binding(pod).node = node
        self.store.put(PODS, pod)

    def run(self, pod: Object) -> None:
        """Its container has started: the process exists from now on."""
        binding = self.binding(pod)
        assert binding.node is not None
        binding.start_at = None
        restarts = pod["status"].get("containerStatuses", NO_RESTARTS)[0]["restartCount"]
        objects.set_running(pod, restarts)
        self.store.put(PODS, pod)
        self.workload.start(binding.node, pod["metadata"]["uid"], binding.process)

    def delete(self, pod: Object, grace_seconds: int) -> None:
        """Ask for a pod's end; with a grace of 0 the object goes at once, whatever its node does."""
        if grace_seconds == 0 or "nodeName" not in pod["spec"]:
            self.remove(pod)
        elif not leaving(pod):
            pod["metadata"].update(deletionTimestamp=objects.timestamp(), deletionGracePeriodSeconds=grace_seconds)
            self.store.put(PODS, pod)

    def remove(self, pod: Object) -> None:
        """The object goes; a process that still runs is its kubelet's affair."""
        self.bindings.pop(pod["metadata"]["uid"], None)
        self.store.remove(PODS, pod)
