"""Each gate, every variant: what it refuses, with which code, and what it lets by."""

from dataclasses import replace

import pytest

from fleet.model import AssetId, Domain, Kind
from remediator.facts import (
    Approval,
    Breaker,
    BreakerState,
    Budget,
    Evidence,
    Facts,
    Freeze,
    Headroom,
    History,
    Instrument,
    JobImpact,
    Lockout,
    Proposal,
    Stop,
    Traffic,
)
from remediator.gates import GATES, judge
from remediator.verbs import ActionClass, Cause, Lane, Mode, Verb
from remediator.vitals import Drain, Outlet, Vitals

NOW = 1_700_000_000_000
NODE, K8S, RACK = AssetId("dgx-001"), AssetId("k8s-1"), AssetId("r01")
DOMAIN = Domain(kind=Kind.RACK, id=RACK)


def seen(instrument: Instrument, age_ms: int = 1_000, **changes: object) -> Evidence:
    return Evidence(instrument=instrument, metric="m", asset=NODE, at_ms=NOW - age_ms, interval_ms=2_000, **changes)


DEAD = Vitals(
    silent_seconds=20,
    bmc_on=True,
    outlets=(Outlet(name=AssetId("p#1"), watts=1000, usual_watts=4500),) * 2,
    idle_watts=2000,
    fabric="down",
)
OFF = replace(DEAD, outlets=(Outlet(name=AssetId("p#1"), watts=10, usual_watts=4500),) * 2)
WELL = Facts(
    now_ms=NOW,
    scope=frozenset({NODE, RACK}),
    bus_lag_ms=200,
    clock_offset_ms=5,
    evidence=(
        seen(Instrument.OUTLET_METER),
        seen(Instrument.BMC),
        seen(Instrument.SCHEDULER),
        seen(Instrument.PHASE_METER),
    ),
    vitals=DEAD,
    drain=Drain(workload_pods=0),
    history=History(active_seconds=60, hold_down_seconds=5),
    budgets=(Budget(domain=DOMAIN, allowed=1, in_use=0),),
    headroom=(Headroom(where="pdu", limit=100, load=50, after_act=10, after_reversal=10),),
    plan="p",
)


def ask(verb: Verb = Verb.POWER_OFF, cause: Cause = Cause.SILENCE, **changes: object) -> Proposal:
    fields: dict[str, object] = {
        "remediation": "r", "incident": "i", "playbook": "node-hung", "step": "s", "lane": Lane.CORRECTIVE,
        "mode": Mode.ENFORCE, "target": NODE, "device": NODE,
    }  # fmt: skip
    return Proposal(verb=verb, cause=cause, **{**fields, **changes})


def protective(verb: Verb = Verb.GPU_POWER_LIMIT, **changes: object) -> Proposal:
    return ask(verb, Cause.OVERLOAD, **{"lane": Lane.PROTECTIVE, **changes})


def test_a_dead_node_with_good_evidence_passes_every_gate() -> None:
    judgement = judge(ask(), WELL)
    assert judgement.refusal is None
    assert [line.gate for line in judgement.lines] == [name for name, _ in GATES]


def test_the_gates_stand_in_the_order_of_the_design() -> None:
    assert [name for name, _ in GATES] == [
        "lockout", "stop", "protected", "freshness", "trust", "proof_of_death", "mass_failure", "inhibition",
        "maintenance", "hold_down", "attempts", "blast_radius", "traffic", "headroom", "job_impact", "breaker", "approval",
    ]  # fmt: skip


