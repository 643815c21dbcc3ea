"""Nodes that run, hang, boot and go off; the instruments that show it every two seconds; a scheduler that replaces pods."""

import asyncio
from dataclasses import dataclass, field
from itertools import count

from fleet.clock import VirtualClock
from fleet.errors import Unreachable
from fleet.model import AssetId, Kind, Site
from remediator.cluster import JobObject, NodeObject, Pod
from tests.unit.remediator.fakes.window import FakeWindow

IDLE_WATTS, BUSY_WATTS, BOOT_WATTS, STANDBY_WATTS = 2000.0, 9000.0, 1600.0, 20.0
BOOT_SECONDS = 20.0
TICK_SECONDS = 2.0


@dataclass
class FakeNode:
    name: str
    state: str = "running"
    busy: bool = False
    partitioned: bool = False
    agent_mute: bool = False
    bmc_mute: bool = False
    bmc_lies: bool = False
    """It says what it was told and does nothing."""
    gpus: int = 8
    cap: float = 700.0
    booted_ms: int = 0
    boot_done_ms: int | None = None
    unschedulable: bool = False
    out_of_service: bool = False
    kubelet_ms: int = 0
    bmc_says: str | None = None
    outlets_off: set[str] = field(default_factory=set)

    def watts(self) -> float:
        match self.state:
            case "off":
                return STANDBY_WATTS
            case "booting":
                return BOOT_WATTS
            case "hung":
                return IDLE_WATTS
            case _:
                return 4400.0 + self.gpus * 0.82 * self.cap if self.busy else IDLE_WATTS

    @property
    def in_band(self) -> bool:
        return self.state == "running" and not self.partitioned

    @property
    def power(self) -> str:
        return "off" if self.state == "off" else "on"


