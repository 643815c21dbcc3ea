"""What a waiting step waits for: pure functions over what is seen now and what the remediation remembers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remediator.cluster import NodeObject, Pod
from remediator.playbook import Condition
from remediator.proof import Finding, Meter, Verdict, off_proven, on_proven

BOOT_SLACK_SECONDS = 5.0
"""An uptime may exceed the time since power-on by the clock's and the agent's rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is seen of one node while a step waits."""

    now_ms: int
    node: NodeObject | None
    job_pods: Mapping[str, Sequence[Pod]]
    """The pods of each job that had one on the node."""
    outlets: Sequence[Meter]
    uptime: Meter
    gpu_count: Meter
    name: str
    gpus: int
    idle_watts: float
    effect_latency_ms: int
    bmc: Meter | None = None
    alerting: bool = True


def judged(condition: Condition, scene: Scene, memory: Mapping[str, Any]) -> Finding:
    """Whether it holds (proven), not yet (open), or can no more (contradicted)."""
    return _CONDITIONS[condition](scene, memory)


def _replacement_running(scene: Scene, memory: Mapping[str, Any]) -> Finding:
    wanted: Mapping[str, int] = memory.get("jobs", {})
    for job, count in wanted.items():
        running = sum(_runs_elsewhere(pod, scene.name) for pod in scene.job_pods.get(job, ()))
        if running < count:
            return Finding(Verdict.OPEN, text=f"{job}: {running} of {count} pods run elsewhere")
    return Finding(Verdict.PROVEN, text=f"the pods of {len(wanted)} jobs run elsewhere")


def _runs_elsewhere(pod: Pod, node: str) -> bool:
    return pod.phase == "Running" and not pod.deleting and pod.node not in {None, node}


def _stays_on(scene: Scene, memory: Mapping[str, Any]) -> Finding:
    on_at = int(memory.get("on_sent_at_ms", 0))
    proven_at = int(memory.get("on_proven_at_ms", on_at))
    off = off_proven(scene.outlets, proven_at, scene.idle_watts)
    if off.verdict is Verdict.PROVEN:
        return Finding(Verdict.CONTRADICTED, off.lines, "it went off again after it was switched on")
    if scene.now_ms < on_at + scene.effect_latency_ms:
        return Finding(Verdict.OPEN, text="a late effect is still possible")
    return on_proven(scene.outlets, on_at, scene.idle_watts)


def _new_boot(scene: Scene, memory: Mapping[str, Any]) -> Finding:
    on_at = int(memory.get("on_sent_at_ms", 0))
    rows = scene.uptime.measured_after(on_at)
    if not rows:
        return Finding(Verdict.OPEN, text="its agent does not answer yet")
    last = rows[-1]
    if last.value <= (last.at_ms - on_at) / 1000 + BOOT_SLACK_SECONDS:
        return Finding(Verdict.PROVEN, text=f"its agent answers, up for {last.value:.0f} s")
    return Finding(Verdict.OPEN, text=f"its agent answers and is up for {last.value:.0f} s: not booted since")


def _node_ready(scene: Scene, memory: Mapping[str, Any]) -> Finding:
    if scene.node is None or not scene.node.ready:
        return Finding(Verdict.OPEN, text="the scheduler does not see it ready")
    since = int(memory.get("on_sent_at_ms", 0))
    if scene.node.heartbeat_at_ms is not None and scene.node.heartbeat_at_ms <= since:
        return Finding(Verdict.OPEN, text="the scheduler's word is from before")
    return Finding(Verdict.PROVEN, text="ready in the scheduler")


def _all_gpus(scene: Scene, memory: Mapping[str, Any]) -> Finding:
    rows = scene.gpu_count.measured_after(int(memory.get("on_sent_at_ms", 0)))
    counts = [int(reading.value) for reading in rows]
    if len(counts) >= 2 and all(count == scene.gpus for count in counts):
        return Finding(Verdict.PROVEN, text=f"{counts[-1]} of {scene.gpus} GPUs")
    return Finding(Verdict.OPEN, text=f"{counts[-1] if counts else 'no'} of {scene.gpus} GPUs seen")


def _bmc_answers(scene: Scene, memory: Mapping[str, Any]) -> Finding:
    rows = scene.bmc.measured_after(int(memory.get("reset_sent_at_ms", 0))) if scene.bmc is not None else ()
    if len(rows) >= 2:
        return Finding(Verdict.PROVEN, text="its BMC answers")
    return Finding(Verdict.OPEN, text="its BMC does not answer yet")


def _alert_clear(scene: Scene, _memory: Mapping[str, Any]) -> Finding:
    if scene.alerting:
        return Finding(Verdict.OPEN, text="its alert still fires")
    return Finding(Verdict.PROVEN, text="its alert does not fire any more")


def _rest(scene: Scene, memory: Mapping[str, Any]) -> Finding:
    left_ms = int(memory.get("wait_until_ms", 0)) - scene.now_ms
    if left_ms > 0:
        return Finding(Verdict.OPEN, text=f"{left_ms / 1000:.0f} s to go")
    return Finding(Verdict.PROVEN, text="its time is over")


_CONDITIONS: dict[Condition, Callable[[Scene, Mapping[str, Any]], Finding]] = {
    Condition.REPLACEMENT_RUNNING: _replacement_running,
    Condition.STAYS_ON: _stays_on,
    Condition.NEW_BOOT: _new_boot,
    Condition.NODE_READY: _node_ready,
    Condition.ALL_GPUS: _all_gpus,
    Condition.BMC_ANSWERS: _bmc_answers,
    Condition.ALERT_CLEAR: _alert_clear,
    Condition.REST: _rest,
}
