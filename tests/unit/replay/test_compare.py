"""What differs between two rule sets, and what an episode looks like in a report."""

from hallkeeper.replay.compare import difference
from hallkeeper.replay.findings import Episode, Findings, Remedy, RuleLine, Totals
from hallkeeper.replay.notes import Notes
from hallkeeper.replay.timeline import BARS, ROWS, timeline
from rules.engine import AlertState, AlertTransition
from rules.files.model import RuleSet


def episode(rule: str, asset: str, fired: int | None, begun: int = 0) -> Episode:
    return Episode(
        rule=rule, alertname=rule, severity="warning", labels={"asset": asset}, pending_ms=begun, firing_ms=fired
    )


def findings(*episodes: Episode, rules: tuple[str, ...] = ("r",), remedies: tuple[Remedy, ...] = ()) -> Findings:
    lines = tuple(
        RuleLine(rule=uid, fired=sum(e.rule == uid and e.firing_ms is not None for e in episodes), pending=0)
        for uid in rules
    )
    totals = Totals(fired=0, incidents=0, pages=0, remedies=0, would_have=0, refused={}, nodes=0, megawatts=0.0)
    return Findings(
        rules=lines, silent=(), episodes=episodes, left_out=0, incidents=(), remedies=remedies, totals=totals,
        rules_sha256="",
    )  # fmt: skip


def change(here: Findings, there: Findings) -> list[tuple[str, str]]:
    return [(line.rule, line.change) for line in difference(here, there).rules]


def test_equal_findings_do_not_differ() -> None:
    same = findings(episode("r", "a", 5), episode("r", "b", None))
    found = difference(same, same)
    assert (found.rules, found.same) == ((), 1)


def test_a_rule_may_be_louder_quieter_moved_or_speak_of_others() -> None:
    one, two = episode("r", "a", 5_000), episode("r", "a", 9_000, 6_000)
    assert change(findings(one, two), findings(one)) == [("r", "louder")]
    assert change(findings(one), findings(one, two)) == [("r", "quieter")]
    assert change(findings(one), findings(episode("r", "a", 7_000))) == [("r", "moved")]
    assert change(findings(one), findings(episode("r", "b", 5_000))) == [("r", "other_series")]
    assert change(findings(one), findings(one, rules=("r", "s"))) == [("s", "removed")]
    assert change(findings(one, rules=("r", "s")), findings(one)) == [("s", "added")]


def test_how_much_earlier_is_the_median_over_the_series() -> None:
    here = findings(*(episode("r", str(n), 1_000) for n in range(3)))
    there = findings(*(episode("r", str(n), 1_000 + 1_000 * n * n) for n in range(3)))
    (line,) = difference(here, there).rules
    assert (line.moved, line.earlier_seconds) == (2, 2.5)


def test_what_only_one_would_have_treated_is_named() -> None:
    def remedy(target: str, decided: int | None) -> Remedy:
        return Remedy(
            remediation=target, incident="", playbook="p", lane="corrective", target=target, begun_ms=0,
            decided_ms=decided, phase="",
        )  # fmt: skip

    found = difference(
        findings(remedies=(remedy("a", 1), remedy("b", None))), findings(remedies=(remedy("c", 1), remedy("b", 2)))
    )
    assert (found.remedies_only_here, found.remedies_only_against) == (("p a",), ("p b", "p c"))


def transition(state: AlertState, at_ms: int, *, value: float = 1.0, active_since_ms: int = 10) -> AlertTransition:
    return AlertTransition(
        alert_id="x", event_id="e", rule="r", alertname="R", state=state, severity="critical", labels={"b": "2", "a": "1"},
        annotations={}, value=value, active_since_ms=active_since_ms, evaluated_at_ms=at_ms, fingerprint="f",
        group_interval_seconds=1.0,
    )  # fmt: skip


def summed(*transitions: AlertTransition, until_ms: int = 100) -> Findings:
    notes = Notes(RuleSet(), None, lambda _: 0.0)  # type: ignore[arg-type]
    for one in transitions:
        notes.alert(one)
    return notes.findings(until_ms, {}, {}, "")


def test_an_episode_goes_from_its_first_truth_to_its_end() -> None:
    found = summed(
        transition(AlertState.PENDING, 10),
        transition(AlertState.FIRING, 20, value=float("nan")),
        transition(AlertState.RESOLVED, 50),
    )
    (one,) = found.episodes
    assert (one.pending_ms, one.firing_ms, one.ended_ms, one.end, one.value) == (10, 20, 50, "resolved", "NaN")
    assert list(one.labels) == ["a", "b"]


def test_what_still_fires_at_the_end_has_no_end_and_infinity_is_written_out() -> None:
    (one,) = summed(transition(AlertState.FIRING, 20, value=float("inf"), active_since_ms=20)).episodes
    assert (one.pending_ms, one.firing_ms, one.ended_ms, one.end, one.value) == (20, 20, None, "", "+Inf")


def test_an_alert_that_never_fired_is_only_pending() -> None:
    (one,) = summed(transition(AlertState.PENDING, 10), transition(AlertState.UNKNOWN, 30)).episodes
    assert (one.firing_ms, one.end) == (None, "unknown")


def test_the_picture_is_bounded_and_says_what_it_leaves_out() -> None:
    from hallkeeper.replay.findings import Source

    many = [
        episode(f"f/g/R{n:03d}", str(m), 1_000, m) for n in range(ROWS + 5) for m in range(BARS + 1 if n == 0 else 1)
    ]
    source = Source(
        site="s", recording_sha256="", from_ms=0, until_ms=10_000, judged_from_ms=0, frames=0, points=0, hallkeeper="",
        playbooks_sha256="",
    )  # fmt: skip
    text = timeline(findings(*many), source)
    assert "and 5 more rules" in text
    assert text.count('class="warning"') == BARS + ROWS - 1
    assert "Nothing fired" in timeline(findings(), source)
