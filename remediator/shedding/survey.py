"""What a planner must know: the jobs with their draw, the machines that idle, and what each place of the power tree carries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fleet.model import AssetId


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One node as it can be relieved."""

    node: AssetId
    gpus: int
    gpu_watts: float
    """One GPU's draw now."""
    cap_watts: float
    """One GPU's limit in force."""
    watts: float
    """The whole node at its outlets."""
    idle_watts: float
    """What it draws with its job suspended."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Of its load, what each place above it carries; 1 at the site, less where two feeds share it."""
    untouchable: bool = False
    """Protected or locked out: it keeps what it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One job with all its machines; a synchronous job runs at its slowest rank, so it is relieved as a whole or not."""

    job: str
    tier: str
    """T1 (interactive) to T5 (tests); T0 is never part of a survey."""
    machines: tuple[Machine, ...]
    checkpoint_age_seconds: float | None
    """Work since its last checkpoint, lost when it is suspended without another; None where nobody says."""
    bound: bool = False
    """A rank of it is protected or locked out, read or not: the job is never suspended."""

    @property
    def gpus(self) -> int:
        """All its GPUs."""
        return sum(machine.gpus for machine in self.machines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place of the power tree: what it carries and what it may."""

    name: str
    watts: float
    limit_watts: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All that runs, at one moment."""

    works: Sequence[Work]
    idle: Sequence[Machine] = ()
    """Machines without a job that are on."""
    places: Sequence[Place] = ()
