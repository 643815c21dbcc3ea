"""One alert of one rule, and what an evaluation makes of it."""

from dataclasses import dataclass

from bus.events import AlertEvent, AlertState
from rules.files.model import AlertRule

__all__ = ["Alert", "AlertState", "Finding", "step", "told_alert"]


@dataclass(slots=True, kw_only=True)
class Alert:
    """An alert that is pending or firing."""

    element: dict[str, str]
    """Labels of the expression's element, what templates see."""
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
    calm_ms: int = 0
    """It flaps: for so long its expression must not hold before it ends."""
    identity: str = ""
    """The alert's id, over the rule's uid and the labels' fingerprint."""
    mark: str = ""
    """The fingerprint."""
    element_hash: int = 0
    """Of the element's labels without the metric's name."""

    def due_ms(self, rule: AlertRule) -> int:
        """When it fires if its expression holds until then."""
        return self.active_since_ms + self.unseen_ms + rule.for_ms

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
        if alert.state is AlertState.PENDING and now_ms >= alert.due_ms(rule):
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
    """The expression no longer holds: Prometheus's `keep_firing_for`, and longer where the alert flaps."""
    if alert.keep_since_ms is None:
        alert.keep_since_ms = now_ms
    if now_ms - alert.keep_since_ms >= max(rule.keep_firing_for_ms, alert.calm_ms):
        alert.state = AlertState.RESOLVED


def _between(alert: Alert, rule: AlertRule, finding: Finding, now_ms: int) -> None:
    """The expression no longer holds, but the alert ends only where the clear expression has held for long enough."""
    if not finding.cleared:
        alert.clear_since_ms = None
        return
    if alert.clear_since_ms is None:
        alert.clear_since_ms = now_ms
    if now_ms - alert.clear_since_ms >= max(rule.sidecar.clear_for_ms, rule.keep_firing_for_ms, alert.calm_ms):
        alert.state = AlertState.RESOLVED


def told_alert(told: AlertEvent, element: dict[str, str], now_ms: int) -> Alert:
    """An alert as an event tells of it; time since then was not seen, and does not count towards `for`."""
    firing = told.state is AlertState.FIRING
    return Alert(
        element=element,
        labels=dict(told.labels),
        state=told.state,
        active_since_ms=told.active_since_ms,
        value=float(told.value),
        unseen_ms=0 if firing else max(now_ms - told.evaluated_at_ms, 0),
        fired_at_ms=told.evaluated_at_ms if firing else None,
        identity=told.alert_id,
        mark=told.fingerprint,
    )
