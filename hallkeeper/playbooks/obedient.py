"""A site in memory that obeys: what its instruments show follows from what was commanded, after a moment."""

import itertools
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from devices.orders import State
from fleet.clock import VirtualClock
from fleet.errors import Unreachable
from fleet.model import AssetId, Kind, Site
from remediator.actuator_client import Answer, IntentMessage
from remediator.cluster import JobObject, NodeObject, Pod
from remediator.verbs import Verb
from rules.query import Sample

BOOT_SECONDS = 240.0
"""An eight-GPU server's POST and boot (default of the simulation)."""
BUSY_SHARE = 0.8
STANDBY_WATTS = 20.0
WIRE_SECONDS = 0.3
RESPAWN_SECONDS = 5.0
JOB = "demo/training"
KEPT = 1_000
_CUT = frozenset({Verb.POWER_OFF, Verb.SOFT_OFF, Verb.RACK_POWER_OFF})
_LIT = frozenset({Verb.POWER_ON, Verb.RACK_POWER_ON})


class Readings:
    """A live window as lists."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], dict[tuple[tuple[str, str], ...], list[Sample]]] = defaultdict(dict)

    def put(self, name: str, value: float, at_ms: int, *, asset: str, **others: str) -> None:
        """One more sample of a series."""
        labels = {"asset": asset, **others}
        row = self._rows[name, asset].setdefault(tuple(sorted(labels.items())), [])
        row.append(Sample(labels, value, at_ms))
        del row[:-KEPT]

    def latest(self, name: str, matchers: Mapping[str, str]) -> Sequence[Sample]:
        """The newest of each series."""
        return [row[-1] for row in self._matching(name, matchers)]

    def since(self, name: str, matchers: Mapping[str, str], since_ms: int) -> Sequence[Sample]:
        """All after a time, oldest first."""
        found = [s for row in self._matching(name, matchers) for s in row[bisect_right(row, since_ms, key=_at) :]]
        return sorted(found, key=_at)

    def _matching(self, name: str, matchers: Mapping[str, str]) -> list[list[Sample]]:
        wanted = {label: str(value) for label, value in matchers.items()}
        if "asset" not in wanted:
            return []
        rows = self._rows.get((name, wanted["asset"]), {})
        return [row for key, row in rows.items() if row and wanted.items() <= dict(key).items()]


def _at(sample: Sample) -> int:
    return sample.at_ms


@dataclass(slots=True)
class Machine:
    """One node."""

    power: bool = True
    hung: bool = False
    booted_ms: int = 0
    ready_at_ms: int = 0
    unschedulable: bool = False
    out_of_service: bool = False
    outlets_off: set[str] = field(default_factory=set)
    cap_share: float = 1.0


class ObedientSite:
    """Scheduler, instruments and actuator of the nodes below one target."""

    def __init__(self, site: Site, target: AssetId, clock: VirtualClock, *, silent: bool) -> None:
        self.site, self.clock, self.readings = site, clock, Readings()
        self.machines = {name: Machine(hung=silent) for name in sorted(site.graph.nodes_in(target))}
        self.sent: list[tuple[int, str, str, dict[str, object]]] = []
        self.refuses: Callable[[str], bool] = lambda _verb: False
        """Whether a verb shall change nothing at the moment."""
        self.dull: Callable[[], bool] = lambda: False
        """Whether no sign of what the step waits for is shown at the moment."""
        self.acted_at_ms: int | None = None
        self._uids = itertools.count(1)
        self._pods: dict[str, str | None] = {f"uid-{next(self._uids)}": str(name) for name in self.machines}
        self._respawns: list[int] = []
        self._answers: dict[str, Answer] = {}
        self._suspended = False
        for machine in self.machines.values():
            machine.booted_ms = clock.now_ms() - 86_400_000

    async def run(self) -> None:
        """Live second by second."""
        while True:
            self.step()
            await self.clock.sleep(1.0)

    def step(self) -> None:
        """One second's readings."""
        now = self.clock.now_ms()
        for uid in [f"uid-{next(self._uids)}" for at in self._respawns if at <= now]:
            self._pods[uid] = "elsewhere"
        self._respawns = [at for at in self._respawns if at > now]
        for name, machine in self.machines.items():
            if machine.out_of_service and not self._alive(machine, now):
                self._end([uid for uid, node in self._pods.items() if node == name])
            self._measure(name, machine, now)

    def _alive(self, machine: Machine, now: int) -> bool:
        return machine.power and not machine.hung and now >= machine.ready_at_ms

    def _measure(self, name: AssetId, machine: Machine, now: int) -> None:
        put, node = self.readings.put, str(name)
        alive = self._alive(machine, now)
        if alive:
            put("agent_heartbeat_timestamp_seconds", now / 1000, now, asset=node)
            put("DCGM_FI_DEV_POWER_USAGE", 100.0, now, asset=node)
            put("agent_up_seconds", (now - machine.booted_ms) / 1000, now, asset=node)
            gpus = self.site.asset(node).ratings.get("gpus", 8)
            put("agent_gpu_count", gpus - 1 if self.dull() else gpus, now, asset=node)
            put("agent_checkpoint_age_seconds", 0.0, now, asset=node, job_id=JOB)
        if not self.dull():
            put("bmc_power_state", float(machine.power), now, asset=node)
        for switch in self.site.of_kind(Kind.SWITCH):
            for port, behind in switch.ports.items():
                if behind == name:
                    put("fabric_port_state", float(alive), now, asset=str(switch.id), port=port)
        outlets = self.site.graph.outlets_of(name)
        lit = [outlet for outlet in outlets if str(outlet.id) not in machine.outlets_off]
        for outlet in outlets:
            watts = self._watts(name, machine, alive=alive) / max(1, len(lit)) if outlet in lit else 0.0
            labels = {"asset": str(outlet.labels["pdu"]), "outlet": str(outlet.labels["outlet"])}
            put("pdu_outlet_power_watts", watts, now, **labels)
            put("pdu_input_power_watts", watts, now, asset=labels["asset"])
            phase = str(round(outlet.ratings.get("phase", 1)))
            put("pdu_phase_current_amperes", watts / 230, now, asset=labels["asset"], phase=phase)

    def _watts(self, name: AssetId, machine: Machine, *, alive: bool) -> float:
        ratings = self.site.asset(name).ratings
        idle = ratings.get("idle_watts", 2000.0)
        if not machine.power:
            return STANDBY_WATTS
        busy = alive and any(node == name for node in self._pods.values())
        return max(idle, BUSY_SHARE * ratings.get("max_watts", 10_000.0) * machine.cap_share) if busy else idle

    # the scheduler (`remediator.cluster.Cluster`)

    async def node(self, name: str) -> NodeObject:
        """One node's object."""
        machine, now = self.machines.get(AssetId(name)), self.clock.now_ms()
        if machine is None:
            raise Unreachable(f"{name} is no node of the scheduler, try one below the target")
        alive = self._alive(machine, now)
        return NodeObject(
            name=name,
            ready=alive and not self.dull(),
            unschedulable=machine.unschedulable,
            out_of_service=machine.out_of_service,
            heartbeat_at_ms=now if alive else now - 60_000,
        )

    async def pods_on(self, node: str) -> tuple[Pod, ...]:
        """Its pods."""
        return tuple(_pod(uid, at) for uid, at in self._pods.items() if at == node)

    async def pods_of(self, job: str) -> tuple[Pod, ...]:
        """A job's pods."""
        return tuple(_pod(uid, at) for uid, at in self._pods.items()) if job == JOB and not self.dull() else ()

    async def job(self, job: str) -> JobObject | None:
        """A job's object."""
        return JobObject(job=job, suspended=self._suspended, gpus=8 * len(self.machines)) if job == JOB else None

    def _end(self, uids: Collection[str]) -> None:
        for uid in uids:
            self._pods.pop(uid, None)
            if not self._suspended:
                self._respawns.append(self.clock.now_ms() + round(RESPAWN_SECONDS * 1000))

    # the actuator (`remediator.actuator_client.Actuator`)

    async def carry_out(self, message: IntentMessage) -> AsyncGenerator[Answer, None]:
        """Each intent once; the devices answer at once and do what they say."""
        if message.intent in self._answers:
            yield self._answers[message.intent]
            return
        now, verb = self.clock.now_ms(), Verb(message.verb)
        self.sent.append((now, message.verb, str(message.asset), dict(message.arguments)))
        refused = self.refuses(message.verb)
        if not refused:
            self.acted_at_ms = now
            self._obey(verb, str(message.asset), message.arguments)
        state = State.REFUSED if refused else State.ACKNOWLEDGED
        text = "shall have no effect here" if refused else ""
        final = Answer(intent=message.intent, state=state, text=text, final=True, sent_at_ms=now)
        self._answers[message.intent] = final
        yield Answer(intent=message.intent, state=State.SENT, sent_at_ms=now)
        await self.clock.sleep(WIRE_SECONDS)
        yield final

    def _obey(self, verb: Verb, asset: str, arguments: Mapping[str, object]) -> None:
        now = self.clock.now_ms()
        machine = self.machines.get(AssetId(str(arguments.get("node", asset))))
        if verb in {Verb.EVICT, Verb.DELETE_POD}:
            self._end([str(arguments["uid"])])
        elif verb is Verb.SUSPEND_JOB:
            self._suspended = True
            self._end(list(self._pods))
        elif verb in {Verb.OUTLET_OFF, Verb.OUTLET_ON}:
            self._outlet(f"{asset}#{arguments['outlet']}", off=verb is Verb.OUTLET_OFF)
        elif machine is not None:
            self._switch(verb, machine, now, arguments)

    def _switch(self, verb: Verb, machine: Machine, now: int, arguments: Mapping[str, object]) -> None:
        if verb in {Verb.CORDON, Verb.UNCORDON}:
            machine.unschedulable = verb is Verb.CORDON
        elif verb in {Verb.TAINT_OUT_OF_SERVICE, Verb.UNTAINT_OUT_OF_SERVICE}:
            machine.out_of_service = verb is Verb.TAINT_OUT_OF_SERVICE
        elif verb in _CUT:
            machine.power, machine.hung = False, False
        elif verb in _LIT or verb is Verb.REBOOT:
            _boot(machine, now)
        elif verb is Verb.GPU_POWER_LIMIT:
            machine.cap_share = min(1.0, float(str(arguments["watts"])) / 700.0)

    def _outlet(self, outlet: str, *, off: bool) -> None:
        name = next(iter(self.site.graph.nodes_in(AssetId(outlet))))
        machine = self.machines[name]
        (machine.outlets_off.add if off else machine.outlets_off.discard)(outlet)
        if len(machine.outlets_off) == len(self.site.graph.outlets_of(name)):
            machine.power, machine.hung = False, False
        elif not off and not machine.power:
            _boot(machine, self.clock.now_ms())


def _boot(machine: Machine, now: int) -> None:
    machine.power, machine.hung = True, False
    machine.ready_at_ms = now + round(BOOT_SECONDS * 1000)
    machine.booted_ms = machine.ready_at_ms


def _pod(uid: str, node: str | None) -> Pod:
    return Pod(namespace="demo", name=f"training-{uid}", uid=uid, node=node, phase="Running", job=JOB)
