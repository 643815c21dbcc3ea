"""The scheduler as the recording has it: what its collector published as series."""

from collections import defaultdict
from typing import Final

from fleet.clock import Clock
from fleet.errors import Unreachable
from fleet.model import AssetId, Site
from remediator.cluster import JobObject, NodeObject, Pod
from remediator.shed import tier_of
from remediator.sight import Window

FRESH_MS: Final = 60_000
"""Twelve reads of a scheduler: older than that it counts as unreachable, as it would have been."""
OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
SERIES: Final = frozenset(
    {"kube_node_spec_unschedulable", "kube_node_status_condition", "kube_node_spec_taint", "kube_pod_status_phase"}
)
"""What must be kept of it beside `fleet_job_info`."""


class RecordedCluster:
    """Answers from the window. A pod belongs to the job that the recording has on its node; without one it is no work."""

    def __init__(self, site: Site, window: Window, clock: Clock) -> None:
        self._site, self._window, self._clock = site, window, clock

    def _fresh(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        oldest = self._clock.now_ms() - FRESH_MS
        found = self._window.latest(name, labels)
        return [(dict(sample.labels), sample.value) for sample in found if sample.at_ms >= oldest]

    async def node(self, name: str) -> NodeObject:
        """The node. Raises `Unreachable` where the recording does not have it."""
        cordoned = self._fresh("kube_node_spec_unschedulable", node=name)
        if not cordoned:
            raise Unreachable(f"the recording has no scheduler's word on {name}")
        said = self._fresh("kube_node_status_condition", node=name, condition="Ready")
        status = {labels.get("status", ""): value >= 0.5 for labels, value in said}
        taints = self._fresh("kube_node_spec_taint", node=name)
        return NodeObject(
            name=name,
            ready=True if status.get("true") else False if status.get("false") else None,
            unschedulable=cordoned[0][1] >= 0.5,
            out_of_service=any(labels.get("key") == OUT_OF_SERVICE for labels, _ in taints),
        )

    async def pods_on(self, node: str) -> tuple[Pod, ...]:
        """Its pods. Raises `Unreachable` where the recording does not have the node."""
        await self.node(node)
        jobs = sorted({labels.get("job_id", "") for labels, _ in self._fresh("fleet_job_info", node=node)})
        return tuple(self._pod(labels, jobs) for labels, _ in self._fresh("kube_pod_status_phase", node=node))

    @staticmethod
    def _pod(labels: dict[str, str], jobs: list[str]) -> Pod:
        namespace, name = labels.get("namespace", ""), labels.get("pod", "")
        mine = next((job for job in jobs if job.partition("/")[0] == namespace), None)
        return Pod(
            namespace=namespace,
            name=name,
            uid=f"{namespace}/{name}",
            node=labels.get("node"),
            phase=labels.get("phase", ""),
            job=mine,
            daemon=mine is None,
        )

    async def pods_of(self, job: str) -> tuple[Pod, ...]:
        """Pods of a job, on all its nodes."""
        nodes = sorted({labels.get("node", "") for labels, _ in self._fresh("fleet_job_info", job_id=job)})
        found = [pod for node in nodes for pod in await self.pods_on(node)]
        return tuple(pod for pod in found if pod.job == job)

    async def job(self, job: str) -> JobObject | None:
        """The job; None where it runs nowhere."""
        found = self._fresh("fleet_job_info", job_id=job)
        if not found:
            return None
        gpus: dict[str, float] = defaultdict(float)
        for labels, _ in found:
            node = AssetId(labels.get("node", ""))
            if node in self._site.assets:
                gpus[node] = self._site.assets[node].ratings.get("gpus", 0.0)
        return JobObject(
            job=job, suspended=False, tier=tier_of(found[0][0].get("priority", "")), gpus=round(sum(gpus.values()))
        )
