"""What the next engine says is the difference between what the bus holds and what it found itself."""

from bus.events import AlertEvent, AlertState
from bus.identity import fingerprint
from rules.alerts.alert import Alert
from rules.succession import Succession


def told(name: str, state: str, since: int, rule: str = "f/g/A") -> AlertEvent:
    return AlertEvent(
        alert_id=name, rule=rule, alertname="A", state=AlertState(state), severity="warning", labels={"a": name},
        annotations={}, value=1.0, active_since_ms=since, evaluated_at_ms=since, fingerprint=fingerprint({"a": name}),
        group_interval_seconds=1.0,
    )  # fmt: skip


class Own:
    """An engine's open alerts, as plain data."""

    def __init__(self) -> None:
        self.open: dict[str, AlertEvent] = {}
        self.taken: list[str] = []

    def find(self, identity: str) -> Alert | None:
        event = self.open.get(identity)
        if event is None:
            return None
        return Alert(element={}, labels={}, state=event.state, active_since_ms=event.active_since_ms, value=1.0)

    def align(self, identity: str, active_since_ms: int) -> None:
        if identity in self.open:
            self.open[identity] = told(identity, str(self.open[identity].state), active_since_ms)

    def take_over(self, event: AlertEvent, at_ms: int) -> None:
        self.taken.append(event.alert_id)

    def forget(self, identity: str) -> None:
        del self.open[identity]

    def current(self, at_ms: int) -> list[AlertEvent]:
        return list(self.open.values())

    def knows(self, rule: str) -> bool:
        return rule == "f/g/A"


def said(succession: Succession) -> list[tuple[str, str, int]]:
    return [(event.alert_id, str(event.state), event.active_since_ms) for event in succession.difference(9_000)]


def test_a_standby_counts_from_the_moment_at_which_the_leader_began() -> None:
    own = Own()
    succession = Succession(own)
    own.open["x"] = told("x", "pending", 1_040)
    succession.found(own.open["x"])
    succession.heard(told("x", "pending", 1_000))
    assert own.open["x"].active_since_ms == 1_000
    succession.heard(told("y", "pending", 2_000))
    own.open["y"] = told("y", "pending", 2_040)
    succession.found(own.open["y"])
    assert own.open["y"].active_since_ms == 2_000
    assert said(succession) == []


def test_who_begins_to_speak_says_what_the_leader_had_no_time_to_say() -> None:
    own = Own()
    succession = Succession(own)
    succession.heard(told("fired", "pending", 1_000))
    succession.heard(told("ended", "firing", 1_000))
    succession.found(told("ended", "unknown", 1_000))
    own.open = {"fired": told("fired", "firing", 1_000), "new": told("new", "pending", 3_000)}
    assert said(succession) == [("ended", "unknown", 1_000), ("fired", "firing", 1_000), ("new", "pending", 3_000)]


def test_what_the_leader_said_first_is_not_said_again() -> None:
    own = Own()
    succession = Succession(own)
    own.open["x"] = told("x", "pending", 1_000)
    succession.heard(told("x", "firing", 1_000))
    assert said(succession) == []
    assert succession.holds(told("x", "firing", 1_000)), "it fires here a moment later, and that is known already"


def test_an_alert_that_ended_and_began_anew_is_two() -> None:
    own = Own()
    succession = Succession(own)
    succession.heard(told("x", "firing", 1_000))
    succession.found(told("x", "resolved", 1_000))
    own.open["x"] = told("x", "pending", 5_000)
    succession.found(own.open["x"])
    assert own.open["x"].active_since_ms == 5_000, "the leader's beginning is not this one's"
    assert said(succession) == [("x", "resolved", 1_000), ("x", "pending", 5_000)]


def test_the_alerts_of_a_rule_that_is_gone_end_as_unknown() -> None:
    succession = Succession(Own())
    succession.heard(told("x", "firing", 1_000, rule="f/g/Gone"))
    assert said(succession) == [("x", "unknown", 1_000)]


def test_an_echo_changes_nothing() -> None:
    own = Own()
    succession = Succession(own)
    succession.published(told("x", "pending", 1_000))
    succession.published(told("x", "resolved", 1_000))
    own.open["x"] = told("x", "pending", 2_000)
    succession.heard(told("x", "pending", 1_000))
    assert own.open["x"].active_since_ms == 2_000
    assert said(succession) == [("x", "pending", 2_000)]


def test_at_a_start_the_bus_has_the_last_word() -> None:
    own = Own()
    own.open = {"over": told("over", "firing", 1_000), "again": told("again", "firing", 5_000)}
    succession = Succession(own)
    succession.begin(
        [told("over", "resolved", 1_000), told("again", "resolved", 1_000), told("open", "firing", 1_000)], 9_000
    )
    assert own.taken == ["open"]
    assert list(own.open) == ["again"]
