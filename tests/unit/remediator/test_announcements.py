"""What is told rather than commanded: on the bus before it counts, on the incident's timeline once, and no device's business."""

from pathlib import Path

import msgspec
import pytest

from bus.events import AlertState
from fleet.model import AssetId
from remediator.announce import MOST_TEXT, TOLD, announced, told_by
from remediator.causes import Symptom
from remediator.incident_book import IncidentBook
from remediator.outcomes import Succeeded
from remediator.pages import page_reason
from remediator.playbook import Playbook
from remediator.records import Intent, StepDone
from remediator.transitions import Phase
from remediator.verbs import TRAITS, Lane, Plane, Verb
from tests.unit.remediator.fakes.world import OneWorld

NODE = "dgx-001"
TELLING = Playbook.model_validate({
    "playbook": "node-hung", "purpose": "People are told, and nothing is commanded.", "lane": "corrective", "cause": "reported_fault",
    "rules": ["a.yaml/g/A"], "hold_down_seconds": 0,
    "ladder": [{"rung": "only", "ends": "handed_over", "steps": [
        {"name": "page", "act": "page", "with": {"text": "look at the rack"}, "otherwise": "continue"},
        {"name": "ticket", "act": "ticket", "with": {"text": "mend it", "severity": "info"}},
    ]}],
})  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> OneWorld:
    return OneWorld(tmp_path)


def test_only_what_has_no_device_is_told() -> None:
    assert {Verb.PAGE, Verb.TICKET, Verb.ISOLATION_REQUEST} == TOLD
    assert all(TRAITS[verb].plane is Plane.BUS for verb in TOLD)


async def test_telling_sends_nothing_to_any_device_and_is_told_once(world: OneWorld) -> None:
    async with world.running():
        course = await world.drive(world.course("node-hung", NODE, book=TELLING), 20)
        assert world.actuator.executed == []
        assert [verb for verb, _ in told_by(course.state.done)] == ["page", "ticket"], course.state
        again = await world.drive(world.course("node-hung", NODE, book=TELLING), 5)
        assert told_by(again.state.done) == told_by(course.state.done)


async def test_what_the_bus_did_not_take_was_not_told(world: OneWorld) -> None:
    async with world.running():
        world.flushes = False
        course = await world.drive(world.course("node-hung", NODE, book=TELLING), 20)
        assert told_by(course.state.done) == ()


def intent(verb: Verb, **arguments: object) -> Intent:
    return Intent(
        intent_id="i", remediation_id="r", step="s", verb=verb, device=AssetId(NODE), target=AssetId(NODE), lock="l",
        arguments=arguments, class_=0, lane=Lane.CORRECTIVE, epoch=1, created_at_ms=1, not_after_boottime_ns=1, effect_until_ms=1,
    )  # fmt: skip


def test_a_request_to_the_building_names_what_and_is_bounded() -> None:
    ended = announced(intent(Verb.ISOLATION_REQUEST, what="coolant"), 5)
    assert isinstance(ended.outcome, Succeeded)
    assert ended.outcome.text == f"{NODE}: asks the building to isolate coolant"
    assert len(announced(intent(Verb.TICKET, text="x" * 9_000), 5).outcome.text) == MOST_TEXT


def test_a_page_of_a_playbook_pages_and_a_ticket_stands_on_the_timeline_once(world: OneWorld) -> None:
    book = IncidentBook(world.site)
    alert = Symptom(
        alert_id="a1", rule="a.yaml/g/A", alertname="A", asset=AssetId(NODE), named=True, state=AlertState.FIRING,
        severity="warning", labels={}, annotations={}, since_ms=0,
    )  # fmt: skip
    book.take(alert, 0)
    (incident,) = book.open
    state = world.remediation("node-hung", NODE)
    done = StepDone(rung=0, step="ticket", outcome="Succeeded", verb="ticket", text=f"{NODE}: mend it")
    state = msgspec.structs.replace(state, incident_id=incident.incident_id, done=(done,), phase=Phase.ADMITTED)
    book.heed(state, 61_000)
    book.heed(msgspec.structs.replace(state, phase=Phase.EXECUTING), 62_000)
    now = book.incident(incident.incident_id)
    assert now is not None
    assert [moment.text for moment in now.timeline if moment.kind == "ticket"] == [f"{NODE}: mend it"]
    assert page_reason(now, 63_000, site=world.site, answers=lambda *_: None) is None
    paged = StepDone(rung=0, step="page", outcome="Succeeded", verb="page", text=f"{NODE}: look")
    book.heed(msgspec.structs.replace(state, done=(done, paged)), 64_000)
    now = book.incident(incident.incident_id)
    assert now is not None
    assert page_reason(now, 65_000, site=world.site, answers=lambda *_: None) == f"node-hung: {NODE}: look"
