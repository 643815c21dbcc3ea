"""Checkpoints of the jobs on the nodes: how old each is, and the ones that were asked for."""

import time
from dataclasses import dataclass, field

import numpy as np

from simulator.jobs import SECONDS_PER_STEP
from simulator.plant import Plant

SHORTEST_SECONDS, LONGEST_SECONDS = 2.0, 5.0
"""How long a checkpoint takes."""
USUAL_INTERVAL_SECONDS = 1_800.0
"""Jobs make one of their own this often."""


@dataclass(slots=True)
class Checkpoint:
    """One asked-for checkpoint."""

    state: str
    intent: str
    at_ms: int
    step: int | None = None
    text: str = ""

    def as_json(self) -> dict[str, object]:
        return {"state": self.state, "intent": self.intent, "at": self.at_ms, "step": self.step, "text": self.text}


@dataclass(slots=True)
class Checkpoints:
    """All jobs' checkpoints, by `namespace/name`."""

    plant: Plant
    _asked: dict[str, Checkpoint] = field(default_factory=dict)
    _made_at: dict[str, float] = field(default_factory=dict)

    def age_seconds(self, job: str) -> float:
        """Seconds since the job's last checkpoint, its own regular ones included."""
        run = self.plant.job_runs.get(job)
        if run is not None:
            return self.plant.now - run.checkpoint_at
        made = self._made_at.setdefault(job, self.plant.now - float(self.plant.rng.uniform(60.0, 900.0)))
        return (self.plant.now - made) % USUAL_INTERVAL_SECONDS

    def of(self, job: str) -> dict[str, object]:
        asked = self._asked.get(job)
        return asked.as_json() if asked else {"state": "none", "intent": None, "at": None, "step": None, "text": ""}

    def ask(self, job: str, intent: str, deadline_seconds: float) -> bool:
        """Start one; False where the job is busy with an earlier one."""
        running = self._asked.get(job)
        if running and running.state == "requested":
            return False
        asked = Checkpoint("requested", intent, _now_ms())
        self._asked[job] = asked
        takes = float(np.interp(self.plant.rng.random(), (0.0, 1.0), (SHORTEST_SECONDS, LONGEST_SECONDS)))
        in_time = takes <= deadline_seconds
        self.plant.after(min(takes, deadline_seconds), lambda: self._finish(job, asked, done=in_time))
        return True

    def _finish(self, job: str, asked: Checkpoint, *, done: bool) -> None:
        asked.at_ms = _now_ms()
        run = self.plant.job_runs.get(job)
        if run is not None and run.waits and self.plant.settings.gang_stall:
            asked.state, asked.text = "failed", "the job stands still"
        elif not done:
            asked.state, asked.text = "failed", "not done within the deadline"
        else:
            asked.state, asked.step = "done", int(run.steps if run else self.plant.now / SECONDS_PER_STEP)
            self._made_at[job] = self.plant.now
            if run is not None:
                run.checkpointed(self.plant.now)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
