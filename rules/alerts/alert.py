"""One alert of one rule, and what an evaluation makes of it."""

from dataclasses import dataclass
from enum import StrEnum

from rules.files.model import AlertRule


class AlertState(StrEnum):
    """Where an alert stands; unknown ends an alert whose device fell silent past its hold: never healthy."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"
    UNKNOWN = "unknown"


@dataclass(slots=True, kw_only=True)
class Alert:
    """An alert that is pending or firing."""

    element: dict[str, str]
    """Labels of the expression's element, what templates see; without the metric's name it is found by them."""
    labels: dict[str, str]
    """The alert's own, final labels."""
    state: AlertState
    active_since_ms: int
    value: float
    unseen_ms: int = 0
    """Time since then in which nothing was evaluated (a restart, a lagging bus): it does not count towards `for`."""
    fired_at_ms: int | None = None
    keep_since_ms: int | None = None
    """Since when the expression no longer holds."""
    clear_since_ms: int | None = None
    """Since when the clear expression holds."""
    gap_since_ms: int | None = None
    """Since when there is nothing to judge."""

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.state in {AlertState.RESOLVED, AlertState.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one evaluation says about one alert's label set."""

    holds: bool
    """The expression has the element."""
    cleared: bool = False
    """The clear expression has it."""
    known: bool = True
    """There was something to judge."""


def step(alert: Alert, rule: AlertRule, finding: Finding, now_ms: int) -> None:
    """Move the alert on: it may fire, hold, or end."""
    if finding.holds:
        alert.keep_since_ms = alert.clear_since_ms = alert.gap_since_ms = None
        due = now_ms - alert.active_since_ms - alert.unseen_ms >= rule.for_ms
        if alert.state is AlertState.PENDING and due:
            alert.state = AlertState.FIRING
            alert.fired_at_ms = now_ms
    elif alert.state is AlertState.PENDING:
        alert.state = AlertState.RESOLVED
    elif not finding.known:
        _silent(alert, rule, now_ms)
    else:
        alert.gap_since_ms = None
        if rule.sidecar.clear is None:
            _quiet(alert, rule, now_ms)
        else:
            _between(alert, rule, finding, now_ms)


def _silent(alert: Alert, rule: AlertRule, now_ms: int) -> None:
    """Nothing to judge: hold, and past the hold end as unknown."""
    alert.clear_since_ms = None
    if alert.gap_since_ms is None:
        alert.gap_since_ms = now_ms
    if now_ms - alert.gap_since_ms >= rule.sidecar.hold_over_gap_ms:
        alert.state = AlertState.UNKNOWN


def _quiet(alert: Alert, rule: AlertRule, now_ms: int) -> None:
    """The expression no longer holds: Prometheus's `keep_firing_for`."""
    if alert.keep_since_ms is None:
        alert.keep_since_ms = now_ms
    if now_ms - alert.keep_since_ms >= rule.keep_firing_for_ms:
        alert.state = AlertState.RESOLVED


def _between(alert: Alert, rule: AlertRule, finding: Finding, now_ms: int) -> None:
    """The expression no longer holds, but the alert ends only where the clear expression has held for long enough."""
    if not finding.cleared:
        alert.clear_since_ms = None
        return
    if alert.clear_since_ms is None:
        alert.clear_since_ms = now_ms
    if now_ms - alert.clear_since_ms >= max(rule.sidecar.clear_for_ms, rule.keep_firing_for_ms):
        alert.state = AlertState.RESOLVED
