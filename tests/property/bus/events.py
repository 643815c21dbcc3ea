"""Any event that Hallkeeper may write."""

from hypothesis import strategies as st

from bus.events import (
    AlertEvent,
    AlertState,
    ClaimEvent,
    CommandEvent,
    DeviceEvent,
    GateResult,
    IncidentAlert,
    IncidentEvent,
    IncidentState,
    Moment,
    Proof,
    Reason,
    RemediationEvent,
)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
name = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
labels = st.dictionaries(text, text, max_size=4)
instant = st.integers(0, 4_102_444_800_000)
count = st.integers(0, 2**53)
finite = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | finite | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
).filter(lambda value: depth(value) <= 5)
details = st.dictionaries(text, plain, max_size=3)
state = st.sampled_from(AlertState)


def depth(value: object) -> int:
    if isinstance(value, dict | list):
        return 1 + max([depth(inner) for inner in (value.values() if isinstance(value, dict) else value)], default=0)
    return 0


devices = st.builds(
    DeviceEvent, asset=name, source=text, kind=name, code=text, severity=st.sampled_from(["info", "warning", "critical"]),
    text=text, at_ms=instant, labels=labels,
)  # fmt: skip
alerts = st.builds(
    AlertEvent, alert_id=name, rule=name, alertname=text, state=state, severity=text, labels=labels, annotations=labels,
    value=st.floats(), active_since_ms=instant, evaluated_at_ms=instant,
    fingerprint=st.integers(0, 2**64 - 1).map("{:016x}".format), group_interval_seconds=finite, trace=text,
)  # fmt: skip
incidents = st.builds(
    IncidentEvent, incident_id=name, state=st.sampled_from(IncidentState), title=text, severity=text, root=text,
    alerts=st.lists(
        st.builds(
            IncidentAlert, alert_id=text, rule=text, alertname=text, asset=text, state=state, severity=text, labels=labels,
            annotations=labels, since_ms=instant,
        ),
        max_size=3,
    ),
    assets=st.lists(text, max_size=3), remediations=st.lists(text, max_size=3), opened_at_ms=instant, updated_at_ms=instant,
    ended_at_ms=st.none() | instant, outcome=st.none() | text, pages=st.booleans(),
    timeline=st.lists(st.builds(Moment, at_ms=instant, kind=text, text=text), max_size=3), sequence=count, epoch=count,
    trace=text,
)  # fmt: skip
remediations = st.builds(
    RemediationEvent, remediation_id=name, incident_id=text, playbook=text, mode=text, step=text, phase=text, target=text,
    action=text, verb=text, intent_id=st.none() | text, outcome=st.none() | text,
    reason=st.none() | st.builds(Reason, code=text, text=text),
    gates=st.lists(st.builds(GateResult, gate=text, passed=st.booleans(), text=text), max_size=3), arguments=details,
    proof=st.lists(st.builds(Proof, metric=text, labels=labels, value=finite, at_ms=instant, passed=st.booleans()), max_size=3),
    lane=st.sampled_from(["protective", "corrective"]), class_=text, at_ms=instant, sequence=count, epoch=count, trace=text,
)  # fmt: skip
commands = st.builds(
    CommandEvent, command_id=name, kind=text, subject=name, actor=text, role=text, reason=text, at_ms=instant,
    expires_at_ms=st.none() | instant, details=details,
)  # fmt: skip
claims = st.builds(
    ClaimEvent, subject=name, claimant=name, epoch=st.none() | count, sequence=count, at_ms=instant, lease_seconds=finite,
    released=st.booleans(),
)  # fmt: skip
events = st.one_of(devices, alerts, incidents, remediations, commands, claims)
