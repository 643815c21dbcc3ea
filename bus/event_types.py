"""The events: what each type says, its key and its derived id. `bus.events` puts them into CloudEvents 1.0 JSON.

Every struct keeps the fields that a newer release added and this one does not know (`unknown`), and gives them back when it
is encoded again. All times are Unix milliseconds.
"""

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

import msgspec

from bus.identity import derived_id

NOT_FINITE: Final = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}
"""Values that JSON cannot carry, as Prometheus writes them; `float()` reads them back."""

WHOLE_STATE_BYTES: Final = 1 << 20
"""Bytes of an event that carries a whole state: 375 nodes behind one feed are one incident of about 0.5 kB an alert."""

Severity: TypeAlias = Literal["info", "warning", "critical"]
_Name = Annotated[str, msgspec.Meta(min_length=1)]


class Open(msgspec.Struct, kw_only=True, frozen=True):
    """A struct that keeps what it does not know."""

    unknown: dict[str, Any] = {}
    """Fields of a newer release, as they came; never on the wire under this name."""


class Event(Open, kw_only=True, frozen=True):
    """What all events share."""

    TYPE: ClassVar[str]
    ORIGIN: ClassVar[str]
    """The CloudEvents `source`: the room, not the worker, so that two workers say the same."""
    SIZE_LIMIT: ClassVar[int] = 64 << 10
    """Bytes of one event."""

    envelope: dict[str, Any] = {}
    """CloudEvents attributes of a newer release or of another producer, as they came."""

    def key(self) -> str:
        """What the record is keyed by on its topic."""
        raise NotImplementedError

    def event_id(self) -> str:
        """The derived CloudEvents id."""
        raise NotImplementedError

    def time_ms(self) -> int:
        """When it happened."""
        raise NotImplementedError


class DeviceEvent(Event, kw_only=True, frozen=True):
    """What a device or a cluster told by itself: a trap, a SEL record, an XID, a condition."""

    TYPE: ClassVar[str] = "io.hallkeeper.device.v1"
    ORIGIN: ClassVar[str] = "/hallkeeper/collectors"

    asset: _Name
    source: str
    """`asset/endpoint` that told it."""
    kind: _Name
    """`xid`, `sel`, `boot`, `pod`, `node`, …"""
    code: str
    severity: Severity
    text: str
    at_ms: int
    labels: dict[str, str] = {}

    def key(self) -> str:
        return self.asset

    def event_id(self) -> str:
        labels = [f"{name}={self.labels[name]}" for name in sorted(self.labels)]
        return derived_id(self.asset, self.source, self.kind, self.code, self.at_ms, self.text, *labels)

    def time_ms(self) -> int:
        return self.at_ms


class AlertState(StrEnum):
    """Where an alert stands; `unknown` ends one whose device fell silent past its hold."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"
    UNKNOWN = "unknown"


class AlertEvent(Event, kw_only=True, frozen=True):
    """One transition of an alert."""

    TYPE: ClassVar[str] = "io.hallkeeper.alert.v1"
    ORIGIN: ClassVar[str] = "/hallkeeper/rules"

    alert_id: _Name
    rule: _Name
    """The rule's uid: `<path below the rules folder>/<group>/<alert>`."""
    alertname: str
    state: AlertState
    severity: str
    labels: dict[str, str]
    annotations: dict[str, str]
    value: float | Literal["NaN", "+Inf", "-Inf"]
    """What the expression gave; `float(event.value)` is always a number."""
    active_since_ms: int
    evaluated_at_ms: int
    fingerprint: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    group_interval_seconds: float
    trace: str = ""

    def __post_init__(self) -> None:
        """A value that JSON cannot carry is kept as Prometheus writes it."""
        if repr(self.value) in NOT_FINITE:
            msgspec.structs.force_setattr(self, "value", NOT_FINITE[repr(self.value)])

    def key(self) -> str:
        return self.alert_id

    def event_id(self) -> str:
        return derived_id(self.alert_id, self.state, self.active_since_ms)

    def time_ms(self) -> int:
        return self.evaluated_at_ms


