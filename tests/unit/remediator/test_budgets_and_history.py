"""Blast radius, breakers, budgets of attempts: counted over the plant and over the ledger's past."""

from pathlib import Path

import msgspec
import pytest

from fleet.model import AssetId, Domain, Kind, Site
from remediator.breaker import COOL_MS, breakers_of
from remediator.budgets import ALLOWANCES, allowed, budgets_of, degraded_by
from remediator.facts import BreakerState
from remediator.freeze import Sighting, too_many_targets, vanished_together, whole_again
from remediator.history import DAY_MS, history_of, traffic_of
from remediator.records import Intent, Remediation
from remediator.usual import UsualDraw
from remediator.verbs import ActionClass, Cause, Lane, Mode, Verb
from tests.unit.remediator.fakes.sitefile import make_site

NODE = AssetId("dgx-001")
NOW = 1_700_000_000_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"))


@pytest.mark.parametrize(
    ("kind", "members", "expected"),
    [(Kind.RACK, 4, 1), (Kind.RACK, 1, 1), (Kind.ROW, 16, 1), (Kind.ROW, 64, 4), (Kind.ROW, 5, 1), (Kind.SITE, 64, 4), (Kind.SITE, 10, 0), (Kind.SITE, 640, 8), (Kind.PDU, 4, 1), (Kind.SWITCH, 4, 0)],
)  # fmt: skip
def test_allowed_is_the_lesser_of_count_and_share_with_one_for_rack_and_row(
    kind: Kind, members: int, expected: int
) -> None:
    domain = Domain(kind=kind, id=AssetId("d"))
    assert allowed(domain, members, redundant=True) == expected
    assert allowed(domain, members, redundant=False) == 0


def test_every_domain_of_an_asset_has_an_allowance(site: Site) -> None:
    assert {domain.kind for domain in site.graph.domains_of(NODE)} <= set(ALLOWANCES)


def test_a_budget_counts_the_others_that_hold_a_place(site: Site) -> None:
    held = {"rack r01": {"other"}, "row row-01": {"other", "mine"}}
    found = {
        budget.domain.id: budget
        for budget in budgets_of(NODE, site.graph, out_of_service=(), held=held, remediation="mine", degraded=())
    }
    assert found["r01"].in_use == 1
    assert found["row-01"].in_use == 1
    assert found["hall-1"].allowed == 4


def test_a_lost_feed_leaves_its_rack_and_its_twin_without_reserve(site: Site) -> None:
    degraded = degraded_by([AssetId("pdu-r01-a")], site)
    assert {"pdu-r01-a", "pdu-r01-b", "r01"} <= degraded
    assert not {"r02", "pdu-r02-b", "row-01", "busbar-b"} & degraded


def intent(
    number: int,
    *,
    verb: Verb = Verb.POWER_OFF,
    at: int = NOW - 1000,
    outcome: str | None = "Succeeded",
    remediation: str = "other",
    sent: bool = True,
    wire: str = "acknowledged",
    target: str = NODE,
) -> Intent:
    return Intent(
        intent_id=f"i{number}", remediation_id=remediation, step="s", verb=verb, device=AssetId(target), target=AssetId(target), lock="l",
        arguments={}, class_=3, lane=Lane.CORRECTIVE, epoch=1, created_at_ms=at, not_after_boottime_ns=0, effect_until_ms=at + 90_000,
        sent_at_ms=at if sent else None, wire_state=wire, outcome=outcome, closed_at_ms=None if outcome is None else at,
    )  # fmt: skip


def past(*intents: Intent, acted: bool = False):
    state = Remediation(
        remediation_id="mine", incident_id="i", playbook="b", mode=Mode.ENFORCE, cause=Cause.SILENCE, target=NODE,
        created_at_ms=NOW, updated_at_ms=NOW, intents=(intents[0],) if acted else (),
    )  # fmt: skip
    return history_of(
        state,
        intents,
        now_ms=NOW,
        tries=0,
        tries_allowed=2,
        active_since_ms=NOW - 7_000,
        hold_down_seconds=5,
        cool_down_seconds=900,
    )


