"""The public rule engine: frames in, alert transitions out, and no clock of its own."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class AlertState(StrEnum):
    """Where an alert stands; unknown ends an alert whose device fell silent past its hold: never healthy."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTransition:
    """One alert changed its state in one evaluation; the fields are those of the alert event."""

    alert_id: str
    event_id: str
    rule: str
    """Uid: `<path below the rules folder>/<group>/<alert>`."""
    alertname: str
    state: AlertState
    severity: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    value: float
    active_since_ms: int
    evaluated_at_ms: int
    fingerprint: str
    group_interval_seconds: float


class Engine:
    """Compiled rule files over one window; pure: every time is an argument."""

    def __init__(self, rule_files: Sequence[Path]) -> None:
        """Load and compile. Raises `RuleFileError` with every mistake of every file."""
        raise NotImplementedError

    def append_frame(self, record_value: bytes) -> frozenset[str]:
        """Take a frame or table; the uids of the groups that now have something new to judge."""
        raise NotImplementedError

    def evaluate(self, at_ms: int, groups: Collection[str] | None = None, *, lagging: bool = False) -> list[AlertTransition]:
        """One pass over the groups (None: all), all at the same time, sharing equal subexpressions."""
        raise NotImplementedError

    def state(self) -> bytes:
        """Alert states and what they need to go on after a restart."""
        raise NotImplementedError

    def restore(self, state: bytes) -> None:
        """Go on from `state()`: `for` continues, no alert is lost or early."""
        raise NotImplementedError
