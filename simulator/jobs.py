"""How jobs get on: steps, checkpoints, stalls. A gang stands still as soon as one of its ranks does."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulator.layout import Job
from simulator.plant import Plant

SECONDS_PER_STEP = 6.0
"""Within the 1 to 20 s of the reference."""
RESTART_SECONDS = 45.0
"""From all ranks being there to the load of the checkpoint: 30 s for processes and links, 15 s to load [reference, the 90 s budget]."""
STALLED_WATTS = 120.0
"""A GPU that waits for its peers: below the 150 W at which a hang is told [reference, A33]."""
CHECKPOINT_SECONDS = 1_800.0
"""Jobs write a checkpoint of their own this often."""


Healthy = NDArray[np.bool_] | None
Slowness = NDArray[np.float64] | None


@dataclass(slots=True)
class JobRun:
    """One job's course; times are the plant's."""

    job: Job
    nodes: NDArray[np.intp]
    """Where its ranks run, by rank; fewer than its ranks while some have no place."""
    ranks: tuple[int, ...]
    steps: float = 0.0
    step_seconds: float = SECONDS_PER_STEP
    """Duration of the last step."""
    last_step_at: float = 0.0
    checkpoint_steps: float = 0.0
    checkpoint_at: float = 0.0
    alive: int = 0
    """Ranks whose host runs, with all of its GPUs."""
    stalled: bool = False
    restarting_seconds: float = 0.0
    """What is left of a restart."""
    restarts: int = 0
    rolled_back_seconds: float = 0.0
    """Work done twice."""
    down_seconds: float = 0.0
    """Time in which no step was made."""
    _broken: bool = False

    def moved(self, nodes: NDArray[np.intp], ranks: tuple[int, ...]) -> None:
        """Its ranks run elsewhere, or some are gone: a gang has to begin anew from its checkpoint."""
        if self.job.gang and (ranks != self.ranks or not np.array_equal(nodes, self.nodes)):
            self._broken = True
        self.nodes, self.ranks = nodes, ranks

    def step(self, seconds: float, now: float, healthy: Healthy, slowness: Slowness) -> None:
        """Let time pass. `healthy` and `slowness` are over the site's nodes, None where all are well and equally fast."""
        self.alive = len(self.nodes) if healthy is None else int(healthy[self.nodes].sum())
        complete = len(self.ranks) == self.job.ranks and self.alive == len(self.nodes)
        self.stalled = not complete if self.job.gang else self.alive == 0
        if self.stalled:
            self.down_seconds += seconds
            return
        if self._broken:
            self._begin_anew()
        if self.restarting_seconds > 0.0:
            self.restarting_seconds -= seconds
            self.down_seconds += seconds
            return
        self._advance(seconds, now, slowness)

    def _begin_anew(self) -> None:
        self._broken = False
        self.restarts += 1
        self.restarting_seconds = RESTART_SECONDS
        self.rolled_back_seconds += (self.steps - self.checkpoint_steps) * SECONDS_PER_STEP
        self.steps = self.checkpoint_steps

    def _advance(self, seconds: float, now: float, slowness: Slowness) -> None:
        slow = 1.0
        if slowness is not None:
            of_ranks = slowness[self.nodes]
            slow = float(of_ranks.max() if self.job.gang else np.median(of_ranks))
        self.step_seconds = SECONDS_PER_STEP * slow
        share = 1.0 if self.job.gang else self.alive / self.job.ranks
        before = int(self.steps)
        self.steps += seconds / self.step_seconds * share
        if int(self.steps) != before:
            self.last_step_at = now
        if now - self.checkpoint_at >= CHECKPOINT_SECONDS:
            self.checkpointed(now)

    def checkpointed(self, now: float) -> None:
        """A checkpoint is complete: nothing before it is ever lost."""
        self.checkpoint_steps, self.checkpoint_at = self.steps, now

    @property
    def waits(self) -> bool:
        """Whether its GPUs wait: for a rank, or for a checkpoint to be loaded."""
        return self.stalled or self.restarting_seconds > 0.0


@dataclass(slots=True)
class Jobs:
    """All runs of a site."""

    plant: Plant
    runs: dict[str, JobRun] = field(default_factory=dict)

    def place(self, job: Job, ranks: dict[int, int]) -> None:
        """Where a job's ranks run: rank → node."""
        order = tuple(sorted(ranks))
        nodes = np.array([ranks[rank] for rank in order], dtype=np.intp)
        run = self.runs.get(job.key)
        if run is None:
            now = self.plant.now
            made = now - float(self.plant.rng.uniform(60.0, 900.0))
            steps = 100_000.0
            self.runs[job.key] = JobRun(
                job, nodes, order, steps=steps, last_step_at=now, checkpoint_at=made,
                checkpoint_steps=steps - (now - made) / SECONDS_PER_STEP,
            )  # fmt: skip
        else:
            run.moved(nodes, order)

    def step(self, seconds: float) -> list[JobRun]:
        """Let all get on; those that began or ceased to wait."""
        healthy: Healthy = self.plant.healthy()
        if healthy is not None and healthy.all():
            healthy = None
        slowness: Slowness = self.plant.slowness()
        if slowness is not None and slowness.max() <= 1.0:
            slowness = None
        changed = []
        for run in self.runs.values():
            waited = run.waits
            run.step(seconds, self.plant.now, healthy, slowness)
            if run.waits != waited:
                changed.append(run)
        return changed
