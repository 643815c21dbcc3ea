"""What a node's agent is asked to do to the machine itself: reset GPUs, restart the operating system; once an intent."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from simulator.layout import GPUS
from simulator.machines import NodeState
from simulator.nodeagent.requests import GpuResetRequest, RebootRequest, Refusal
from simulator.plant import GPU_RESET_SECONDS, Plant


@dataclass(slots=True)
class Repair:
    """The last repair that this machine was asked for."""

    state: str = "none"
    intent: str | None = None
    verb: str | None = None
    taken_in: str | None = None
    at: int | None = None
    text: str = ""
    boots: int = 0


@dataclass(slots=True)
class Repairs:
    """Of one node."""

    plant: Plant
    node: int
    boot_id: Callable[[], str]
    busy_jobs: Callable[[], list[str]]
    now_ms: Callable[[], int]
    last: Repair = field(default_factory=Repair)
    _asked: dict[str, str] = field(default_factory=dict)
    """Intent → what it asked for."""

    def as_json(self) -> dict[str, object]:
        """GET /v1/repair."""
        self._after_reboot()
        last = self.last
        return {
            "boot_id": self.boot_id(), "state": last.state, "intent": last.intent, "verb": last.verb, "taken_in": last.taken_in,
            "at": last.at, "text": last.text,
        }  # fmt: skip

    def reset(self, wanted: GpuResetRequest) -> bool:
        """Take a reset; False where this intent was taken before. Raises `Refusal`."""
        present = self.plant.machines.present[self.node]
        gpus = [gpu for gpu in range(GPUS) if present[gpu]] if wanted.gpus is None else sorted(set(wanted.gpus))
        absent = [gpu for gpu in gpus if not present[gpu]]
        if absent or not gpus:
            raise Refusal(422, f"GPU {absent} is not on this node", f"one of {np.flatnonzero(present).tolist()}")
        if self.busy_jobs() and wanted.intent not in self._asked:
            raise Refusal(409, f"job {self.busy_jobs()[0]} holds a GPU", "draining the node first")
        if not self._take(wanted.intent, "gpu_reset", f"reset {gpus}", wanted.boot_id):
            return False
        repair = self.last
        self.plant.reset_gpus(self.node, gpus)
        self.plant.after(GPU_RESET_SECONDS, lambda: self._done(repair))
        return True

    def reboot(self, wanted: RebootRequest) -> bool:
        """Take a restart; False where this intent was taken before. Raises `Refusal`."""
        if not self._take(wanted.intent, "reboot", "reboot", wanted.boot_id):
            return False
        self.plant.reboot(self.node)
        return True

    def _take(self, intent: str, verb: str, said: str, boot_id: str) -> bool:
        self._after_reboot()
        if boot_id != self.boot_id():
            raise Refusal(409, "the machine has restarted since", "a new intent")
        known = self._asked.get(intent)
        if known is not None and known != said:
            raise Refusal(409, f"intent {intent} asked for something else before", "a new intent")
        if known is not None:
            return False
        if self.last.state == "running":
            raise Refusal(409, "another repair is under way", "again when it has ended")
        self._asked[intent] = said
        boots = int(self.plant.machines.boots[self.node])
        self.last = Repair("running", intent, verb, boot_id, self.now_ms(), boots=boots)
        return True

    def _done(self, repair: Repair) -> None:
        if repair.state == "running":
            lives = self.plant.machines.state[self.node] == NodeState.RUNNING
            repair.state, repair.text = ("done", "") if lives else ("failed", "the node stopped in the middle")
            repair.at = self.now_ms()

    def _after_reboot(self) -> None:
        """A machine that has started anew has ended what was under way."""
        last = self.last
        if last.state == "running" and int(self.plant.machines.boots[self.node]) != last.boots:
            ended = last.verb == "reboot"
            last.state, last.at = ("done" if ended else "failed"), self.now_ms()
            last.text = "the machine restarted" if ended else "the machine restarted in the middle"