def test_cycles_of_a_day_and_remediations_of_a_week_are_counted() -> None:
    found = past(*[intent(n, at=NOW - n * DAY_MS // 2, remediation=f"r{n}") for n in range(1, 8)])
    assert found.cycles_day == 1
    assert found.remediations_week == 8


def test_what_was_never_sent_counts_for_nothing() -> None:
    found = past(intent(1, sent=False, outcome="TransientFailure"))
    assert (found.cycles_day, found.remediations_week, found.cool_down_left_seconds) == (0, 1, 0)


def test_a_target_cools_down_after_another_remediation_and_not_within_its_own() -> None:
    assert past(intent(1)).cool_down_left_seconds == pytest.approx(899, abs=1)
    assert past(intent(1), acted=True).cool_down_left_seconds == 0


def test_an_act_whose_end_nobody_confirmed_keeps_its_window_open() -> None:
    assert past(intent(1, wire="unknown", outcome="TransientFailure")).window_left_seconds == pytest.approx(89, abs=1)
    assert past(intent(1)).window_left_seconds == 0


def test_traffic_counts_what_is_under_way_and_the_last_minute() -> None:
    found = traffic_of(
        NODE,
        Verb.POWER_ON,
        [intent(1, outcome=None), intent(2), intent(3, at=NOW - 61_000)],
        lane=Lane.CORRECTIVE,
        now_ms=NOW,
    )
    assert (found.running_on_device, found.running_in_class, found.sent_last_minute) == (1, 1, 2)


def broken(site: Site, *intents: Intent, now: int = NOW) -> BreakerState:
    domain = [domain for domain in site.graph.domains_of(NODE) if domain.kind is Kind.ROW]
    return breakers_of(domain, ActionClass.A3, intents, site.graph, now)[0].state


def test_three_unproven_in_ten_minutes_open_a_breaker_and_half_an_hour_lets_one_probe_by(site: Site) -> None:
    failures = [intent(n, outcome="Unproven", at=NOW - 1000 * n) for n in range(3)]
    assert broken(site, *failures[:2]) is BreakerState.CLOSED
    assert broken(site, *failures) is BreakerState.OPEN
    assert broken(site, *failures, now=NOW + COOL_MS) is BreakerState.HALF_OPEN
    probe = intent(9, at=NOW + COOL_MS + 1)
    assert broken(site, *failures, probe, now=NOW + COOL_MS + 2) is BreakerState.CLOSED
    assert (
        broken(site, *[msgspec.structs.replace(f, target=AssetId("dgx-064")) for f in failures]) is BreakerState.CLOSED
    )


def targets(*numbers: int, at: int = NOW - 10_000) -> dict[AssetId, int]:
    return {AssetId(f"dgx-{number:03}"): at for number in numbers}


def test_more_than_five_nodes_and_a_fifth_of_a_row_are_a_mass_failure(site: Site) -> None:
    assert too_many_targets(targets(*range(1, 6)), site, NOW) is None
    alarm = too_many_targets(targets(*range(1, 7)), site, NOW)
    assert alarm is not None
    assert "row-01" in alarm.text
    assert too_many_targets(targets(*range(1, 7), at=NOW - 301_000), site, NOW) is None


def test_more_than_a_twentieth_of_the_site_is_a_mass_failure_wherever_they_stand(site: Site) -> None:
    alarm = too_many_targets(targets(1, 2, 17, 18, 33, 34, 49), site, NOW)
    assert alarm is not None
    assert "of 64" in alarm.text


def seen(silent: int, answering: int, *, since: int = NOW - 5_000) -> list[Sighting]:
    return [Sighting(answers=False, since_ms=since)] * silent + [Sighting(answers=True, since_ms=0)] * answering


def test_a_third_of_one_kind_that_vanish_together_is_a_fault_of_telemetry() -> None:
    assert set(vanished_together({"snmp": seen(10, 20)}, NOW)) == {"snmp"}
    assert vanished_together({"snmp": seen(9, 21)}, NOW) == {}
    assert vanished_together({"snmp": seen(2, 1)}, NOW) == {}
    assert vanished_together({"snmp": seen(10, 20, since=NOW - 400_000)}, NOW) == {}


def test_a_kind_is_whole_again_two_minutes_after_the_last_returned() -> None:
    back = [Sighting(answers=True, since_ms=NOW - 60_000)] * 30
    assert not whole_again(back, NOW)
    assert whole_again(back, NOW + 61_000)
    assert not whole_again(seen(10, 20), NOW)


def test_the_usual_draw_is_known_after_a_while_and_follows_slowly() -> None:
    usual = UsualDraw()
    usual.feed(NODE, 4500, NOW)
    assert usual(NODE) is None
    for second in range(0, 120, 2):
        usual.feed(NODE, 4500, NOW + second * 1000)
    usual.feed(NODE, 1000, NOW + 122_000)
    assert usual(NODE) == pytest.approx(4500, rel=0.05)
    usual.forget([NODE])
    assert usual(NODE) is None


def test_where_a_domain_is_written_the_ledger_reads_the_same(tmp_path: Path, site: Site) -> None:
    assert str(Domain(kind=Kind.RACK, id=AssetId("r01"))) == "rack r01"
