"""The processes of jobs on nodes: what runs where in truth, whatever any API believes."""

from dataclasses import dataclass, field

import numpy as np

from simulator.layout import Job
from simulator.machines import NodeState
from simulator.plant import Plant


@dataclass(frozen=True, slots=True)
class Process:
    """One rank of a job."""

    job: Job
    rank: int


@dataclass(slots=True)
class Workload:
    """Processes by node; sets the GPUs' demand, and notes when one rank ever runs twice."""

    plant: Plant
    second_writers: list[dict[str, object]] = field(default_factory=list)
    """Every moment at which a rank was found alive on two nodes: must stay empty, whatever happens."""
    _on: dict[int, dict[str, Process]] = field(default_factory=dict)
    """Node → pod uid → process."""
    _noted: set[tuple[object, ...]] = field(default_factory=set)

    def start(self, node: int, uid: str, process: Process) -> None:
        """A process begins on a node."""
        self._on.setdefault(node, {})[uid] = process
        self._set_demand(node)

    def stop(self, node: int, uid: str) -> None:
        """A process ended, or was killed by its kubelet."""
        if self._on.get(node, {}).pop(uid, None):
            self._set_demand(node)

    def has(self, node: int, uid: str) -> bool:
        return uid in self._on.get(node, {})

    def uids_on(self, node: int) -> set[str]:
        return set(self._on.get(node, ()))

    def sweep(self) -> None:
        """What ran on a host that is off is gone; a rank that runs on two living hosts is noted, once for each pair."""
        for node in np.flatnonzero(self.plant.machines.state == NodeState.OFF).tolist():
            if self._on.pop(node, None):
                self._set_demand(node)
        seen: dict[tuple[str, int], int] = {}
        for node, processes in self._on.items():
            if self.plant.machines.state[node] != NodeState.RUNNING:
                continue
            for process in processes.values():
                twin = seen.setdefault((process.job.key, process.rank), node)
                if twin != node:
                    self._note_twin(process, twin, node)

    def _note_twin(self, process: Process, first: int, second: int) -> None:
        mark = (process.job.key, process.rank, *sorted((first, second)))
        if mark not in self._noted:
            self._noted.add(mark)
            names = [self.plant.layout.nodes[node] for node in (first, second)]
            self.second_writers.append(
                {"job": process.job.key, "rank": process.rank, "nodes": names, "seconds": self.plant.now}
            )

    def jobs_on(self, node: str) -> list[str]:
        """Jobs with a process on a node, as namespace/name."""
        return sorted({one.job.key for one in self._on.get(self.plant.layout.node_index[node], {}).values()})

    def _set_demand(self, node: int) -> None:
        self.plant.machines.demand[node] = max(
            (one.job.demand_watts for one in self._on.get(node, {}).values()), default=0.0
        )
