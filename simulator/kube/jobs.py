"""The job controller, the disruption budgets and the scheduler."""

from dataclasses import dataclass

from simulator.kube import objects
from simulator.kube.pods import Pods, healthy, leaving, ready
from simulator.kube.store import BUDGETS, JOBS, NODES, PODS, Object
from simulator.layout import GPUS, Job


@dataclass(slots=True)
class Jobs:
    """One step: missing ranks get pods, suspended jobs lose theirs, pods without a node get one."""

    pods: Pods

    def step(self) -> None:
        grouped = self.pods.by_job()
        for job in self.pods.reach.plant.layout.jobs:
            item = self.pods.store.get(JOBS, job.namespace, job.name)
            assert item is not None
            pods = grouped.get(job.key, [])
            self._write_status(item, self._reconcile(job, item, pods))
            self._write_budget(job, pods)

    def _reconcile(self, job: Job, item: Object, pods: list[Object]) -> list[Object]:
        """A rank gets a new pod only after its old pod object has gone (podReplacementPolicy Failed)."""
        if item["spec"].get("suspend"):
            for pod in pods:
                self.pods.delete(pod, int(pod["spec"]["terminationGracePeriodSeconds"]))
            return pods
        taken = {self.pods.binding(pod).process.rank for pod in pods}
        return pods + [self.pods.create(job, rank) for rank in range(job.ranks) if rank not in taken]

    def _write_status(self, item: Object, pods: list[Object]) -> None:
        suspended = bool(item["spec"].get("suspend"))
        terminating = sum(map(leaving, pods))
        counts = {"active": len(pods) - terminating, "ready": healthy(pods), "terminating": terminating}
        changed = objects.set_condition(
            item, "Suspended", str(suspended), "JobSuspended" if suspended else "JobResumed"
        )
        if changed or any(item["status"].get(name) != value for name, value in counts.items()):
            item["status"].update(counts)
            self.pods.store.put(JOBS, item)

    def _write_budget(self, job: Job, pods: list[Object]) -> None:
        item = self.pods.store.get(BUDGETS, job.namespace, job.name)
        if item is None:
            return
        current, desired = healthy(pods), int(item["status"]["desiredHealthy"])
        status = {"currentHealthy": current, "disruptionsAllowed": max(0, current - desired)}
        if any(item["status"][name] != value for name, value in status.items()):
            item["status"].update(status)
            self.pods.store.put(BUDGETS, item)

    def disruptions_allowed(self, pod: Object) -> int | None:
        """How many ready pods of this one's job may go now; below 0 where too many are missing already; None without a budget."""
        job = self.pods.job_of(pod)
        item = self.pods.store.get(BUDGETS, job.namespace, job.name)
        if item is None:
            return None
        return healthy(self.pods.by_job()[job.key]) - int(item["status"]["desiredHealthy"])

    def schedule(self) -> None:
        """Bind pods to nodes by priority; a node is free when no pod, not even a leaving one, is on it."""
        pending = self.pods.unbound()
        if not pending:
            return
        free = self._free_nodes()
        for pod in pending:
            if free:
                self.pods.bind(pod, free.pop(0))
            elif objects.set_condition(pod, "PodScheduled", "False", "Unschedulable", f"no node has {GPUS} free GPUs"):
                self.pods.store.put(PODS, pod)

    def _free_nodes(self) -> list[int]:
        index, taken = self.pods.reach.plant.layout.node_index, self.pods.by_node()
        return [
            index[name]
            for node in self.pods.store.all(NODES)
            if (name := node["metadata"]["name"]) not in taken and self._takes_pods(node)
        ]

    @staticmethod
    def _takes_pods(node: Object) -> bool:
        if not ready(node) or node["spec"].get("unschedulable"):
            return False
        tainted = any(taint.get("effect") in ("NoSchedule", "NoExecute") for taint in node["spec"].get("taints", ()))
        return not tainted and int(node["status"]["allocatable"][objects.GPU]) >= GPUS