FIRST = "first refusal"
REFUSED = [
    # lockout
    ("lockout", "lockout", ask(), replace(WELL, lockouts=(Lockout(asset=RACK, actor="a", reason="r"),))),
    ("lockout", "lockout", ask(Verb.POWER_ON), replace(WELL, lockouts=(Lockout(asset=NODE, actor="a", reason="r"),))),
    ("lockout", "lockout", protective(), replace(WELL, lockouts=(Lockout(asset=NODE, actor="a", reason="r"),))),
    ("lockout", "lockout", ask(Verb.UNCORDON), replace(WELL, lockouts=(Lockout(asset=NODE, actor="a", reason="r"),))),
    # stop switch
    ("stop", "stopped", ask(), replace(WELL, stop=Stop.CORRECTIVE)),
    ("stop", "stopped", ask(), replace(WELL, stop=Stop.ALL)),
    ("stop", "stopped", protective(), replace(WELL, stop=Stop.ALL)),
    # protected set
    ("protected", "protected", ask(), replace(WELL, protected=frozenset({NODE}))),
    ("protected", "protected", ask(Verb.CORDON, device=K8S), replace(WELL, protected=frozenset({NODE}))),
    ("protected", "protected", protective(Verb.OUTLET_OFF, device=AssetId("pdu")), replace(WELL, protected=frozenset({AssetId("pdu")}))),
    # freshness and bus lag
    ("freshness", "bus_lag_unknown", ask(), replace(WELL, bus_lag_ms=None)),
    ("freshness", "bus_lag", ask(), replace(WELL, bus_lag_ms=10_001)),
    ("freshness", "bus_lag", ask(Verb.CORDON, device=K8S), replace(WELL, bus_lag_ms=30_001)),
    ("freshness", "clock_unknown", ask(), replace(WELL, clock_offset_ms=None)),
    ("freshness", "clock_offset", ask(), replace(WELL, clock_offset_ms=-1_001)),
    ("freshness", "stale", ask(), replace(WELL, evidence=(seen(Instrument.OUTLET_METER, 4_100),))),
    ("freshness", "stale", ask(), replace(WELL, evidence=(seen(Instrument.OUTLET_METER, 10_100),))),
    ("freshness", "stale_meter", ask(), replace(WELL, evidence=(seen(Instrument.BMC), seen(Instrument.SCHEDULER)))),
    ("freshness", "stale_meter", protective(), replace(WELL, evidence=(seen(Instrument.AGENT),))),
    # sensor trust
    ("trust", "untrusted", ask(Verb.CORDON, device=K8S), replace(WELL, evidence=(seen(Instrument.SCHEDULER, good=False),))),
    ("trust", "one_kind", ask(), replace(WELL, evidence=(seen(Instrument.OUTLET_METER), seen(Instrument.BMC, good=False)))),
    ("trust", "one_kind", ask(), replace(WELL, evidence=(seen(Instrument.OUTLET_METER),) * 2)),
    # proof of death: silence
    ("proof_of_death", "alive_in_band", ask(), replace(WELL, vitals=replace(DEAD, alive_in_band=("agent",)))),
    ("proof_of_death", "alive_in_band", ask(Verb.CORDON, device=K8S), replace(WELL, vitals=replace(DEAD, alive_in_band=("agent",)))),
    ("proof_of_death", "alive_behind_partition", ask(), replace(WELL, vitals=replace(DEAD, fabric="active", outlets=(Outlet(name=AssetId("p#1"), watts=2800, usual_watts=4500),)))),
    ("proof_of_death", "alive_behind_partition", ask(), replace(WELL, vitals=replace(DEAD, fabric="counting", outlets=(Outlet(name=AssetId("p#1"), watts=2800, usual_watts=4500),)))),
    ("proof_of_death", "alive_behind_partition", ask(), replace(WELL, vitals=replace(DEAD, fabric="active", outlets=(Outlet(name=AssetId("p#1"), watts=1900, usual_watts=None),)))),
    ("proof_of_death", "never_seen", ask(), replace(WELL, vitals=replace(DEAD, silent_seconds=None))),
    ("proof_of_death", "no_plane_agrees", ask(), replace(WELL, vitals=Vitals(silent_seconds=20, bmc_on=True, idle_watts=2000))),
    ("proof_of_death", "no_plane_agrees", ask(), replace(WELL, vitals=Vitals(silent_seconds=20, bmc_on=False, idle_watts=2000, outlets=(Outlet(name=AssetId("p#1"), watts=4000, usual_watts=4500),)))),
    ("proof_of_death", "alive_in_band", ask(Verb.TAINT_OUT_OF_SERVICE, device=K8S), replace(WELL, vitals=replace(DEAD, alive_in_band=("agent",)))),
    ("proof_of_death", "alive_in_band", ask(Verb.DELETE_POD, device=K8S), replace(WELL, vitals=replace(DEAD, alive_in_band=("agent",)))),
    # proof of death: a fault that a living node reports
    ("proof_of_death", "not_drained", ask(cause=Cause.REPORTED_FAULT), replace(WELL, drain=Drain(workload_pods=2))),
    ("proof_of_death", "drain_unknown", ask(cause=Cause.REPORTED_FAULT), replace(WELL, drain=Drain())),
    ("proof_of_death", "not_off", ask(Verb.TAINT_OUT_OF_SERVICE, Cause.REPORTED_FAULT, device=K8S), WELL),
    ("proof_of_death", "running_host", protective(Verb.OUTLET_OFF), replace(WELL, vitals=replace(OFF, bmc_on=True), policy_armed=True)),
    # mass failure, inhibition, maintenance
    ("mass_failure", "frozen", ask(), replace(WELL, freezes=(Freeze(code="c", text="t", since_ms=0),))),
    ("inhibition", "inhibited", ask(), replace(WELL, inhibited_by="PduFeedLost on pdu")),
    ("maintenance", "maintenance", ask(Verb.POWER_ON), replace(WELL, maintenance=("row-01 by alice",))),
    # hold-down and cool-down
    ("hold_down", "hold_down", ask(), replace(WELL, history=History(active_seconds=4, hold_down_seconds=5))),
    ("hold_down", "cool_down", ask(), replace(WELL, history=History(active_seconds=9, cool_down_left_seconds=1))),
    ("hold_down", "effect_open", ask(), replace(WELL, history=History(active_seconds=9, window_left_seconds=1))),
    ("hold_down", "effect_open", ask(Verb.UNCORDON, device=K8S), replace(WELL, history=History(active_seconds=9, window_left_seconds=1))),
    # attempt budget
    ("attempts", "tries", ask(), replace(WELL, history=History(active_seconds=9, tries=2, tries_allowed=2))),
    ("attempts", "cycles_per_day", ask(), replace(WELL, history=History(active_seconds=9, cycles_day=3))),
    ("attempts", "lemon", ask(), replace(WELL, history=History(active_seconds=9, remediations_week=6))),
    # blast radius, concurrency, rate
    ("blast_radius", "blast_radius", ask(), replace(WELL, budgets=(Budget(domain=DOMAIN, allowed=1, in_use=1),))),
    ("blast_radius", "blast_radius", ask(), replace(WELL, budgets=(Budget(domain=DOMAIN, allowed=0, in_use=0),))),
    ("traffic", "device_busy", ask(), replace(WELL, traffic=Traffic(running_on_device=1))),
    ("traffic", "concurrency", ask(), replace(WELL, traffic=Traffic(running_in_class=8))),
    ("traffic", "rate", ask(), replace(WELL, traffic=Traffic(sent_last_minute=6))),
    # headroom
    ("headroom", "headroom", ask(Verb.POWER_ON), replace(WELL, headroom=(Headroom(where="p", limit=100, load=85, after_act=10),))),
    ("headroom", "headroom", ask(), replace(WELL, headroom=(Headroom(where="p", limit=100, load=85, after_reversal=10),))),
    ("headroom", "headroom_unknown", ask(Verb.POWER_ON), replace(WELL, headroom=(Headroom(where="p", limit=100, load=None),))),
    ("headroom", "cooling", ask(Verb.POWER_ON), replace(WELL, cooling_alerts=("cdu-1",))),
    ("headroom", "headroom", protective(release=True), replace(WELL, headroom=(Headroom(where="p", limit=100, load=85, after_act=10),))),
    # job impact
    ("job_impact", "job_impact", ask(cause=Cause.REPORTED_FAULT), replace(WELL, jobs=(JobImpact(job="j", gpus=513),))),
    # breaker
    ("breaker", "breaker", ask(), replace(WELL, breakers=(Breaker(domain=DOMAIN, class_=ActionClass.A3, state=BreakerState.OPEN),))),
    ("breaker", "breaker", ask(), replace(WELL, breakers=(Breaker(domain=DOMAIN, class_=ActionClass.A3, state=BreakerState.HALF_OPEN, probing=True),))),
    # approval
    ("approval", "approval", ask(mode=Mode.APPROVE), WELL),
    ("approval", "approval", ask(mode=Mode.APPROVE), replace(WELL, approvals=(Approval(actor="a", role="operator", plan="p", expires_at_ms=NOW),))),
    ("approval", "approval", ask(mode=Mode.APPROVE), replace(WELL, approvals=(Approval(actor="a", role="operator", plan="another", expires_at_ms=NOW + 1),))),
    ("approval", "approval", ask(mode=Mode.APPROVE), replace(WELL, approvals=(Approval(actor="a", role="service", plan="p", expires_at_ms=NOW + 1),))),
    ("approval", "policy", protective(Verb.OUTLET_OFF), replace(WELL, vitals=replace(OFF, bmc_on=False))),
    ("approval", "policy", protective(Verb.OUTLET_OFF), replace(WELL, vitals=replace(OFF, bmc_on=False), approvals=(Approval(actor="a", role="admin", plan="p", expires_at_ms=NOW + 1),) * 2)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("gate", "code", "proposal", "facts"), REFUSED, ids=[f"{r[0]}-{r[1]}-{n}" for n, r in enumerate(REFUSED)]
)
def test_a_gate_refuses(gate: str, code: str, proposal: Proposal, facts: Facts) -> None:
    judgement = judge(proposal, facts)
    assert judgement.refusal is not None
    assert (judgement.gate, judgement.refusal.code) == (gate, code)
    assert judgement.refusal.text


YES = Approval(actor="a", role="operator", plan="p", expires_at_ms=NOW + 1)
PASSED = [
    ("a lock elsewhere", ask(), replace(WELL, lockouts=(Lockout(asset=AssetId("r09"), actor="a", reason="r"),))),
    ("stop leaves the protective lane", protective(), replace(WELL, stop=Stop.CORRECTIVE)),
    ("asking a protected scheduler is not touching it", ask(Verb.CORDON, device=K8S), replace(WELL, protected=frozenset({K8S}))),
    ("others may be 30 s behind", ask(Verb.CORDON, device=K8S), replace(WELL, bus_lag_ms=29_000)),
    ("the protective lane needs no bus", protective(), replace(WELL, bus_lag_ms=None)),
    ("power off by the BMC's word and idle watts", ask(), replace(WELL, vitals=replace(DEAD, bmc_on=False))),
    ("the watchdog's record", ask(), replace(WELL, vitals=Vitals(silent_seconds=20, idle_watts=2000, stop_events=("0x23:0x0",)))),
    ("a port that is down", ask(), replace(WELL, vitals=Vitals(silent_seconds=20, idle_watts=2000, fabric="down"))),
    ("on and idle watts are not life", ask(), replace(WELL, vitals=replace(DEAD, bmc_on=True, fabric=None))),
    ("zero watts prove the machine off", ask(Verb.TAINT_OUT_OF_SERVICE, Cause.REPORTED_FAULT, device=K8S), replace(WELL, vitals=OFF)),
    ("an acknowledged checkpoint", ask(cause=Cause.REPORTED_FAULT), replace(WELL, drain=Drain(workload_pods=2, acknowledged=True))),
    ("the deadline passed", ask(cause=Cause.REPORTED_FAULT), replace(WELL, drain=Drain(workload_pods=2, deadline_passed=True))),
    ("a freeze lets a healthy node be given back", ask(Verb.UNCORDON, device=K8S), replace(WELL, freezes=(Freeze(code="c", text="t", since_ms=0),))),
    ("a breaker never blocks uncordon", ask(Verb.UNCORDON, device=K8S), replace(WELL, breakers=(Breaker(domain=DOMAIN, class_=ActionClass.A1, state=BreakerState.OPEN),))),
    ("a breaker never blocks an uncap", protective(release=True), replace(WELL, breakers=(Breaker(domain=DOMAIN, class_=ActionClass.A1, state=BreakerState.OPEN),))),
    ("a half-open breaker lets one probe by", ask(), replace(WELL, breakers=(Breaker(domain=DOMAIN, class_=ActionClass.A3, state=BreakerState.HALF_OPEN),))),
    ("a breaker of another class", ask(), replace(WELL, breakers=(Breaker(domain=DOMAIN, class_=ActionClass.A2, state=BreakerState.OPEN),))),
    ("approved", ask(mode=Mode.APPROVE), replace(WELL, approvals=(YES,))),
    ("a large job, approved", ask(cause=Cause.REPORTED_FAULT), replace(WELL, jobs=(JobImpact(job="j", gpus=513),), approvals=(YES,))),
    ("a large job of a dead node is lost already", ask(), replace(WELL, jobs=(JobImpact(job="j", gpus=5130),))),
    ("a policy that is armed", protective(Verb.OUTLET_OFF), replace(WELL, vitals=replace(OFF, bmc_on=False), policy_armed=True)),
    ("two persons", protective(Verb.OUTLET_OFF), replace(WELL, vitals=replace(OFF, bmc_on=False), approvals=(YES, replace(YES, actor="b")))),
    ("the protective lane caps without asking", protective(), WELL),
    ("an unmetered feeder stops no switching off", ask(), replace(WELL, headroom=(Headroom(where="p", limit=100, load=None),))),
]  # fmt: skip


@pytest.mark.parametrize(("why", "proposal", "facts"), PASSED, ids=[row[0] for row in PASSED])
def test_the_gates_let_by(why: str, proposal: Proposal, facts: Facts) -> None:
    judgement = judge(proposal, facts)
    assert judgement.refusal is None, judgement.refusal
