"""What is learned of the surroundings, what the protective lane holds, and what an intent says of its end."""

from pathlib import Path

import pytest

from bus.events import DeviceEvent
from fleet.model import AssetId, Site
from remediator.around import Around, BusPosition
from remediator.held import PREFIX, Held, Thing, held_of, next_release
from remediator.plans import SEND_WITHIN_SECONDS, NoDevice, device_of, intent_for, items_of, plan_hash, proposal_for
from remediator.playbook_loader import load_playbooks
from remediator.records import Remediation
from remediator.sight import Signal
from remediator.verbs import Cause, Mode, Verb
from tests.unit.remediator.fakes.sitefile import make_site
from tests.unit.remediator.fakes.window import FakeWindow

NOW = 1_700_000_000_000
NODE = AssetId("dgx-001")
BOOKS = {book.playbook: book for book in load_playbooks()}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"), racks=5)


def around(site: Site) -> tuple[Around, FakeWindow]:
    window = FakeWindow()
    return Around(site, window, lambda _metric: Signal(2_000)), window


def test_the_usual_draw_is_learned_of_living_nodes_only(site: Site) -> None:
    known, window = around(site)
    for second in range(0, 120, 2):
        at = NOW + second * 1000
        window.put("pdu_outlet_power_watts", 4500.0, at, asset="pdu-r01-a", outlet="1")
        window.put("agent_heartbeat_timestamp_seconds", 1.0, at, asset=NODE)
        known.look(at)
    before = known.usual(AssetId("pdu-r01-a#1"))
    assert before == pytest.approx(4500)
    for second in range(120, 600, 2):  # it hangs: its agent is silent and its watts fall
        at = NOW + second * 1000
        window.put("pdu_outlet_power_watts", 1000.0, at, asset="pdu-r01-a", outlet="1")
        known.look(at)
    assert known.usual(AssetId("pdu-r01-a#1")) == pytest.approx(before, rel=0.05)
    assert NODE in known.silent_nodes(NOW + 600_000)


def test_a_stopped_system_in_the_log_speaks_for_ten_minutes_and_other_records_do_not(site: Site) -> None:
    known, _ = around(site)
    for code, at in (("0x23:0x0", NOW), ("0x01:0x9", NOW), ("0x20:0x1", NOW - 700_000)):
        known.heed(
            DeviceEvent(
                asset=NODE, source=f"{NODE}/bmc", kind="sel", code=code, severity="critical", text="t", at_ms=at
            )
        )
    assert known.stop_events(NODE, NOW - 600_000) == ["0x23:0x0 t"]
    assert known.stop_events(AssetId("dgx-002"), 0) == []


def test_instruments_that_vanish_together_are_seen_and_their_return_too(site: Site) -> None:
    known, window = around(site)

    def report(at: int, silent: int) -> None:
        for number in range(10):
            window.put("up", 0.0 if number < silent else 1.0, at, job="snmp", asset=f"pdu-{number}", instance="i")
        known.look(at)

    report(NOW, 0)
    report(NOW + 10_000, 3)
    assert known.vanished == {}
    report(NOW + 20_000, 4)
    assert set(known.vanished) == {"snmp"}
    report(NOW + 30_000, 0)
    assert set(known.vanished) == {"snmp"}
    report(NOW + 160_000, 0)
    assert known.vanished == {}


def test_a_collector_that_is_gone_looks_like_a_fault_of_telemetry(site: Site) -> None:
    known, window = around(site)
    for number in range(10):
        window.put("up", 1.0, NOW, job="snmp", asset=f"pdu-{number}", instance="i")
    known.look(NOW)
    known.look(NOW + 60_000)
    assert set(known.vanished) == {"snmp"}


def test_lag_and_offset_are_unknown_before_the_first_read_and_grow_with_silence() -> None:
    position = BusPosition()
    assert position.lag_ms(NOW) is None
    assert position.offset_ms() is None
    position.read(NOW, None, more=False)
    assert position.lag_ms(NOW + 7_000) == 7_000
    position.read(NOW, NOW - 40_000, more=True)
    assert position.lag_ms(NOW) == 40_000
    position.stamped(NOW + 1_500, NOW)
    assert position.offset_ms() == 1_500
    position.stamped(NOW, NOW + 61_000)
    assert position.offset_ms() == 0


def test_maintenance_holds_from_its_beginning_to_its_end(site: Site) -> None:
    known, _ = around(site)
    known.maintenance = {"row-01": {"actor": "alice", "reason": "fans", "from_ms": NOW, "until_ms": NOW + 10}}
    scope = frozenset({NODE, AssetId("row-01")})
    assert known.maintained(scope, NOW - 1) == ()
    assert known.maintained(scope, NOW) == ("row-01 by alice: fans",)
    assert known.maintained(scope, NOW + 10) == ()
    assert known.maintained(frozenset({NODE}), NOW) == ()


