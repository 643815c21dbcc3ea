"""The remediator's view of the simulated scheduler: its objects as they are now, after a moment on the network."""

from collections.abc import Callable
from typing import Any

from fleet.errors import Unreachable
from hallkeeper.world.network import PATIENCE_SECONDS, ROUND_TRIP_SECONDS
from hallkeeper.world.process import Process
from remediator.cluster import JobObject, NodeObject, Pod
from remediator.cluster_reader import READ_SECONDS
from remediator.shed import tier_of
from simulator.kube.objects import JOB_LABEL, OUT_OF_SERVICE, find_condition
from simulator.kube.pods import leaving
from simulator.kube.store import JOBS, NODES, PODS, Store

_READY = {"True": True, "False": False}


class WorldCluster:
    """`remediator.cluster.Cluster` over the simulator's store."""

    def __init__(
        self, store: Store, process: Process, answers: Callable[[], bool], slow_seconds: Callable[[], float]
    ) -> None:
        self._store, self._process, self._answers, self._slow = store, process, answers, slow_seconds

    async def _asked(self) -> None:
        """Raises `Unreachable` while the API does not answer."""
        if not self._answers() or self._slow() >= READ_SECONDS:
            await self._process.sleep(PATIENCE_SECONDS)
            raise Unreachable("the scheduler does not answer, try again later")
        await self._process.sleep(ROUND_TRIP_SECONDS + self._slow())

    async def node(self, name: str) -> NodeObject:
        """The node as it is now."""
        await self._asked()
        found = self._store.get(NODES, "", name)
        if found is None:
            raise Unreachable(f"the scheduler knows no node {name}")
        ready = find_condition(found, "Ready")
        return NodeObject(
            name=name,
            ready=None if ready is None else _READY.get(ready["status"]),
            unschedulable=bool(found["spec"].get("unschedulable")),
            out_of_service=any(taint["key"] == OUT_OF_SERVICE for taint in found["spec"].get("taints", ())),
        )

    async def pods_on(self, node: str) -> tuple[Pod, ...]:
        """Every pod bound to the node."""
        await self._asked()
        return tuple(pod_of(pod) for pod in self._store.all(PODS) if pod["spec"].get("nodeName") == node)

    async def pods_of(self, job: str) -> tuple[Pod, ...]:
        """Every pod of a job."""
        await self._asked()
        found = (pod_of(pod) for pod in self._store.all(PODS))
        return tuple(pod for pod in found if pod.job == job)

    async def job(self, job: str) -> JobObject | None:
        """The job as it is now."""
        await self._asked()
        namespace, _, name = job.partition("/")
        found = self._store.get(JOBS, namespace, name)
        if found is None:
            return None
        spec = found["spec"]
        tier = tier_of(spec["template"]["spec"].get("priorityClassName", ""))
        return JobObject(job=job, suspended=bool(spec.get("suspend")), tier=tier, gpus=8 * int(spec["parallelism"]))

    async def close(self) -> None:
        """Nothing is held."""


def pod_of(pod: dict[str, Any]) -> Pod:
    """A pod in the remediator's words."""
    metadata = pod["metadata"]
    job = metadata["labels"].get(JOB_LABEL, "")
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        node=pod["spec"].get("nodeName"),
        phase=pod["status"]["phase"],
        job=f"{metadata['namespace']}/{job}" if job else None,
        deleting=leaving(pod),
    )
