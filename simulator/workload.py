"""The processes of jobs on nodes: what runs where in truth, whatever any API believes."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulator.jobs import STALLED_WATTS, Jobs
from simulator.layout import Job
from simulator.machines import NodeState
from simulator.plant import Plant

POISON_SECONDS = 20.0
"""How long a host survives a job that crashes it: a default of ours."""


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
    jobs: Jobs = field(init=False)
    _on: dict[int, dict[str, Process]] = field(default_factory=dict)
    """Node → pod uid → process."""
    _noted: set[tuple[object, ...]] = field(default_factory=set)
    _moved: dict[str, Job] = field(default_factory=dict)
    """Jobs whose processes came or went since the last sweep."""
    _swept_at: float = 0.0
    _states: NDArray[np.int8] = field(init=False)

    def __post_init__(self) -> None:
        self.jobs = Jobs(self.plant, self.plant.job_runs)
        self._states = np.zeros(0, dtype=np.int8)
        self._swept_at = self.plant.now

    def start(self, node: int, uid: str, process: Process) -> None:
        """A process begins on a node."""
        self._on.setdefault(node, {})[uid] = process
        self._moved[process.job.key] = process.job
        self._set_demand(node)
        if process.job.key in self.plant.poisoned:
            self.plant.after(POISON_SECONDS, lambda: self._poison(node, uid))

    def stop(self, node: int, uid: str) -> None:
        """A process ended, or was killed by its kubelet."""
        process = self._on.get(node, {}).pop(uid, None)
        if process:
            self._moved[process.job.key] = process.job
            self._set_demand(node)

    def _poison(self, node: int, uid: str) -> None:
        if self.has(node, uid):
            self.plant.hang(node)

    def has(self, node: int, uid: str) -> bool:
        return uid in self._on.get(node, {})

    def uids_on(self, node: int) -> set[str]:
        return set(self._on.get(node, ()))

    def sweep(self) -> None:
        """What ran on a host that is off or boots is gone; a rank on two living hosts is noted, once for each pair.

        Then jobs get on by the time since the last sweep, and those that wait let their GPUs rest.
        """
        for node in np.flatnonzero(self.plant.machines.state <= NodeState.BOOTING).tolist():
            gone = self._on.pop(node, None)
            if gone:
                self._moved |= {process.job.key: process.job for process in gone.values()}
                self._set_demand(node)
        self._look_for_twins()
        self._get_on()

    def _look_for_twins(self) -> None:
        state = self.plant.machines.state
        if not self._moved and np.array_equal(state, self._states):
            return
        self._states = state.copy()
        seen: dict[tuple[str, int], int] = {}
        for node, processes in self._on.items():
            if self.plant.machines.state[node] != NodeState.RUNNING:
                continue
            for process in processes.values():
                twin = seen.setdefault((process.job.key, process.rank), node)
                if twin != node:
                    self._note_twin(process, twin, node)

    def _get_on(self) -> None:
        now = self.plant.now
        seconds, self._swept_at = now - self._swept_at, now
        for job in self._moved.values():
            self.jobs.place(job, self._ranks_of(job))
        waits = self.jobs.step(seconds)
        if self.plant.settings.gang_stall:
            for node in {int(node) for run in waits for node in run.nodes}:
                self._set_demand(node)
        if self._moved:
            for node in list(self._on):
                self._set_demand(node)
        self._moved.clear()

    def _ranks_of(self, job: Job) -> dict[int, int]:
        return {
            process.rank: node
            for node, processes in self._on.items()
            for process in processes.values()
            if process.job.key == job.key
        }

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
            (self._watts(one.job) for one in self._on.get(node, {}).values()), default=0.0
        )

    def _watts(self, job: Job) -> float:
        """What a job asks of each GPU: little while it waits, where gangs stall here."""
        run = self.jobs.runs.get(job.key)
        stalls = self.plant.settings.gang_stall and run is not None and run.waits
        return STALLED_WATTS if stalls else job.demand_watts
