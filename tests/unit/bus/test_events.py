"""Events: CloudEvents that any reader reads, whose ids are derived, and that lose nothing a newer release has added."""

import json

import pytest

from bus.errors import UnknownMajor
from bus.events import (
    AlertEvent,
    AlertState,
    CommandEvent,
    DeviceEvent,
    IncidentAlert,
    IncidentEvent,
    IncidentState,
    RemediationEvent,
    decode_event,
    encode_event,
    rfc3339,
)
from bus.identity import derived_id
from fleet.errors import Malformed

NOW = 1_700_000_000_000


def device(**changes) -> DeviceEvent:
    fields = {
        "asset": "dgx-001", "source": "dgx-001/agent", "kind": "xid", "code": "79", "severity": "critical",
        "text": "GPU has fallen off the bus", "at_ms": NOW, "labels": {"gpu": "3"},
    } | changes  # fmt: skip
    return DeviceEvent(**fields)


def alert(**changes) -> AlertEvent:
    fields = {
        "alert_id": "0" * 32, "rule": "gpu/g/Hot", "alertname": "Hot", "state": AlertState.FIRING, "severity": "critical",
        "labels": {"asset": "dgx-001"}, "annotations": {}, "value": 93.5, "active_since_ms": NOW - 60_000,
        "evaluated_at_ms": NOW, "fingerprint": "0123456789abcdef", "group_interval_seconds": 5.0, "trace": "t",
    } | changes  # fmt: skip
    return AlertEvent(**fields)


def incident(alerts: list[IncidentAlert]) -> IncidentEvent:
    return IncidentEvent(
        incident_id="i", state=IncidentState.OPEN, title="", severity="critical", root="sub-a", alerts=alerts,
        assets=[one.asset for one in alerts], remediations=[], opened_at_ms=NOW, updated_at_ms=NOW, sequence=0, epoch=0,
    )  # fmt: skip


def of_incident(asset: str) -> IncidentAlert:
    return IncidentAlert(
        alert_id=asset, rule="r", alertname="NodeDown", asset=asset, state=AlertState.FIRING,
        labels={"asset": asset, "node": asset, "rack": "r01", "row": "row-01", "zone": "1"},
        annotations={"summary": f"{asset} does not answer", "runbook_url": "docs/runbooks/NodeDown.md"}, since_ms=NOW,
    )  # fmt: skip


def remediation(**changes) -> RemediationEvent:
    fields = {
        "remediation_id": "r", "incident_id": "i", "playbook": "p", "mode": "observe", "step": "s", "phase": "pending",
        "target": "dgx-001", "action": "a", "verb": "power_off", "at_ms": NOW, "sequence": 0, "epoch": 0,
    } | changes  # fmt: skip
    return RemediationEvent(**fields)


def rewritten(event, change) -> bytes:
    document = json.loads(encode_event(event))
    change(document)
    return json.dumps(document).encode()


def test_an_event_is_a_cloudevent():
    document = json.loads(encode_event(device()))
    assert {
        name: document[name] for name in ("specversion", "type", "source", "subject", "time", "datacontenttype")
    } == {
        "specversion": "1.0",
        "type": "io.hallkeeper.device.v1",
        "source": "/hallkeeper/collectors",
        "subject": "dgx-001",
        "time": "2023-11-14T22:13:20.000Z",
        "datacontenttype": "application/json",
    }


def test_an_alert_event_id_is_derived_from_alert_state_and_activity():
    event = alert()
    assert json.loads(encode_event(event))["id"] == derived_id("0" * 32, "firing", NOW - 60_000)
    assert event.event_id() == alert(value=99.0, evaluated_at_ms=NOW + 1, trace="another worker's").event_id()
    assert event.event_id() != alert(state=AlertState.RESOLVED).event_id()


def test_two_gpus_that_fall_in_the_same_millisecond_are_two_events():
    assert device(labels={"gpu": "1"}).event_id() != device(labels={"gpu": "2"}).event_id()


def test_the_class_of_an_act_is_called_class_on_the_wire():
    document = json.loads(encode_event(remediation(class_="A3")))
    assert document["data"]["class"] == "A3"
    assert decode_event(json.dumps(document).encode()).class_ == "A3"


def test_fields_that_a_newer_release_added_are_given_back_at_every_depth():
    def newer(document):
        document["traceparent"] = "00-4bf9"
        document["data"]["blast"] = {"racks": ["r01"]}
        document["data"]["alerts"][0]["unknown"] = "a field of that very name"
        document["data"]["alerts"][0]["weight"] = 7

    value = rewritten(incident([of_incident("dgx-001")]), newer)
    event = decode_event(value)
    assert event.alerts[0].asset == "dgx-001"
    assert json.loads(encode_event(event)) == json.loads(value)


