"""Alerts that share a cause are one incident, whoever is noticed first."""

import pytest

from bus.events import AlertEvent, AlertState, IncidentState
from bus.identity import alert_id, fingerprint
from fleet.model import AssetId, Site
from remediator.incident_book import IncidentBook
from remediator.incidents import Incident, treatable
from remediator.own_alerts import FREEZE, OwnAlert, symptom
from remediator.records import Remediation
from remediator.transitions import Phase
from remediator.verbs import Cause, Mode
from tests.unit.remediator.fakes.sitefile import make_site

T0 = 1_700_000_000_000
LATER = T0 + 3_600_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"))


class Book(IncidentBook):
    """Takes alerts by name."""

    def fire(self, name: str, at: int = 0, *, state: str = "firing", severity: str = "critical", **labels: str) -> None:
        wanted = {"alertname": name, **labels}
        self.hear(
            AlertEvent(
                alert_id=alert_id(name, fingerprint(wanted)), rule=f"x.yaml/g/{name}", alertname=name,
                state=AlertState(state), severity=severity, labels=wanted, annotations={}, value=1.0,
                active_since_ms=T0 + at * 1000, evaluated_at_ms=T0 + at * 1000, fingerprint=fingerprint(wanted),
                group_interval_seconds=1.0,
            ),
            T0 + at * 1000,
        )  # fmt: skip

    def one(self) -> Incident:
        (incident,) = self.open
        return incident

    def quiet(self, at: int) -> None:
        self.tick(T0 + at * 1000, lambda _incident, _now: None)


def test_alerts_of_one_asset_are_one_incident(site: Site) -> None:
    book = Book(site)
    book.fire("NodeHung", asset="dgx-001")
    book.fire("GpuHot", 3, severity="warning", asset="dgx-001")
    book.fire("NodeHung", asset="dgx-002")
    assert len(book.open) == 2
    assert book.open[0].severity == "critical"


def test_an_id_is_derived_and_the_same_for_every_worker(site: Site) -> None:
    one, other = Book(site), Book(site)
    for book in (one, other):
        book.fire("NodeHung", asset="dgx-001")
    assert one.one().incident_id == other.one().incident_id


def test_a_lost_feed_explains_the_overload_of_its_sibling_and_the_shed_stays_its_remedy(site: Site) -> None:
    book = Book(site)
    book.fire("PduFeedLost", asset="pdu-r01-a")
    book.fire("PduPhaseOverload", 2, asset="pdu-r01-b", phase="1")
    assert book.one().root == "pdu-r01-a"
    assert "PduPhaseOverload" in {alert.alertname for alert in treatable(book.one(), site)}


def test_a_root_found_late_takes_in_its_children(site: Site) -> None:
    book = Book(site)
    book.fire("PduPhaseOverload", asset="pdu-r01-b", phase="1")
    child = book.one().incident_id
    book.changes(LATER)
    book.fire("PduFeedLost", 5, asset="pdu-r01-a")
    assert book.one().root == "pdu-r01-a"
    assert book.taken_in(child)
    assert book.incident(child) == book.one()
    told = {incident.incident_id: incident for incident in book.changes(LATER)}
    assert told[child].state is IncidentState.RESOLVED
    assert told[child].outcome == f"superseded by {book.one().incident_id}"


def test_375_alerts_behind_one_feed_are_one_incident_and_none_has_a_remedy_of_its_own(site: Site) -> None:
    book = Book(site)
    book.fire("SubstationLost", asset="sub-a")
    for number in range(1, 65):
        book.fire("NodeHung", 5, asset=f"dgx-{number:03}")
    assert len(book.one().alerts) == 65
    assert [alert.alertname for alert in treatable(book.one(), site)] == ["SubstationLost"]


def test_a_lost_substation_explains_silence_and_power_and_no_gpu_of_its_nodes(site: Site) -> None:
    book = Book(site)
    book.fire("SubstationLost", asset="sub-a")
    book.fire("NodeHung", 5, asset="dgx-001")
    book.fire("NodePowerRedundancyLost", 5, asset="dgx-002")
    book.fire("GpuFellOffBus", 5, asset="dgx-003")
    assert sorted(incident.cause.alertname for incident in book.open) == ["GpuFellOffBus", "SubstationLost"]


