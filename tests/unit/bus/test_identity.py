"""Derived ids: fixed by the design and by Alertmanager, so that nobody's page comes twice."""

import hashlib

import pytest

from bus.identity import alert_id, derived_id, fingerprint


@pytest.mark.parametrize(
    ("labels", "known"),
    [
        ({}, 14695981039346656037),
        ({"name": "garland, briggs", "fear": "love is not enough"}, 5799056148416392346),
        ({"first_name": "electro", "occupation": "robot", "manufacturer": "westinghouse"}, 5911716720268894962),
        ({"x": "y"}, 8241431561484471700),
    ],
)
def test_the_fingerprint_is_alertmanagers(labels, known):
    assert fingerprint(labels) == f"{known:016x}"


def test_the_fingerprint_does_not_ask_for_an_order():
    assert fingerprint({"b": "1", "a": "2"}) == fingerprint({"a": "2", "b": "1"})


def test_an_alert_id_is_half_a_sha256_over_rule_and_fingerprint():
    uid, print_ = "power/phases.yaml/phases/PhaseOverload#2", "cbf29ce484222325"
    assert alert_id(uid, print_) == hashlib.sha256(f"{uid}\n{print_}".encode()).digest()[:16].hex()


def test_an_id_is_made_of_its_parts_with_a_newline_between():
    assert derived_id("a", "firing", 17) == hashlib.sha256(b"a\nfiring\n17").digest()[:16].hex()
