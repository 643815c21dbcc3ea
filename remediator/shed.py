"""The shed planner: which jobs give how much, in which order, for one PDU's phases. Pure.

Caps first, by whole job (a synchronous job runs at its slowest rank), lowest priority and youngest checkpoint first; then
suspension of what may be suspended; then outlets of hosts that are off already, under a pre-armed policy. Never a running
host's outlet, never T0, never an outlet of T0 or T1.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fleet.model import AssetId
from remediator.playbook import Shed
from remediator.verbs import Verb

DEFAULT_TIER = "T3"
_TIER = re.compile(r"[tT]([0-5])(?![0-9])")
UNTOUCHABLE = frozenset({"T0"})
KEEPS_OUTLETS = frozenset({"T0", "T1"})
GPU_FLOOR_WATTS = 75.0
"""What an idle GPU draws: no cap takes more (recorded idle H100: 66-100 W)."""
CAP_GROUPS = (("T5", "T4", "T3"), ("T2",), ("T1",))
"""A group is capped all the way down before the next one is touched."""


def estimated_gpu_watts(watts: float, idle_watts: float, gpus: int) -> float:
    """One GPU's draw where its agent does not tell: what the node draws beyond idle, and never less than an idle GPU."""
    return max(GPU_FLOOR_WATTS, (watts - idle_watts) / max(1, gpus) + GPU_FLOOR_WATTS)


def tier_of(priority: str) -> str:
    """The tier in a priority class's name (`t2-training`); research where it names none."""
    found = _TIER.match(priority)
    return f"T{found[1]}" if found else DEFAULT_TIER


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLoad:
    """One node of a job, as it can be relieved."""

    node: AssetId
    gpus: int
    gpu_watts: float
    """One GPU's draw now."""
    cap_watts: float
    """One GPU's limit now."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Of the node's load, what each phase of the PDU in question carries; empty where it hangs elsewhere."""
    host_watts: float = 0.0
    """What the host would still draw with its job suspended."""
    watts: float = 0.0
    untouchable: bool = False
    """Locked out or protected: it keeps what it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLoad:
    """One job with a rank on the PDU, with all its nodes wherever they are."""

    job: str
    tier: str
    checkpoint_age_seconds: float | None
    nodes: tuple[NodeLoad, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OffHost:
    """A host that is proven off, under a policy: what its outlets on the PDU still carry."""

    node: AssetId
    outlet: str
    phase: str
    watts: float
    policy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShedAct:
    """One absolute command of the plan."""

    verb: Verb
    target: AssetId
    """The node, or the PDU for an outlet."""
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShedStep:
    """What is done together: a whole job, or one outlet; with what it should relieve, in watts by phase."""

    what: str
    acts: tuple[ShedAct, ...]
    relief_watts: Mapping[str, float]
    policy: str | None = None


def ladder(jobs: Sequence[JobLoad], off_hosts: Iterable[OffHost], shed: Shed) -> tuple[ShedStep, ...]:
    """Every step that is possible now, in the order in which they would be taken."""
    return (*_caps(jobs, shed), *_suspensions(jobs, shed), *_outlets(off_hosts, shed))


def enough(steps: Sequence[ShedStep], need_watts: Mapping[str, float]) -> tuple[ShedStep, ...]:
    """The first steps that together relieve every phase as needed; a step that relieves no needy phase is left out."""
    left = {phase: watts for phase, watts in need_watts.items() if watts > 0}
    chosen: list[ShedStep] = []
    for step in steps:
        if all(watts <= 0 for watts in left.values()):
            break
        if any(left.get(phase, 0.0) > 0 and relief > 0 for phase, relief in step.relief_watts.items()):
            chosen.append(step)
            left = {phase: watts - step.relief_watts.get(phase, 0.0) for phase, watts in left.items()}
    return tuple(chosen)


def _caps(jobs: Sequence[JobLoad], shed: Shed) -> Iterator[ShedStep]:
    reached: dict[str, float] = {}
    for group in CAP_GROUPS:
        for watts in shed.caps_watts:
            for job in _ordered(jobs, [tier for tier in shed.cap_tiers if tier in group]):
                step = _cap(job, watts, reached.get(job.job))
                if step is not None:
                    reached[job.job] = watts
                    yield step


def _cap(job: JobLoad, watts: float, reached: float | None) -> ShedStep | None:
    """The whole job at that limit; None where nothing of it would change. A cap is only ever lowered."""
    nodes = [node for node in job.nodes if not node.untouchable and node.cap_watts > watts]
    if not nodes:
        return None
    acts = tuple(
        ShedAct(verb=Verb.GPU_POWER_LIMIT, target=node.node, arguments={"watts": watts, "job": job.job})
        for node in nodes
    )
    relief: dict[str, float] = {}
    for node in nodes:
        before = min(node.gpu_watts, node.cap_watts if reached is None else reached)
        saved = node.gpus * max(0.0, before - max(watts, GPU_FLOOR_WATTS))
        for phase, share in node.shares.items():
            relief[phase] = relief.get(phase, 0.0) + share * saved
    return ShedStep(what=f"cap {job.job} at {watts:.0f} W a GPU", acts=acts, relief_watts=relief)


def _suspensions(jobs: Sequence[JobLoad], shed: Shed) -> Iterator[ShedStep]:
    for job in _ordered(jobs, [tier for tier in shed.suspend_tiers if tier not in KEEPS_OUTLETS]):
        if any(node.untouchable for node in job.nodes):
            continue
        namespace, _, name = job.job.partition("/")
        relief: dict[str, float] = {}
        for node in job.nodes:
            for phase, share in node.shares.items():
                relief[phase] = relief.get(phase, 0.0) + share * max(0.0, node.watts - node.host_watts)
        act = ShedAct(verb=Verb.SUSPEND_JOB, target=job.nodes[0].node, arguments={"namespace": namespace, "job": name})
        yield ShedStep(what=f"suspend {job.job}", acts=(act,), relief_watts=relief)


def _outlets(off_hosts: Iterable[OffHost], shed: Shed) -> Iterator[ShedStep]:
    if not shed.outlets:
        return
    for host in off_hosts:
        act = ShedAct(verb=Verb.OUTLET_OFF, target=host.node, arguments={"outlet": host.outlet})
        yield ShedStep(
            what=f"outlet {host.outlet} of {host.node}, which is off",
            acts=(act,),
            relief_watts={host.phase: host.watts},
            policy=host.policy,
        )


def _ordered(jobs: Sequence[JobLoad], tiers: Sequence[str]) -> list[JobLoad]:
    """Lowest priority first; within a tier the job that loses least: youngest checkpoint, an unknown one last."""
    chosen = [job for job in jobs if job.tier in tiers and job.tier not in UNTOUCHABLE]
    return sorted(chosen, key=lambda job: (tiers.index(job.tier), _age(job), job.job))


def _age(job: JobLoad) -> float:
    return float("inf") if job.checkpoint_age_seconds is None else job.checkpoint_age_seconds
