"""Every action is declared whole: what it is, what stands before it, what takes it back and what proves it."""

from pathlib import Path
from string import Formatter

import pytest

from devices.orders import POWER_GOALS, VERBS
from remediator.actions import ACTIONS, EVERY_ACT, Action
from remediator.actions_page import actions_page
from remediator.gates import GATES
from remediator.verbs import ActionClass, Plane, Verb

NEVER = (
    *("breaker", "contactor", "valve", "trip", "generator", "genset", "fire", "estop", "e_stop", "emergency", "relay"),
    *("cycle", "toggle", "bess_connect", "bess_disconnect"),
)
EACH = [pytest.param(action, id=verb.value) for verb, action in ACTIONS.items()]


def test_every_verb_has_one_action_and_each_lies_in_a_file_of_its_room() -> None:
    assert set(ACTIONS) == set(Verb)


@pytest.mark.parametrize("action", EACH)
def test_the_gates_it_names_are_gates_beyond_those_that_everything_passes(action: Action) -> None:
    known = {name for name, _ in GATES}
    assert set(EVERY_ACT) <= known
    assert set(action.gates) <= known


@pytest.mark.parametrize("action", EACH)
def test_it_is_taken_back_or_says_why_not(action: Action) -> None:
    assert (action.reversal is None) == bool(action.lasting)
    if action.reversal is not None:
        assert ACTIONS[action.reversal].traits.plane in {action.traits.plane, Plane.BMC}


@pytest.mark.parametrize("action", EACH)
def test_its_lock_names_the_device_and_only_arguments_it_must_have(action: Action) -> None:
    fields = {name for _, name, _, _ in Formatter().parse(action.lock) if name}
    assert "device" in fields
    assert fields - {"device"} <= set(action.arguments)


@pytest.mark.parametrize("action", EACH)
def test_what_switches_a_machine_off_asks_for_death_or_drain_and_for_people(action: Action) -> None:
    if action.traits.cuts:
        assert action.traits.class_ >= ActionClass.A3
        assert {"proof_of_death", "approval"} <= set(action.gates)
    if POWER_GOALS.get(action.verb) == "off":
        assert action.traits.cuts


@pytest.mark.parametrize("action", EACH)
def test_what_adds_load_passes_headroom(action: Action) -> None:
    if action.traits.energises:
        assert "headroom" in action.gates


@pytest.mark.parametrize("action", EACH)
def test_the_protective_lane_tightens_without_switching_and_never_adds_load(action: Action) -> None:
    if action.traits.tightens:
        assert not action.traits.energises
        assert action.traits.class_ <= ActionClass.A2


def test_no_verb_touches_breakers_contactors_valves_generators_fire_or_emergency_stops() -> None:
    for verb in {*Verb, *VERBS}:
        assert not any(word in verb for word in NEVER), verb


def test_the_page_of_actions_is_the_one_that_was_generated() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "reference" / "actions.md"
    assert page.read_text() == actions_page(), "try: make docs"
