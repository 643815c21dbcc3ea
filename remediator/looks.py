"""Which instrument shows the effect of which verb, and what a waiting step sees. A playbook cannot choose a weaker proof."""

from collections.abc import Mapping
from typing import Any

from devices.orders import POWER_GOALS
from fleet.errors import HallkeeperError
from fleet.model import AssetId, Kind, Site
from remediator.attempt import Look
from remediator.cluster import NodeObject, Pod
from remediator.conditions import Scene
from remediator.measured import RECORDED, measured
from remediator.proof import Finding, Verdict, off_proven, on_proven, outlet_off_proven, seen
from remediator.record import Record
from remediator.records import Intent
from remediator.sight import Sight
from remediator.verbs import Verb

LOOK_BACK_MS = 2_000
"""The window is asked from a little before the send; the proof itself decides what counts."""


class Looks:
    """Makes the look for an intent, and the scene for a wait."""

    def __init__(self, site: Site, sight: Sight, record: Record | None = None) -> None:
        self._site = site
        self._sight = sight
        self._record = record

    def of(self, intent: Intent) -> Look:
        """How the effect of this intent is seen."""

        async def look(sent_at_ms: int) -> Finding:
            return await self._finding(intent, sent_at_ms)

        return look

    async def _finding(self, intent: Intent, sent_at_ms: int) -> Finding:
        if intent.verb in RECORDED and self._record is not None:
            return await self._record.shows(intent)
        match intent.verb:
            case Verb.EVICT | Verb.EVICT_OVERRIDE | Verb.DELETE_POD:
                return await self._pod_gone(intent)
            case Verb.SUSPEND_JOB | Verb.RESUME_JOB:
                return await self._suspended(intent)
            case Verb.CORDON | Verb.UNCORDON | Verb.TAINT_OUT_OF_SERVICE | Verb.UNTAINT_OUT_OF_SERVICE:
                return await self._node_object(intent)
            case _:
                return self._measured(intent, sent_at_ms)

    def _measured(self, intent: Intent, sent_at_ms: int) -> Finding:
        match intent.verb:
            case Verb.POWER_OFF | Verb.POWER_ON | Verb.RACK_POWER_OFF | Verb.RACK_POWER_ON | Verb.SOFT_OFF:
                return self._power(intent, sent_at_ms)
            case Verb.OUTLET_OFF | Verb.OUTLET_ON:
                return self._outlet(intent, sent_at_ms)
            case Verb.CHECKPOINT:
                return self._checkpointed(intent, sent_at_ms)
            case Verb.GPU_POWER_LIMIT | Verb.REDFISH_POWER_LIMIT | Verb.DCMI_POWER_LIMIT | Verb.DCMI_LIMIT_ON:
                return self._capped(intent, sent_at_ms)
            case _:
                return measured(intent, self._sight, self._site, sent_at_ms)

    def _power(self, intent: Intent, sent_at_ms: int) -> Finding:
        meters = self._sight.outlet_meters(intent.target, sent_at_ms - LOOK_BACK_MS)
        idle = self._site.asset(intent.target).ratings.get("idle_watts", 0.0)
        judge = off_proven if POWER_GOALS[intent.verb] == "off" else on_proven
        return judge(meters, sent_at_ms, idle)

    def _outlet(self, intent: Intent, sent_at_ms: int) -> Finding:
        outlet = self._site.asset(f"{intent.device}#{intent.arguments['outlet']}")
        meter = self._sight.outlet_meter(outlet, sent_at_ms - LOOK_BACK_MS)
        if intent.verb is Verb.OUTLET_OFF:
            return outlet_off_proven(meter, sent_at_ms, OUTLET_OFF_WATTS)
        rows = meter.measured_after(sent_at_ms)
        return Finding(Verdict.PROVEN if len(rows) >= 2 and rows[-1].value > 0 else Verdict.OPEN)

    async def _node_object(self, intent: Intent) -> Finding:
        return _shows(intent.verb, await self._sight.node_object(intent.target))

    async def _pod_gone(self, intent: Intent) -> Finding:
        pods = await self._sight.workload(AssetId(str(intent.arguments["node"])))
        gone = None if pods is None else all(pod.uid != intent.arguments["uid"] for pod in pods)
        return seen(f"pod {intent.arguments['pod']} gone", gone)

    def _checkpointed(self, intent: Intent, sent_at_ms: int) -> Finding:
        labels = {"asset": str(intent.target), "job_id": str(intent.arguments["job"])}
        meter = self._sight.meter("agent_checkpoint_age_seconds", labels, sent_at_ms)
        for reading in meter.measured_after(sent_at_ms):
            if reading.value * 1000 <= reading.at_ms - sent_at_ms:
                return Finding(Verdict.PROVEN, text=f"a checkpoint {reading.value:.0f} s old")
        return Finding(Verdict.OPEN, text="no checkpoint younger than the request")

    def _capped(self, intent: Intent, sent_at_ms: int) -> Finding:
        meters = self._sight.outlet_meters(intent.target, sent_at_ms - LOOK_BACK_MS)
        rows = [meter.measured_after(sent_at_ms) for meter in meters if meter.readings]
        if not rows or any(len(row) < 2 for row in rows):
            return Finding(Verdict.OPEN, text="too few samples after the send")
        total = sum(row[-1].value for row in rows)
        limit = intent.arguments.get("watts") if intent.verb is Verb.DCMI_POWER_LIMIT else None
        ceiling = float(intent.arguments.get("expect_watts", limit if limit is not None else float("inf")))
        verdict = Verdict.PROVEN if total <= ceiling else Verdict.CONTRADICTED
        return Finding(verdict, text=f"its outlets draw {total:.0f} W, expected at most {ceiling:.0f} W")

    async def _suspended(self, intent: Intent) -> Finding:
        cluster = self._sight.cluster
        name = f"{intent.arguments['namespace']}/{intent.arguments['job']}"
        try:
            job = None if cluster is None else await cluster.job(name)
        except HallkeeperError:
            job = None
        wanted = intent.verb is Verb.SUSPEND_JOB
        return seen(
            f"job {name} {'suspended' if wanted else 'resumed'}", None if job is None else job.suspended is wanted
        )

    async def scene(self, target: AssetId, memory: Mapping[str, Any], now_ms: int, *, alerting: bool = True) -> Scene:
        """What a waiting step sees of its node now."""
        node = self._site.asset(target)
        since_ms = int(memory.get("on_sent_at_ms", now_ms)) - LOOK_BACK_MS
        return Scene(
            now_ms=now_ms,
            node=await self._sight.node_object(target) if node.kind is Kind.NODE else None,
            job_pods={job: await self._pods_of(job) for job in sorted(memory.get("jobs", {}))},
            outlets=self._sight.outlet_meters(target, since_ms) if node.kind is Kind.NODE else (),
            uptime=self._sight.meter("agent_up_seconds", {"asset": target}, since_ms),
            gpu_count=self._sight.meter("agent_gpu_count", {"asset": target}, since_ms),
            name=str(target),
            gpus=int(node.ratings.get("gpus", 0)),
            idle_watts=node.ratings.get("idle_watts", 0.0),
            effect_latency_ms=round(node.effect_latency_seconds * 1000),
            bmc=self._sight.meter("bmc_power_state", {"asset": target}, now_ms - LOOK_BACK_MS * 30),
            alerting=alerting,
        )

    async def goal_met(self, verb: Verb, target: AssetId) -> bool:
        """Whether the scheduler shows the goal of a node verb already."""
        return _shows(verb, await self._sight.node_object(target)).verdict is Verdict.PROVEN

    async def workload(self, target: AssetId) -> tuple[Pod, ...] | None:
        """Pods of work on the node, or on every node below the target; None when the scheduler cannot be read."""
        found: list[Pod] = []
        for node in sorted(self._site.graph.nodes_in(target)):
            pods = await self._sight.workload(node)
            if pods is None:
                return None
            found += pods
        return tuple(found)

    async def jobs_on(self, target: AssetId) -> dict[str, int] | None:
        """Each job with a pod on the target and how many pods it has in all; None when that cannot be read."""
        if self._sight.cluster is None:
            return {}
        pods = await self.workload(target)
        if pods is None:
            return None
        jobs = sorted({pod.job for pod in pods if pod.job is not None})
        return {job: max(1, sum(pod.works for pod in await self._pods_of(job))) for job in jobs}

    async def homes(self, target: AssetId) -> dict[str, str]:
        """For a target that is no node: each job below it with one of its nodes, whose agent can be asked about it."""
        if self._site.asset(target).kind is Kind.NODE:
            return {}
        pods = await self.workload(target) or ()
        return {pod.job: pod.node for pod in reversed(pods) if pod.job is not None and pod.node is not None}

    async def _pods_of(self, job: str) -> tuple[Pod, ...]:
        if self._sight.cluster is None:
            return ()
        try:
            return await self._sight.cluster.pods_of(job)
        except HallkeeperError:
            return ()


def _shows(verb: Verb, node: NodeObject | None) -> Finding:
    """Whether the node's own object shows the goal of a verb."""
    match verb:
        case Verb.CORDON:
            return seen("unschedulable", None if node is None else node.unschedulable)
        case Verb.UNCORDON:
            return seen("schedulable", None if node is None else not node.unschedulable)
        case Verb.TAINT_OUT_OF_SERVICE:
            return seen("out of service", None if node is None else node.out_of_service)
        case _:
            return seen("in service", None if node is None else not node.out_of_service)


OUTLET_OFF_WATTS = 5.0
"""Meters show a few watts at zero (default to tune)."""