class FakePlant:
    """Everything that the site does without us."""

    def __init__(self, site: Site, clock: VirtualClock, window: FakeWindow) -> None:
        self.site, self.clock, self.window = site, clock, window
        self.nodes = {str(node.id): FakeNode(str(node.id)) for node in site.of_kind(Kind.NODE)}
        self.pods: dict[str, Pod] = {}
        self.jobs: dict[str, JobObject] = {}
        self.checkpoints: dict[tuple[str, str], int] = {}
        self.dead_pdus: set[str] = set()
        self.api_down = False
        self.metering = True
        self.respawns = True
        self._uids = count(1)
        self._pending: list[tuple[int, str]] = []
        for node in self.nodes.values():
            node.kubelet_ms = clock.now_ms()
            node.booted_ms = clock.now_ms() - 86_400_000

    def add_job(self, name: str, nodes: list[str], tier: str = "T2") -> None:
        namespace, _, short = name.partition("/")
        self.jobs[name] = JobObject(job=name, suspended=False, tier=tier, gpus=8 * len(nodes))
        for node in nodes:
            self._start(namespace, short, name, node)
            self.checkpoints[node, name] = self.clock.now_ms() - 600_000

    def _start(self, namespace: str, short: str, job: str, node: str) -> None:
        uid = f"uid-{next(self._uids)}"
        self.pods[uid] = Pod(namespace=namespace, name=f"{short}-{uid}", uid=uid, node=node, phase="Running", job=job)
        self.nodes[node].busy = True

    def hang(self, name: str) -> None:
        self.nodes[name].state = "hung"

    def remove_pod(self, uid: str) -> None:
        """The pod is gone; its job's replacement starts on a free node three seconds later."""
        pod = self.pods.pop(uid, None)
        if pod is None:
            return
        if pod.node is not None and not any(other.node == pod.node for other in self.pods.values()):
            self.nodes[pod.node].busy = False
        if pod.job is not None and not self.jobs[pod.job].suspended:
            self._pending.append((self.clock.now_ms() + 3000, pod.job))

    async def run(self) -> None:
        while True:
            self.tick()
            await self.clock.sleep(TICK_SECONDS)

    def tick(self) -> None:
        now = self.clock.now_ms()
        self._replace(now)
        for node in self.nodes.values():
            if node.state == "booting" and node.boot_done_ms is not None and now >= node.boot_done_ms:
                node.state, node.booted_ms, node.gpus, node.boot_done_ms = "running", now, 8, None
            if node.in_band:
                node.kubelet_ms = now
            if node.out_of_service and node.state != "running":
                for uid in [uid for uid, pod in self.pods.items() if pod.node == node.name]:
                    self.remove_pod(uid)
            self._measure(node, now)
        self._measure_pdus(now)

    def _replace(self, now: int) -> None:
        due = [job for at, job in self._pending if at <= now]
        self._pending = [(at, job) for at, job in self._pending if at > now]
        for job in due:
            free = [
                n.name
                for n in self.nodes.values()
                if not n.unschedulable and n.in_band and not any(p.node == n.name for p in self.pods.values())
            ]
            if free and self.respawns:
                namespace, _, short = job.partition("/")
                self._start(namespace, short, job, free[-1])
            else:
                self._pending.append((now + 2000, job))

    def _measure(self, node: FakeNode, now: int) -> None:
        labels = {"asset": node.name, "node": node.name}
        if node.in_band and not node.agent_mute:
            self.window.put("agent_heartbeat_timestamp_seconds", now / 1000, now, **labels)
            self.window.put("agent_up_seconds", (now - node.booted_ms) / 1000, now, **labels)
            self.window.put("agent_gpu_count", node.gpus, now, **labels)
            for (name, job), at in self.checkpoints.items():
                if name == node.name:
                    self.window.put("agent_checkpoint_age_seconds", (now - at) / 1000, now, job_id=job, **labels)
            self.window.put("DCGM_FI_DEV_POWER_USAGE", 100.0, now, gpu="0", **labels)
        if not (node.partitioned or node.bmc_mute):
            self.window.put("bmc_power_state", 1.0 if (node.bmc_says or node.power) == "on" else 0.0, now, **labels)
        up = 1.0 if node.state == "running" else 0.0
        index = str(int(node.name.removeprefix("dgx-")))
        self.window.put("fabric_port_state", up, now, asset="leaf-1", port=index)

    def outlet_watts(self, outlet: AssetId) -> float:
        asset = self.site.asset(outlet)
        node = next(iter(self.site.graph.nodes_in(outlet)))
        living = [
            o.id
            for o in self.site.graph.outlets_of(node)
            if o.labels["pdu"] not in self.dead_pdus and str(o.id) not in self.nodes[node].outlets_off
        ]
        return self.nodes[node].watts() / len(living) if asset.id in living else 0.0

    def _measure_pdus(self, now: int) -> None:
        if not self.metering:
            return
        for pdu in self.site.of_kind(Kind.PDU):
            if pdu.id in self.dead_pdus:
                continue
            phases, total = {1: 0.0, 2: 0.0, 3: 0.0}, 0.0
            for below in sorted(self.site.graph.downstream(pdu.id)):
                outlet = self.site.asset(below)
                if outlet.kind is not Kind.OUTLET:
                    continue
                watts = self.outlet_watts(outlet.id)
                total += watts
                phases[int(outlet.ratings["phase"])] += watts / pdu.ratings["volts"]
                self.window.put("pdu_outlet_power_watts", watts, now, asset=pdu.id, outlet=outlet.labels["outlet"])
            self.window.put("pdu_input_power_watts", total, now, asset=pdu.id)
            for phase, amperes in phases.items():
                self.window.put("pdu_phase_current_amperes", amperes, now, asset=pdu.id, phase=str(phase))

    # commands, as the devices carry them out

    def execute(self, verb: str, asset: str, arguments: dict[str, object]) -> None:
        now = self.clock.now_ms()
        node = self.nodes.get(str(arguments.get("node", asset)))
        match verb:
            case "power_off" if node is not None:
                node.bmc_says = "off" if node.bmc_lies else None
                node.state = node.state if node.bmc_lies else "off"
            case "power_on" if node is not None:
                node.bmc_says = "on" if node.bmc_lies else None
                if node.state == "off":
                    node.state, node.boot_done_ms = "booting", now + round(BOOT_SECONDS * 1000)
            case "cordon" | "uncordon" if node is not None:
                node.unschedulable = verb == "cordon"
            case "taint_out_of_service" | "untaint_out_of_service" if node is not None:
                node.out_of_service = verb == "taint_out_of_service"
            case "evict" | "delete_pod":
                self.remove_pod(str(arguments["uid"]))
            case "checkpoint":
                self.checkpoints[asset, str(arguments["job"])] = now
            case "gpu_power_limit":
                self.nodes[asset].cap = float(str(arguments["watts"]))
            case "suspend_job" | "resume_job":
                self._suspend(f"{arguments['namespace']}/{arguments['job']}", verb == "suspend_job")
            case "outlet_off" | "outlet_on":
                self._outlet(f"{asset}#{arguments['outlet']}", verb == "outlet_off")
            case _:
                raise AssertionError(f"{verb} of {asset} {arguments}")

    def _suspend(self, job: str, suspended: bool) -> None:
        found = self.jobs[job]
        self.jobs[job] = JobObject(job=job, suspended=suspended, tier=found.tier, gpus=found.gpus)
        if suspended:
            for uid in [uid for uid, pod in self.pods.items() if pod.job == job]:
                self.remove_pod(uid)

    def _outlet(self, outlet: str, off: bool) -> None:
        node = next(iter(self.site.graph.nodes_in(AssetId(outlet))))
        off_now = self.nodes[node].outlets_off
        (off_now.add if off else off_now.discard)(outlet)
        if len(off_now) == len(self.site.graph.outlets_of(node)):
            self.nodes[node].state = "off"

    def read(self, verb: str, asset: str, arguments: dict[str, object]) -> str | None:
        """What the commanded device itself says of the state that the verb is about."""
        node = self.nodes.get(str(arguments.get("node", asset)))
        if verb in {"power_off", "power_on"} and node is not None:
            return node.bmc_says or node.power
        return None


class FakeCluster:
    """The scheduler's API over the plant."""

    def __init__(self, plant: FakePlant) -> None:
        self._plant = plant

    async def _answers(self) -> None:
        await asyncio.sleep(0)
        if self._plant.api_down:
            raise Unreachable("the scheduler does not answer")

    async def node(self, name: str) -> NodeObject:
        await self._answers()
        node = self._plant.nodes[name]
        fresh = self._plant.clock.now_ms() - node.kubelet_ms <= 20_000
        return NodeObject(
            name=name,
            ready=fresh and node.state == "running",
            unschedulable=node.unschedulable,
            out_of_service=node.out_of_service,
            heartbeat_at_ms=node.kubelet_ms,
        )

    async def pods_on(self, node: str) -> tuple[Pod, ...]:
        await self._answers()
        return tuple(pod for pod in self._plant.pods.values() if pod.node == node)

    async def pods_of(self, job: str) -> tuple[Pod, ...]:
        await self._answers()
        return tuple(pod for pod in self._plant.pods.values() if pod.job == job)

    async def job(self, job: str) -> JobObject | None:
        await self._answers()
        return self._plant.jobs.get(job)
