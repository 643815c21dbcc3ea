"""Worse facts never turn a refusal into a pass: each gate, under everything that makes matters worse."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

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
NODE, DEVICE = AssetId("dgx-001"), AssetId("k8s-1")
DOMAINS = [Domain(kind=Kind.RACK, id=AssetId("r01")), Domain(kind=Kind.ROW, id=AssetId("row-01"))]

small = st.integers(0, 8)
evidence = st.builds(
    Evidence,
    instrument=st.sampled_from(Instrument),
    metric=st.just("m"),
    asset=st.just(NODE),
    at_ms=st.integers(NOW - 40_000, NOW),
    interval_ms=st.sampled_from([1_000, 2_000, 10_000]),
    refresh_ms=st.sampled_from([0, 1_000]),
    good=st.booleans(),
)
watts = st.none() | st.floats(0, 6_000)
vitals = st.builds(
    Vitals,
    alive_in_band=st.sampled_from([(), ("agent",)]),
    silent_seconds=st.none() | st.floats(0, 100),
    bmc_on=st.none() | st.booleans(),
    stop_events=st.sampled_from([(), ("0x23",)]),
    outlets=st.lists(st.builds(Outlet, name=st.just(AssetId("p#1")), watts=watts, usual_watts=watts), max_size=2).map(
        tuple
    ),
    idle_watts=st.just(2_000.0),
    fabric=st.sampled_from([None, "active", "counting", "down"]),
)
headroom = st.builds(
    Headroom,
    where=st.just("p"),
    limit=st.just(100.0),
    load=st.none() | st.floats(0, 120),
    after_act=st.floats(0, 50),
    after_reversal=st.floats(0, 50),
)
approval = st.builds(
    Approval,
    actor=st.sampled_from(["a", "b"]),
    role=st.sampled_from(["operator", "admin", "service"]),
    plan=st.sampled_from(["p", "q"]),
    expires_at_ms=st.sampled_from([NOW - 1, NOW + 1]),
)
facts_of = st.builds(
    Facts,
    now_ms=st.just(NOW),
    lockouts=st.just(()),
    scope=st.just(frozenset({NODE, AssetId("r01")})),
    stop=st.sampled_from(Stop),
    bus_lag_ms=st.none() | st.floats(0, 40_000),
    clock_offset_ms=st.none() | st.floats(-2_000, 2_000),
    evidence=st.lists(evidence, max_size=4).map(tuple),
    vitals=vitals,
    drain=st.builds(Drain, workload_pods=st.none() | small, acknowledged=st.booleans(), deadline_passed=st.booleans()),
    freezes=st.just(()),
    history=st.builds(
        History, active_seconds=st.floats(0, 20), hold_down_seconds=st.floats(0, 20), cool_down_left_seconds=st.floats(0, 2),
        window_left_seconds=st.floats(0, 2), tries=small, cycles_day=small, remediations_week=small,
    ),
    budgets=st.lists(st.builds(Budget, domain=st.sampled_from(DOMAINS), allowed=small, in_use=small), max_size=2).map(tuple),
    traffic=st.builds(Traffic, running_in_class=small, running_on_device=st.integers(0, 1), sent_last_minute=small),
    headroom=st.lists(headroom, max_size=2).map(tuple),
    jobs=st.lists(st.builds(JobImpact, job=st.just("j"), gpus=st.integers(0, 1000)), max_size=2).map(tuple),
    breakers=st.lists(
        st.builds(Breaker, domain=st.sampled_from(DOMAINS), class_=st.sampled_from(ActionClass), state=st.sampled_from(BreakerState), probing=st.booleans()),
        max_size=2,
    ).map(tuple),
    approvals=st.lists(approval, max_size=3).map(tuple),
    plan=st.just("p"),
    policy_armed=st.booleans(),
)  # fmt: skip
proposals = st.builds(
    Proposal,
    remediation=st.just("r"), incident=st.just("i"), playbook=st.just("b"), step=st.just("s"), lane=st.sampled_from(Lane),
    mode=st.sampled_from(Mode), cause=st.sampled_from(Cause), verb=st.sampled_from(Verb), target=st.just(NODE),
    device=st.sampled_from([NODE, DEVICE]), release=st.booleans(),
)  # fmt: skip


def _older(f: Facts, n: int) -> Facts:
    return replace(f, evidence=tuple(replace(e, at_ms=e.at_ms - 1_000 * n) for e in f.evidence))


def _each_outlet(f: Facts, change: Callable[[Outlet], Outlet]) -> Facts:
    return replace(f, vitals=replace(f.vitals, outlets=tuple(change(o) for o in f.vitals.outlets)))


def _more(watts: float | None, n: int) -> float | None:
    return None if watts is None else watts + 500.0 * n


WORSE: dict[str, Callable[[Facts, int], Facts]] = {
    "a lock more": lambda f, _: replace(f, lockouts=(*f.lockouts, Lockout(asset=AssetId("r01"), actor="a", reason="r"))),
    "stopped further": lambda f, _: replace(f, stop=Stop(min(2, f.stop + 1))),
    "one protected more": lambda f, _: replace(f, protected=f.protected | {NODE}),
    "further behind": lambda f, n: replace(f, bus_lag_ms=None if f.bus_lag_ms is None else f.bus_lag_ms + 5_000 * n),
    "lag unknown": lambda f, _: replace(f, bus_lag_ms=None),
    "clock unknown": lambda f, _: replace(f, clock_offset_ms=None),
    "older evidence": _older,
    "evidence gone": lambda f, _: replace(f, evidence=f.evidence[1:]),
    "evidence bad": lambda f, _: replace(f, evidence=tuple(replace(e, good=False) for e in f.evidence)),
    "a sign of life": lambda f, _: replace(f, vitals=replace(f.vitals, alive_in_band=("agent",))),
    "the port wakes": lambda f, _: replace(f, vitals=replace(f.vitals, fabric="active")),
    "the port's word is lost": lambda f, _: replace(f, vitals=replace(f.vitals, fabric=None)) if f.vitals.fabric == "down" else f,
    "the log is empty": lambda f, _: replace(f, vitals=replace(f.vitals, stop_events=())),
    "the BMC says on": lambda f, _: replace(f, vitals=replace(f.vitals, bmc_on=True)),
    "more watts": lambda f, n: _each_outlet(f, lambda o: replace(o, watts=_more(o.watts, n))),
    "more pods": lambda f, n: replace(f, drain=replace(f.drain, workload_pods=None if f.drain.workload_pods is None else f.drain.workload_pods + n)),
    "nothing acknowledged": lambda f, _: replace(f, drain=replace(f.drain, acknowledged=False, deadline_passed=False)),
    "a freeze more": lambda f, _: replace(f, freezes=(*f.freezes, Freeze(code="c", text="t", since_ms=0))),
    "inhibited": lambda f, _: replace(f, inhibited_by="parent"),
    "maintenance": lambda f, _: replace(f, maintenance=("w",)),
    "fired later": lambda f, n: replace(f, history=replace(f.history, active_seconds=max(0.0, f.history.active_seconds - n))),
    "cooler": lambda f, n: replace(f, history=replace(f.history, cool_down_left_seconds=f.history.cool_down_left_seconds + n)),
    "effect open": lambda f, n: replace(f, history=replace(f.history, window_left_seconds=f.history.window_left_seconds + n)),
    "more tries": lambda f, n: replace(f, history=replace(f.history, tries=f.history.tries + n, cycles_day=f.history.cycles_day + n, remediations_week=f.history.remediations_week + n)),
    "budget fuller": lambda f, n: replace(f, budgets=tuple(replace(b, in_use=b.in_use + n) for b in f.budgets)),
    "budget smaller": lambda f, n: replace(f, budgets=tuple(replace(b, allowed=max(0, b.allowed - n)) for b in f.budgets)),
    "more traffic": lambda f, n: replace(f, traffic=replace(f.traffic, running_in_class=f.traffic.running_in_class + n, running_on_device=f.traffic.running_on_device + n, sent_last_minute=f.traffic.sent_last_minute + n)),
    "more load": lambda f, n: replace(f, headroom=tuple(replace(h, load=None if h.load is None else h.load + 5 * n, after_act=h.after_act + n) for h in f.headroom)),
    "load unknown to what adds it": lambda f, _: f,
    "cooling alerts": lambda f, _: replace(f, cooling_alerts=("cdu",)),
    "larger jobs": lambda f, n: replace(f, jobs=tuple(replace(j, gpus=j.gpus + 300 * n) for j in f.jobs)),
    "breakers open": lambda f, _: replace(f, breakers=tuple(replace(b, state=BreakerState.OPEN) for b in f.breakers)),
    "a yes less": lambda f, _: replace(f, approvals=f.approvals[1:]),
    "approvals expired": lambda f, _: replace(f, approvals=tuple(replace(a, expires_at_ms=NOW - 1) for a in f.approvals)),
    "policy gone": lambda f, _: replace(f, policy_armed=False),
}  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(proposal=proposals, facts=facts_of, worse=st.sampled_from(sorted(WORSE)), by=st.integers(1, 6))
def test_worse_facts_never_turn_a_refusal_into_a_pass(proposal: Proposal, facts: Facts, worse: str, by: int) -> None:
    after = WORSE[worse](facts, by)
    for name, gate in GATES:
        if gate(proposal, facts) is not None:
            assert gate(proposal, after) is not None, f"{name} passes after: {worse}"
    if judge(proposal, facts).refusal is not None:
        assert judge(proposal, after).refusal is not None