class IncidentState(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    ACTING = "acting"
    VERIFYING = "verifying"
    RESOLVED = "resolved"
    ESCALATED = "escalated"


class IncidentAlert(Open, kw_only=True, frozen=True):
    """One alert of an incident."""

    alert_id: str
    rule: str
    alertname: str
    asset: str
    state: AlertState
    severity: str = "warning"
    labels: dict[str, str]
    annotations: dict[str, str]
    since_ms: int


class Moment(Open, kw_only=True, frozen=True):
    """One line of an incident's timeline."""

    at_ms: int
    kind: str
    text: str


class IncidentEvent(Event, kw_only=True, frozen=True):
    """One transition of an incident, with its whole state."""

    TYPE: ClassVar[str] = "io.hallkeeper.incident.v1"
    ORIGIN: ClassVar[str] = "/hallkeeper/remediator"
    SIZE_LIMIT: ClassVar[int] = WHOLE_STATE_BYTES

    incident_id: _Name
    state: IncidentState
    title: str
    severity: str
    root: str
    """The asset that explains it."""
    alerts: list[IncidentAlert]
    assets: list[str]
    remediations: list[str]
    opened_at_ms: int
    updated_at_ms: int
    ended_at_ms: int | None = None
    outcome: str | None = None
    pages: bool = False
    """A person must be told now."""
    timeline: list[Moment] = []
    sequence: int
    epoch: int
    trace: str = ""

    def key(self) -> str:
        return self.incident_id

    def event_id(self) -> str:
        return derived_id(self.incident_id, self.epoch, self.sequence)

    def time_ms(self) -> int:
        return self.updated_at_ms


class Reason(Open, kw_only=True, frozen=True):
    """Why, as a code for machines and a text for people."""

    code: str
    text: str


class GateResult(Open, kw_only=True, frozen=True):
    """What one gate said."""

    gate: str
    passed: bool
    text: str


class Proof(Open, kw_only=True, frozen=True):
    """One sample that speaks for or against an effect."""

    metric: str
    labels: dict[str, str]
    value: float
    at_ms: int
    passed: bool


class RemediationEvent(Event, kw_only=True, frozen=True):
    """One transition of a remediation, with its whole state: the ledger on the bus (signed)."""

    TYPE: ClassVar[str] = "io.hallkeeper.remediation.v1"
    ORIGIN: ClassVar[str] = "/hallkeeper/remediator"
    SIZE_LIMIT: ClassVar[int] = WHOLE_STATE_BYTES

    remediation_id: _Name
    incident_id: str
    playbook: str
    mode: str
    step: str
    phase: str
    """pending, denied, would_have, awaiting_approval, admitted, executing, verifying, succeeded, failed, escalated, cancelled, …"""
    target: str
    """The asset."""
    action: str
    verb: str
    intent_id: str | None = None
    outcome: str | None = None
    """Succeeded, TransientFailure, PermanentFailure, Ambiguous, Unproven, Cancelled or Superseded."""
    reason: Reason | None = None
    gates: list[GateResult] = []
    arguments: dict[str, Any] = {}
    proof: list[Proof] = []
    lane: Literal["protective", "corrective"] = "corrective"
    class_: str = msgspec.field(name="class", default="A0")
    """A0 to A4."""
    at_ms: int
    sequence: int
    epoch: int
    trace: str = ""

    def key(self) -> str:
        return self.remediation_id

    def event_id(self) -> str:
        return derived_id(self.remediation_id, self.epoch, self.sequence)

    def time_ms(self) -> int:
        return self.at_ms


class CommandEvent(Event, kw_only=True, frozen=True):
    """What an operator decided (signed)."""

    TYPE: ClassVar[str] = "io.hallkeeper.command.v1"
    ORIGIN: ClassVar[str] = "/hallkeeper/console"

    command_id: _Name
    kind: str
    """approve, deny, stop, stop_all, resume, lockout, unlock, ack, silence, maintenance."""
    subject: _Name
    actor: str
    role: str
    reason: str
    at_ms: int
    expires_at_ms: int | None = None
    details: dict[str, Any] = {}

    def key(self) -> str:
        return self.subject

    def event_id(self) -> str:
        return derived_id(self.command_id)

    def time_ms(self) -> int:
        return self.at_ms


class ClaimEvent(Event, kw_only=True, frozen=True):
    """A claim to leadership, or its renewal; the epoch of a claim is the offset of its first record."""

    TYPE: ClassVar[str] = "io.hallkeeper.claim.v1"
    ORIGIN: ClassVar[str] = "/hallkeeper/remediator"

    subject: _Name = "leader"
    claimant: _Name
    """Who claims: drawn anew at every start."""
    epoch: int | None = None
    """The offset of the claim that this renews; None for the claim itself."""
    sequence: int = 0
    """Counts the claimant's renewals."""
    at_ms: int
    lease_seconds: float = 5.0
    released: bool = False
    """The claimant gives it up."""

    def key(self) -> str:
        return self.subject

    def event_id(self) -> str:
        return derived_id(self.subject, self.claimant, self.epoch, self.sequence, self.released)

    def time_ms(self) -> int:
        return self.at_ms


AnyEvent: TypeAlias = DeviceEvent | AlertEvent | IncidentEvent | RemediationEvent | CommandEvent | ClaimEvent
EVENT_TYPES: Final[dict[str, type[AnyEvent]]] = {
    kind.TYPE: kind for kind in (DeviceEvent, AlertEvent, IncidentEvent, RemediationEvent, CommandEvent, ClaimEvent)
}