def test_a_frequency_or_an_overload_of_a_supply_explains_nothing(site: Site) -> None:
    book = Book(site)
    book.fire("GridFrequencyCritical", asset="grid-1")
    book.fire("BusbarOverload", asset="busbar-a")
    book.fire("NodeHung", 5, asset="dgx-001")
    assert len(book.open) == 3


def test_a_loop_without_flow_explains_heat_and_silence_and_no_fault_of_its_own_kind(site: Site) -> None:
    book = Book(site)
    book.fire("CduPumpStopped", asset="cdu-1")
    book.fire("GpuHot", 20, asset="dgx-001")
    book.fire("NodeHung", 60, asset="dgx-001")
    book.fire("GpuDoubleBitError", 20, asset="dgx-002")
    assert sorted(incident.cause.alertname for incident in book.open) == ["CduPumpStopped", "GpuDoubleBitError"]


def test_feeds_of_one_busbar_that_go_together_are_one_cause(site: Site) -> None:
    book = Book(site)
    for rack in range(1, 9):
        book.fire("PduFeedLost", rack, asset=f"pdu-r{rack:02}-a")
    assert book.one().root == "busbar-a"


def test_a_silent_zone_takes_in_silences_and_nothing_else(site: Site) -> None:
    book = Book(site)
    for number in range(1, 5):
        book.fire("NodeHeartbeatLost", asset=f"dgx-{number:03}", zone="1")
        book.fire("BmcSilent", severity="warning", asset=f"dgx-{number:03}", zone="1")
    book.fire("GpuFellOffBus", asset="dgx-009", zone="1")
    book.fire("NodeHung", 1, asset="dgx-010", zone="1")
    book.fire("NodesSilentTogether", 6, zone="1")
    book.fire("NodesNotReadyTogether", 50, zone="1")
    roots = {incident.cause.alertname: incident for incident in book.open}
    assert set(roots) == {"NodesSilentTogether", "GpuFellOffBus"}
    assert len(roots["NodesSilentTogether"].alerts) == 11
    assert treatable(roots["NodesSilentTogether"], site) == ()


def test_zones_that_fall_silent_together_are_one_incident(site: Site) -> None:
    book = Book(site)
    book.fire("NodesSilentTogether", zone="1")
    book.fire("NodesSilentTogether", 4, zone="2")
    book.one()


def test_what_began_long_after_its_cause_is_not_its_consequence(site: Site) -> None:
    book = Book(site)
    book.fire("SubstationLost", asset="sub-a")
    book.fire("NodeHung", 3_600, asset="dgx-001")
    assert len(book.open) == 2


def test_a_warning_on_a_feeder_explains_nothing(site: Site) -> None:
    book = Book(site)
    book.fire("SubstationWarm", severity="warning", asset="sub-a")
    book.fire("NodeHung", 5, asset="dgx-001")
    assert len(book.open) == 2


def test_an_incident_ends_when_its_alerts_do_and_unknown_is_not_healthy(site: Site) -> None:
    book = Book(site)
    book.fire("NodeHung", asset="dgx-001")
    book.fire("NodeHung", 0, state="unknown", asset="dgx-001")
    book.quiet(10)
    assert not book.one().ended
    book.fire("NodeHung", 0, state="resolved", asset="dgx-001")
    book.quiet(11)
    assert book.open == ()
    assert book.changes(LATER)[-1].outcome == "cleared"


def test_symptoms_are_let_go_two_minutes_after_their_cause_is_gone(site: Site) -> None:
    book = Book(site)
    book.fire("SubstationLost", asset="sub-a")
    book.fire("NodeHung", 5, asset="dgx-001")
    book.fire("SubstationLost", 0, state="resolved", asset="sub-a")
    book.quiet(60)
    assert book.one().root == "sub-a"
    book.quiet(200)
    assert book.one().root == "dgx-001"
    assert [alert.alertname for alert in treatable(book.one(), site)] == ["NodeHung"]


