"""The cluster behind the API: its objects, and its controllers in virtual time."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from simulator.kube import objects
from simulator.kube.jobs import Jobs
from simulator.kube.kubelets import Kubelets
from simulator.kube.nodes import Nodes
from simulator.kube.pods import Pods
from simulator.kube.store import BUDGETS, JOBS, NAMESPACES, NODES, PRIORITIES, Store
from simulator.reach import Reach
from simulator.workload import Workload


@dataclass(slots=True)
class Cluster:
    """All controllers over one store; `step` runs each once."""

    reach: Reach
    workload: Workload
    store: Store = field(default_factory=Store)
    token: Callable[[], bytes] = field(default=lambda: secrets.token_bytes(8))
    """Draws what makes a pod's name its own."""
    pods: Pods = field(init=False)
    nodes: Nodes = field(init=False)
    jobs: Jobs = field(init=False)
    _kubelets: Kubelets = field(init=False)

    def __post_init__(self) -> None:
        self.pods = Pods(self.reach, self.workload, self.store, token=self.token)
        self.nodes = Nodes(self.pods)
        self.jobs = Jobs(self.pods)
        self._kubelets = Kubelets(self.pods)
        self._fill()

    def _fill(self) -> None:
        """The default workload, running."""
        layout = self.reach.plant.layout
        for namespace in objects.namespaces(layout.jobs):
            self.store.put(NAMESPACES, namespace)
        for priority in objects.priority_classes(layout.jobs):
            self.store.put(PRIORITIES, priority)
        for index in range(layout.node_count):
            self.store.put(NODES, objects.node(layout, index))
        for job in layout.jobs:
            self.store.put(JOBS, objects.job_object(job))
            if job.max_unavailable is not None:
                self.store.put(BUDGETS, objects.budget(job))
        for node, (job, rank) in layout.placement.items():
            pod = self.pods.create(job, rank)
            self.pods.bind(pod, layout.node_index[node])
            self.pods.run(pod)
        self.jobs.step()

    def step(self) -> None:
        """Let every controller look once."""
        self.nodes.step()
        self._kubelets.step()
        self.nodes.collect_garbage()
        self.jobs.step()
        self.jobs.schedule()
