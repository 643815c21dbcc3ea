"""How long resuming took by phase, how often things fail, and what both say about checkpoints. Pure.

Source of formulae and of the prior: `remediation.md`, section 5. Waste is three figures that are never added up in silence:
rolled back and blocking, downtime, and what is left (goodput, ETTR).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from remediator.records import Intent, Remediation
from remediator.verbs import Cause, Verb

FAILURES_PER_GPU_HOUR = 419 / (16_384 * 54 * 24)
"""Interruptions of Llama 3's training: 419 in 54 days on 16,384 GPUs."""
RESPAWN_SECONDS = 15.0
"""Fault to respawn order, p99; 8 s when an XID said so (`remediation.md`, section 5.3)."""
XID_RESPAWN_SECONDS = 8.0
RESUME_SECONDS = 90.0
_CORDONS = frozenset({Verb.CORDON, Verb.SLURM_DRAIN, Verb.TAINT})
_FENCES = frozenset({Verb.POWER_OFF, Verb.SOFT_OFF, Verb.OUTLET_OFF})
_RESPAWNS = frozenset({Verb.EVICT, Verb.DELETE_POD, Verb.TAINT_OUT_OF_SERVICE, Verb.SLURM_REQUEUE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """Seconds since the alert's condition first held; None for what did not happen."""

    remediation_id: str
    playbook: str
    target: str
    reported: bool
    """A living node reported the fault (an XID): it need not be proven dead."""
    decided: float | None
    """The first intent is durable: every gate has passed."""
    cordoned: float | None
    fenced: float | None
    """Power is off and proven off."""
    respawn_ordered: float | None
    """The first pod or job was told to run elsewhere."""
    ended: float | None


def phases(state: Remediation) -> Phases:
    """What one remediation took, from its intents."""
    since_ms = int(state.memory.get("alert_since_ms", state.created_at_ms))

    def seconds(at_ms: int | None) -> float | None:
        return None if at_ms is None else (at_ms - since_ms) / 1000

    return Phases(
        remediation_id=state.remediation_id,
        playbook=state.playbook,
        target=state.target,
        reported=state.cause is Cause.REPORTED_FAULT,
        decided=seconds(min((intent.created_at_ms for intent in state.intents), default=None)),
        cordoned=seconds(_first_done(state.intents, _CORDONS)),
        fenced=seconds(_first_done(state.intents, _FENCES)),
        respawn_ordered=seconds(min(_sent(state.intents, _RESPAWNS), default=None)),
        ended=seconds(state.updated_at_ms) if state.ended else None,
    )


def _first_done(intents: Iterable[Intent], verbs: frozenset[Verb]) -> int | None:
    done = (i.closed_at_ms for i in intents if i.verb in verbs and i.outcome == "Succeeded" and i.closed_at_ms)
    return min(done, default=None)


def _sent(intents: Iterable[Intent], verbs: frozenset[Verb]) -> Iterable[int]:
    return (intent.sent_at_ms for intent in intents if intent.verb in verbs and intent.sent_at_ms is not None)


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least that share of them does not exceed; None where there is none."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] if ranked else None


def failures(states: Iterable[Remediation]) -> int:
    """Machines that failed: incidents in which a corrective remediation acted, or would have."""
    return len({state.incident_id for state in states if state.cause in {Cause.SILENCE, Cause.REPORTED_FAULT}})


def failures_per_gpu_hour(count: int, gpu_hours: float) -> float:
    """What was seen, with the published rate as one failure's worth of belief: usable from the first day on."""
    return (count + 1) / (gpu_hours + 1 / FAILURES_PER_GPU_HOUR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waste:
    """Shares of the time of a job."""

    rolled_back_and_blocking: float
    """The site's target is below 0.001."""
    downtime: float

    @property
    def goodput(self) -> float:
        """Effective training time ratio."""
        return 1.0 - self.rolled_back_and_blocking - self.downtime


def waste(*, every_seconds: float, blocking_seconds: float, mtbf_seconds: float, resume_seconds: float) -> Waste:
    """First order: blocking / interval, half an interval a failure, one resumption a failure."""
    return Waste(
        rolled_back_and_blocking=blocking_seconds / every_seconds + every_seconds / 2 / mtbf_seconds,
        downtime=resume_seconds / mtbf_seconds,
    )


def advised_interval_seconds(*, blocking_seconds: float, mtbf_seconds: float) -> float:
    """Young's and Daly's first-order optimum: the square root of twice blocking times MTBF."""
    return math.sqrt(2 * blocking_seconds * mtbf_seconds)


def summary(found: Sequence[Phases]) -> Mapping[str, Mapping[str, float | None]]:
    """p50 and p99 of each phase."""
    names = ("decided", "cordoned", "fenced", "respawn_ordered", "ended")
    rows: dict[str, Mapping[str, float | None]] = {}
    for name in names:
        values = [value for value in (getattr(each, name) for each in found) if value is not None]
        rows[name] = {"p50": quantile(values, 0.50), "p99": quantile(values, 0.99)}
    return rows


def late(found: Iterable[Phases]) -> tuple[Phases, ...]:
    """Remediations whose respawn order came later than it should."""
    return tuple(
        each
        for each in found
        if each.respawn_ordered is not None
        and each.respawn_ordered > (XID_RESPAWN_SECONDS if each.reported else RESPAWN_SECONDS)
    )
