"""What the gates look at: one proposal and the facts of this moment, as plain values."""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from fleet.model import AssetId, Domain
from remediator.verbs import TRAITS, ActionClass, Cause, Lane, Mode, Traits, Verb
from remediator.vitals import Drain, Vitals


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One act that a remediation would do now."""

    remediation: str
    incident: str
    playbook: str
    step: str
    lane: Lane
    mode: Mode
    cause: Cause
    verb: Verb
    target: AssetId
    """What the remediation is about."""
    device: AssetId
    """What is commanded: the node itself, a PDU, the scheduler."""
    release: bool = False
    """It gives back what an earlier act took: a cap lifted, a job resumed."""
    asks: bool = False
    """A person must agree whatever the mode says (the rung says so)."""

    @property
    def traits(self) -> Traits:
        return TRAITS[self.verb]

    @property
    def restores(self) -> bool:
        """A circuit breaker never blocks it."""
        return self.release or self.traits.restores

    @property
    def energises(self) -> bool:
        """It adds load."""
        return self.release or self.traits.energises


@dataclass(frozen=True, slots=True)
class Refusal:
    """A gate's no: a code for machines, a text for people."""

    code: str
    text: str
    ask: bool = False
    """A person's approval would lift it."""


class Stop(IntEnum):
    """How far the stop switch is thrown."""

    NONE = 0
    CORRECTIVE = 1
    ALL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Lockout:
    """A technician's lock: it blocks every verb, on included, in every mode."""

    asset: AssetId
    actor: str
    reason: str


class Instrument(StrEnum):
    """Kinds of instrument; two of different kinds are independent of each other."""

    OUTLET_METER = "outlet_meter"
    PHASE_METER = "phase_meter"
    BMC = "bmc"
    AGENT = "agent"
    EXPORTER = "exporter"
    FABRIC = "fabric"
    SCHEDULER = "scheduler"
    COOLANT_METER = "coolant_meter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The newest reading of one instrument about the target."""

    instrument: Instrument
    metric: str
    asset: AssetId
    at_ms: int
    interval_ms: int
    refresh_ms: int = 0
    """How old a value may be inside the device."""
    good: bool = True
    """Quality good: only good is evidence."""
    value: float | None = None
    """What it said, for the decision record; gates do not read it."""

    def age_ms(self, now_ms: int, offset_ms: float) -> float:
        """How old what it says may be, at the worst."""
        return now_ms - self.at_ms + self.refresh_ms + offset_ms

    def holds_ms(self, offset_ms: float, ceiling_ms: int) -> float:
        """How old it may get before it is none."""
        return min(2 * self.interval_ms + self.refresh_ms + offset_ms, ceiling_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """Automation stands still because too much failed at once."""

    code: str
    text: str
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What was done to the target before, in counts."""

    active_seconds: float = 0.0
    """How long the triggering alert has been firing."""
    hold_down_seconds: float = 0.0
    cool_down_left_seconds: float = 0.0
    window_left_seconds: float = 0.0
    """Of the effect latency of an act by another actuator of the same asset whose end is not known."""
    tries: int = 0
    """Intents of this step in this remediation."""
    tries_allowed: int = 2
    cycles_day: int = 0
    cycles_allowed: int = 3
    """Power cycles of one target in 24 hours."""
    remediations_week: int = 0
    remediations_allowed: int = 5
    """Remediations of one target in 7 days: more is a lemon, a person's matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How many of a failure domain may be in remediation."""

    domain: Domain
    allowed: int
    in_use: int
    """Held by other remediations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What is going on in the proposal's class and on its device."""

    running_in_class: int = 0
    running_allowed: int = 8
    running_on_device: int = 0
    device_allowed: int = 1
    sent_last_minute: int = 0
    rate_per_minute: int = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """One limit above the target: what it carries now and what the act and its reversal would make of it."""

    where: str
    limit: float
    load: float | None
    """None: not measured."""
    after_act: float = 0.0
    """Change of load by the act."""
    after_reversal: float = 0.0
    """Change of load once the target is back, against now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobImpact:
    """A job that the act touches."""

    job: str
    gpus: int


class BreakerState(StrEnum):
    """A circuit breaker's three states."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    """One probe is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """The breaker of one domain and class."""

    domain: Domain
    class_: ActionClass
    state: BreakerState
    text: str = ""
    probing: bool = False
    """The one probe of the half-open state is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A person's yes to this remediation."""

    actor: str
    role: str
    plan: str
    """Hash of what was approved."""
    expires_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything the gates may ask, gathered for one proposal at one moment."""

    now_ms: int
    lockouts: tuple[Lockout, ...] = ()
    scope: frozenset[AssetId] = frozenset()
    """The target, the device, and all above and below them that a lockout may name."""
    stop: Stop = Stop.NONE
    protected: frozenset[AssetId] = frozenset()
    bus_lag_ms: float | None = None
    clock_offset_ms: float | None = None
    evidence: tuple[Evidence, ...] = ()
    vitals: Vitals = field(default_factory=Vitals)
    drain: Drain = field(default_factory=Drain)
    freezes: tuple[Freeze, ...] = ()
    inhibited_by: str | None = None
    maintenance: tuple[str, ...] = ()
    history: History = field(default_factory=History)
    budgets: tuple[Budget, ...] = ()
    traffic: Traffic = field(default_factory=Traffic)
    headroom: tuple[Headroom, ...] = ()
    cooling_alerts: tuple[str, ...] = ()
    """Alerts on what cools the target."""
    jobs: tuple[JobImpact, ...] = ()
    breakers: tuple[Breaker, ...] = ()
    approvals: tuple[Approval, ...] = ()
    approvals_needed: int = 1
    plan: str = ""
    """Hash of what would be done: an approval counts for this plan alone."""
    policy_armed: bool = False
    """A pre-armed, unexpired policy covers the act (protective lane, switching)."""