def test_a_freeze_takes_in_the_nodes_that_it_lists_and_a_cause_that_is_found_later(site: Site) -> None:
    book = Book(site)
    nodes = tuple(AssetId(f"dgx-{number:03}") for number in range(1, 9))
    for node in nodes:
        book.fire("NodeHung", asset=node, zone="1")
    book.take(symptom(OwnAlert(FREEZE, "mass_failure", "8 at once", nodes=nodes), site, T0, AlertState.FIRING), T0)
    book.one()
    book.fire("NodesSilentTogether", 5, zone="1")
    book.one()


def test_the_state_follows_the_remediation(site: Site) -> None:
    book = Book(site)
    book.fire("NodeHung", asset="dgx-001")
    state = Remediation(
        remediation_id="r", incident_id=book.one().incident_id, playbook="node-hung", mode=Mode.ENFORCE,
        cause=Cause.SILENCE, target=AssetId("dgx-001"), created_at_ms=T0, updated_at_ms=T0,
    )  # fmt: skip
    book.changes(LATER)
    seen = []
    for phase, intent in ((Phase.DENIED, None), (Phase.EXECUTING, "x"), (Phase.SUCCEEDED, "x"), (Phase.ESCALATED, "x")):
        fields = {name: getattr(state, name) for name in state.__struct_fields__}
        book.heed(Remediation(**{**fields, "phase": phase, "intent_id": intent}), T0)
        book.quiet(1)
        seen.append(book.one().state)
    assert seen == [IncidentState.OPEN, IncidentState.ACTING, IncidentState.VERIFYING, IncidentState.ESCALATED]


def test_every_change_is_told_with_a_line_of_the_timeline(site: Site) -> None:
    book = Book(site)
    book.fire("NodeHung", asset="dgx-001")
    (first,) = book.changes(LATER)
    assert book.changes(LATER) == ()
    book.fire("GpuHot", asset="dgx-001")
    (second,) = book.changes(LATER)
    assert second.sequence == first.sequence + 1
    assert len(second.timeline) == len(first.timeline) + 1
    assert second.event(7).epoch == 7


def test_a_symptom_that_is_taken_in_at_once_is_never_told(site: Site) -> None:
    book = Book(site)
    book.fire("PduPhaseOverload", asset="pdu-r01-b", phase="1")
    assert book.changes(T0 + 500) == ()
    book.fire("PduFeedLost", asset="pdu-r01-a")
    assert book.changes(T0 + 900) == ()
    (told,) = book.changes(T0 + 3_000)
    assert told.root == "pdu-r01-a"
    assert len(told.alerts) == 2


def test_a_symptom_that_is_relieved_at_once_is_not_told_before_its_cause_may_have_been_noticed(site: Site) -> None:
    book = Book(site)
    book.fire("PduPhaseOverload", asset="pdu-r01-b", phase="1")
    relief = Remediation(
        remediation_id="r", incident_id=book.one().incident_id, playbook="phase-overload", mode=Mode.ENFORCE,
        cause=Cause.OVERLOAD, target=AssetId("pdu-r01-b"), created_at_ms=T0, updated_at_ms=T0, phase=Phase.EXECUTING,
        intent_id="x",
    )  # fmt: skip
    book.heed(relief, T0 + 100)
    assert book.changes(T0 + 500) == ()
    book.fire("PduFeedLost", asset="pdu-r01-a")
    (told,) = book.changes(T0 + 3_000)
    assert told.root == "pdu-r01-a"


def test_what_is_let_go_is_another_incident_so_that_no_remediation_ever_has_the_id_of_an_earlier_one(
    site: Site,
) -> None:
    book = Book(site)
    book.fire("NodeHung", asset="dgx-001")
    first = book.one().incident_id
    book.fire("PduFeedLost", 2, asset="pdu-r01-a")
    assert book.taken_in(first)
    book.fire("PduFeedLost", 10, state="resolved", asset="pdu-r01-a")
    book.quiet(140)
    again = {incident.incident_id for incident in book.open if "NodeHung" in {a.alertname for a in incident.active}}
    assert again
    assert first not in again
