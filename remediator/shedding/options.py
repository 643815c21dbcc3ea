"""The rungs of a site's shedding and what each job gives on each: watts relieved at every place, GPU-seconds lost.

Order from `remediation.md`, section 6: stop admissions; cap what is preemptible and research; cap production training; suspend
preemptible and research; then what a person must allow: suspend training, switch off what idles, cap what serves people.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from remediator.shed import GPU_FLOOR_WATTS
from remediator.shedding.survey import Machine, Survey, Work


class Kind(StrEnum):
    """What is done to a job or a machine."""

    CAP = "cap"
    SUSPEND = "suspend"
    SOFT_OFF = "soft_off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One step of the order: what is done, to which tier, how deep."""

    kind: Kind
    tier: str
    cap_watts: float | None = None
    lead_seconds: float
    """From the order to the watts: caps 3-5 s, checkpoint and suspension up to 45 s, a soft off 1-3 min (section 6)."""
    approval: bool = False
    """A person must allow it first."""

    @property
    def name(self) -> str:
        """In words."""
        depth = "" if self.cap_watts is None else f" to {self.cap_watts:.0f} W a GPU"
        return f"{self.kind.replace('_', ' ')} {self.tier}{depth}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One job (or idle machine) taken to one rung, beyond the rung before."""

    what: str
    """The job's or the machine's name."""
    rung: int
    relief: Mapping[str, float]
    """Watts at each place, beyond what the same job gives on the rungs before."""
    lost_gpu_seconds: float
    """Beyond what it loses on the rungs before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What an act costs, in GPU-seconds. Defaults of ours, to be replaced by what the site measures."""

    hold_seconds: float = 3600.0
    """How long the relief is held."""
    slowdown_exponent: float = 0.5
    """Throughput under a cap is (cap / draw) to this power."""
    resume_seconds: float = 90.0
    """From the order to resume to the first new step: the site's own target."""
    boot_seconds: float = 720.0
    """A machine that idles is missing for that long when it is wanted again: ready within 12 min (P-CYCLE)."""
    unknown_checkpoint_seconds: float = 86_400.0
    """A job that tells no checkpoint may lose a day: it is taken last."""


CAP_SECONDS, SUSPEND_SECONDS, SOFT_OFF_SECONDS = 5.0, 45.0, 180.0
RUNGS: tuple[Rung, ...] = (
    *(
        Rung(kind=Kind.CAP, tier=tier, cap_watts=watts, lead_seconds=CAP_SECONDS)
        for watts in (400.0, 300.0, 200.0)
        for tier in ("T5", "T4", "T3")
    ),
    *(Rung(kind=Kind.CAP, tier="T2", cap_watts=watts, lead_seconds=CAP_SECONDS) for watts in (500.0, 350.0, 200.0)),
    *(Rung(kind=Kind.SUSPEND, tier=tier, lead_seconds=SUSPEND_SECONDS) for tier in ("T5", "T4", "T3")),
    Rung(kind=Kind.SUSPEND, tier="T2", lead_seconds=SUSPEND_SECONDS, approval=True),
    Rung(kind=Kind.SOFT_OFF, tier="idle", lead_seconds=SOFT_OFF_SECONDS, approval=True),
    *(
        Rung(kind=Kind.CAP, tier="T1", cap_watts=watts, lead_seconds=CAP_SECONDS, approval=True)
        for watts in (400.0, 300.0)
    ),
)


def options(survey: Survey, prices: Prices, rungs: Sequence[Rung] = RUNGS) -> tuple[tuple[Option, ...], ...]:
    """For each rung what every job and idle machine gives on it; empty where it gives nothing."""
    found: list[list[Option]] = [[] for _ in rungs]
    for work in survey.works:
        for option in _of_work(work, prices, rungs):
            found[option.rung].append(option)
    for machine in survey.idle:
        for option in _of_idle(machine, prices, rungs):
            found[option.rung].append(option)
    return tuple(tuple(each) for each in found)


def _of_work(work: Work, prices: Prices, rungs: Sequence[Rung]) -> Iterator[Option]:
    """Each rung's relief is what it takes below the depth reached before; a rung that takes nothing is left out."""
    reached: dict[str, float] = {}
    lost = 0.0
    for place, rung in enumerate(rungs):
        if rung.tier != work.tier or rung.kind is Kind.SOFT_OFF:
            continue
        if rung.kind is Kind.SUSPEND and (work.bound or any(machine.untouchable for machine in work.machines)):
            continue
        total = _relief(work, rung)
        beyond = {at: watts - reached.get(at, 0.0) for at, watts in total.items() if watts - reached.get(at, 0.0) > 0}
        if not beyond:
            continue
        price = max(lost, _lost(work, rung, prices))
        yield Option(what=work.job, rung=place, relief=beyond, lost_gpu_seconds=price - lost)
        reached, lost = {**reached, **total}, price


def _relief(work: Work, rung: Rung) -> dict[str, float]:
    found: dict[str, float] = {}
    for machine in work.machines:
        saved = _saved(machine, rung)
        for place, share in machine.shares.items():
            found[place] = found.get(place, 0.0) + share * saved
    return found


def _saved(machine: Machine, rung: Rung) -> float:
    """The watts that one machine no longer draws."""
    if machine.untouchable:
        return 0.0
    if rung.cap_watts is None:
        return max(0.0, machine.watts - machine.idle_watts)
    now = min(machine.gpu_watts, machine.cap_watts)
    return machine.gpus * max(0.0, now - max(rung.cap_watts, GPU_FLOOR_WATTS))


def _lost(work: Work, rung: Rung, prices: Prices) -> float:
    """GPU-seconds against running on as now: slower for as long as it is held, or stopped and rolled back."""
    if rung.cap_watts is not None:
        slowest = min((_pace(machine, rung.cap_watts, prices) for machine in work.machines), default=1.0)
        return work.gpus * prices.hold_seconds * (1.0 - slowest)
    age = work.checkpoint_age_seconds
    rolled_back = prices.unknown_checkpoint_seconds if age is None else age
    return work.gpus * (prices.hold_seconds + rolled_back + prices.resume_seconds)


def _pace(machine: Machine, cap_watts: float, prices: Prices) -> float:
    """The share of its pace that a GPU keeps under a cap."""
    now = min(machine.gpu_watts, machine.cap_watts)
    if machine.untouchable or now <= cap_watts:
        return 1.0
    return float((cap_watts / now) ** prices.slowdown_exponent)


def _of_idle(machine: Machine, prices: Prices, rungs: Sequence[Rung]) -> Iterator[Option]:
    if machine.untouchable or machine.watts <= 0:
        return
    for place, rung in enumerate(rungs):
        if rung.kind is Kind.SOFT_OFF:
            relief = {at: share * machine.watts for at, share in machine.shares.items()}
            lost = machine.gpus * prices.boot_seconds
            yield Option(what=machine.node, rung=place, relief=relief, lost_gpu_seconds=lost)