def held(thing: Thing, name: str, order: int, group: str = "", **by: float) -> Held:
    return Held(
        thing=thing, name=name, by=by or {"pdu": 400.0}, before=700.0, order=order, node="n", group=group or name
    )


def test_what_was_taken_last_is_given_back_first_and_cordons_at_the_very_end() -> None:
    all_of_it = [
        held(Thing.CAP, "n1", 1, "a"), held(Thing.CAP, "n2", 2, "a"), held(Thing.JOB, "ns/b", 3),
        held(Thing.CORDON, "n1", 9, "cordon"),
    ]  # fmt: skip
    known = {one.key: one for one in all_of_it}
    given = []
    while step := next_release(known, AssetId("pdu")):
        given.append([one.name for one in step])
        for one in step:
            del known[one.key]
    assert given == [["ns/b"], ["n1", "n2"], ["n1"]]
    assert next_release({one.key: one for one in all_of_it}, AssetId("other")) == ()


def test_of_two_that_hold_a_cap_the_lower_counts_and_the_last_gives_it_back() -> None:
    both = held(Thing.CAP, "n1", 1).taken(AssetId("twin"), 300).taken(AssetId("twin"), 350)
    assert both.in_force == 300
    left = both.let_go(AssetId("twin"))
    assert left is not None
    assert left.in_force == 400
    assert left.let_go(AssetId("pdu")) is None
    assert held_of({both.key: both, "freeze/x": 1}) == {both.key: both}
    assert both.key == f"{PREFIX}cap/n1"


def state(**changes: object) -> Remediation:
    fields = {
        "remediation_id": "r", "incident_id": "i", "playbook": "node-hung", "mode": Mode.ENFORCE, "cause": Cause.SILENCE,
        "target": NODE, "created_at_ms": NOW, "updated_at_ms": NOW, "memory": {"jobs": {"ns/a": 1, "ns/b": 2}},
    }  # fmt: skip
    return Remediation(**{**fields, **changes})


def test_an_intent_says_until_when_it_may_be_sent_and_take_effect(site: Site) -> None:
    step = next(s for s in BOOKS["node-hung"].ladder[0].steps if s.name == "power-off")
    (item,) = items_of(step, state(), ())
    proposal = proposal_for(step, item, state(), BOOKS["node-hung"], site)
    intent = intent_for(proposal, item, state(), site, attempt=0, epoch=3, now_ms=NOW, boottime_ns=7_000_000_000)
    assert intent.not_after_boottime_ns == 7_000_000_000 + round(SEND_WITHIN_SECONDS * 1e9)
    assert intent.effect_until_ms == NOW + round(1000 * (SEND_WITHIN_SECONDS + 5))
    again = intent_for(proposal, item, state(), site, attempt=1, epoch=3, now_ms=NOW, boottime_ns=0)
    assert again.intent_id != intent.intent_id
    assert (
        intent_for(proposal, item, state(), site, attempt=0, epoch=9, now_ms=NOW + 5, boottime_ns=1).intent_id
        == intent.intent_id
    )


def test_each_job_is_asked_once_and_the_node_itself_is_one_item() -> None:
    ask = next(s for s in BOOKS["gpu-fell-off-bus"].ladder[0].steps if s.name == "checkpoint")
    assert [item.key for item in items_of(ask, state(), ())] == ["ns/a", "ns/b"]
    cordon = BOOKS["node-hung"].ladder[0].steps[0]
    assert [item.arguments for item in items_of(cordon, state(), ())] == [{"node": NODE}]


def test_a_verb_goes_to_the_device_that_has_its_plane(site: Site, tmp_path: Path) -> None:
    assert device_of(Verb.POWER_OFF, NODE, site, {}) == NODE
    assert device_of(Verb.CORDON, NODE, site, {"node": NODE}) == "k8s-1"
    assert device_of(Verb.OUTLET_OFF, NODE, site, {"pdu": "pdu-r01-a"}) == "pdu-r01-a"
    with pytest.raises(NoDevice, match="no bmc"):
        device_of(Verb.POWER_OFF, AssetId("pdu-r01-a"), site, {})


def test_a_plan_is_of_one_ladder_and_one_target() -> None:
    book = BOOKS["node-hung"]
    assert plan_hash(book, NODE) == plan_hash(book.model_copy(update={"mode": Mode.ENFORCE}), NODE)
    assert (
        len({plan_hash(book, NODE), plan_hash(book, AssetId("dgx-002")), plan_hash(BOOKS["gpu-fell-off-bus"], NODE)})
        == 3
    )