def test_what_this_release_knows_wins_over_what_it_only_kept():
    event = decode_event(rewritten(alert(), lambda document: document.update(extra=1)))
    assert json.loads(encode_event(event))["extra"] == 1
    forged = alert(unknown={"severity": "info", "later": 1})
    assert json.loads(encode_event(forged))["data"]["severity"] == "critical"


@pytest.mark.parametrize("kind", ["io.hallkeeper.alert.v2", "io.hallkeeper.device.v10", "io.hallkeeper.weather.v1"])
def test_a_major_version_or_type_of_a_newer_release_is_parked_never_guessed(kind):
    with pytest.raises(UnknownMajor) as raised:
        decode_event(rewritten(alert(), lambda document: document.update(type=kind)))
    assert raised.value.kind == kind


@pytest.mark.parametrize(("value", "wire"), [(float("nan"), "NaN"), (float("inf"), "+Inf"), (float("-inf"), "-Inf")])
def test_a_value_that_json_cannot_carry_travels_as_prometheus_writes_it(value, wire):
    encoded = encode_event(alert(value=value))
    assert json.loads(encoded)["data"]["value"] == wire
    assert repr(float(decode_event(encoded).value)) == repr(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_anywhere_else_are_refused(value):
    with pytest.raises(Malformed, match="is not a number that JSON carries"):
        encode_event(remediation(arguments={"watts": value}))


def nested(depth: int) -> object:
    return {"a": nested(depth - 1)} if depth else 1


def test_eight_levels_pass_and_nine_are_refused():
    assert decode_event(encode_event(remediation(arguments=nested(6)))).arguments == nested(6)
    with pytest.raises(Malformed, match="more than 8 levels"):
        encode_event(remediation(arguments=nested(7)))


def test_an_event_over_64_kib_is_refused_on_both_ways():
    with pytest.raises(Malformed, match="over the limit of 65536"):
        encode_event(device(text="x" * 65_536))
    with pytest.raises(Malformed, match="over the limit of 65536"):
        decode_event(rewritten(device(), lambda document: document["data"].update(text="x" * 65_536)))


def test_an_incident_of_375_nodes_is_one_event():
    event = incident([of_incident(f"dgx-{number:03}") for number in range(375)])
    assert decode_event(encode_event(event)) == event


def test_an_event_from_the_future_is_refused_by_who_says_what_time_it_is():
    value = encode_event(device(at_ms=NOW + 5_001))
    assert decode_event(value)
    assert decode_event(value, now_ms=NOW + 1)
    with pytest.raises(Malformed, match="in the future"):
        decode_event(value, now_ms=NOW)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "not an event"),
        (b"[]", "an object"),
        (b'{"data": 1}', "an object"),
        (b"{" * 2_000, "not an event"),
        (b"[" * 60_000, "not an event"),
        (b'{"data":{},"specversion":"0.3"}', "version '0.3'"),
        (b'{"data":{},"specversion":"1.0"}', "its id"),
        (b'{"data":{},"specversion":"1.0","id":""}', "its id"),
        (b'{"data":{},"specversion":"1.0","id":"x"}', "not one of Hallkeeper's"),
        (b'{"data":{},"specversion":"1.0","id":"x","type":"com.example.v1"}', "not one of Hallkeeper's"),
        (b'{"data":{},"specversion":"1.0","id":"x","type":["io.hallkeeper.alert.v1"]}', "not one of Hallkeeper's"),
        (b'{"data":{},"specversion":"1.0","id":"x","type":"io.hallkeeper.alert.v1"}', "missing required field"),
        (b'{"data":{"a":"\xff"},"specversion":"1.0"}', "not an event"),
        (b'{"data":{"a":1e999},"specversion":"1.0"}', "not an event"),
    ],
)
def test_bytes_that_are_not_an_event_are_malformed_with_a_reason(value, reason):
    with pytest.raises(Malformed, match=reason):
        decode_event(value)


@pytest.mark.parametrize(
    "change",
    [
        {"severity": "urgent"},
        {"asset": ""},
        {"asset": 7},
        {"at_ms": 1.5},
        {"at_ms": "now"},
        {"labels": {"gpu": 3}},
        {"labels": None},
    ],
)
def test_a_field_of_the_wrong_type_is_malformed(change):
    with pytest.raises(Malformed, match=r"io\.hallkeeper\.device\.v1"):
        decode_event(rewritten(device(), lambda document: document["data"].update(change)))


def test_a_time_that_no_calendar_holds_is_malformed_not_a_crash():
    with pytest.raises(Malformed, match="is not a time"):
        rfc3339(10**18)


def test_a_command_is_keyed_by_its_subject():
    command = CommandEvent(
        command_id="c", kind="lockout", subject="r01", actor="a", role="operator", reason="", at_ms=NOW
    )
    assert (command.key(), command.event_id()) == ("r01", derived_id("c"))
