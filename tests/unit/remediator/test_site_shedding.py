"""Who carries the load within the permits, what is ordered when, and what a plan for the site says."""

from dataclasses import replace
from itertools import pairwise

import pytest

from fleet.model import AssetId
from remediator.shedding.options import Prices
from remediator.shedding.plan import Plan, needs, plan
from remediator.shedding.schedule import RAMP_WATTS_PER_SECOND, schedule
from remediator.shedding.supply import Source, SourceKind, dispatch, redundancy, to_restore
from remediator.shedding.survey import Machine, Place, Survey, Work

HOUR = 3600.0


def turbine(name: str = "t1", watts: float = 10e6, **more: float | bool | None) -> Source:
    return Source(name=name, kind=SourceKind.TURBINE, watts=watts, **more)  # type: ignore[arg-type]


def work(job: str, tier: str, *, nodes: int = 1, age: float | None = 60.0, untouchable: bool = False) -> Work:
    machine = {"gpus": 8, "gpu_watts": 600.0, "cap_watts": 700.0, "watts": 6800.0, "idle_watts": 2000.0}
    machines = tuple(
        Machine(node=AssetId(f"{job}-{at}"), shares={"site": 1.0}, untouchable=untouchable, **machine)  # type: ignore[arg-type]
        for at in range(nodes)
    )
    return Work(job=job, tier=tier, machines=machines, checkpoint_age_seconds=age)


def made(works: list[Work], target: float) -> Plan:
    return plan(Survey(works=works), {"site": target}, Prices())


# supply


def test_power_is_moved_before_it_is_shed() -> None:
    sources = [turbine(), Source(name="grid", kind=SourceKind.GRID, watts=40e6)]
    found = dispatch(48e6, sources, notice_seconds=0, hold_seconds=HOUR)
    assert [(share.source.name, share.watts) for share in found.shares] == [("grid", 40e6), ("t1", 8e6)]
    assert found.short_watts == 0


def test_a_turbine_whose_permit_has_fewer_hours_left_carries_nothing() -> None:
    found = dispatch(5e6, [turbine(permit_hours_left=0.9)], notice_seconds=0, hold_seconds=HOUR)
    assert found.short_watts == 5e6
    assert found.shares[0].bound == "its permit has 0.9 h left of 1.0 h"
    assert dispatch(5e6, [turbine(permit_hours_left=1.0)], notice_seconds=0, hold_seconds=HOUR).short_watts == 0


def test_the_kilograms_of_nox_that_are_left_bound_what_a_turbine_gives() -> None:
    source = turbine(nox_kilograms_left=6.0, nox_kilograms_per_megawatt_hour=1.0)
    found = dispatch(9e6, [source], notice_seconds=0, hold_seconds=2 * HOUR)
    assert found.shares[0].watts == pytest.approx(3e6)
    assert found.short_watts == pytest.approx(6e6)


def test_a_battery_carries_what_it_can_for_the_whole_time() -> None:
    source = Source(name="bess", kind=SourceKind.BESS, watts=25e6, energy_watt_hours=10e6)
    assert dispatch(25e6, [source], notice_seconds=0, hold_seconds=2 * HOUR).shares[0].watts == pytest.approx(5e6)


def test_a_turbine_at_rest_counts_only_if_it_can_run_in_time() -> None:
    resting = turbine(running=False, start_seconds=300)
    assert dispatch(5e6, [resting], notice_seconds=299, hold_seconds=HOUR).short_watts == 5e6
    assert dispatch(5e6, [resting], notice_seconds=300, hold_seconds=HOUR).short_watts == 0


@pytest.mark.parametrize(("load", "units"), [(9e6, 2), (10e6, 1), (18e6, 1), (18.1e6, 0), (27e6, 0), (27.1e6, -1)])
def test_redundancy_counts_how_many_of_the_largest_may_fail(load: float, units: int) -> None:
    assert redundancy(load, [turbine(str(at)) for at in range(3)]) == units


def test_a_lost_redundancy_is_restored_by_starts_within_a_quarter_of_an_hour_and_shedding() -> None:
    running, quick, slow = (
        turbine("a"),
        turbine("b", running=False, start_seconds=600),
        turbine("c", running=False, start_seconds=901),
    )
    assert to_restore(8e6, [running, quick, slow], 1) == 0
    assert to_restore(8e6, [running, slow], 1) == 8e6


# plans


def test_the_lowest_priority_is_taken_before_the_next_is_touched() -> None:
    found = made([work("serve", "T1"), work("train", "T2"), work("study", "T3"), work("batch", "T4")], 1500.0)
    assert [step.what for step in found.steps] == ["batch"]
    assert not found.unmet


def test_the_youngest_checkpoint_is_suspended_first() -> None:
    found = made([work("old", "T4", age=900), work("young", "T4", age=5), work("silent", "T4", age=None)], 10_500.0)
    assert {step.what: step.rung.kind.value for step in found.steps}["young"] == "suspend"
    assert all(step.rung.kind.value == "cap" for step in found.steps if step.what != "young")


def test_what_is_locked_out_or_protected_is_never_part_of_a_plan() -> None:
    found = made([work("held", "T4", untouchable=True), work("free", "T4")], 1e6)
    assert {step.what for step in found.steps} == {"free"}
    assert found.unmet == {"site": pytest.approx(1e6 - 4800.0)}


def test_a_person_is_asked_before_training_is_suspended() -> None:
    assert not made([work("train", "T2")], 3000.0).approval
    assert made([work("train", "T2")], 4500.0).approval


def test_a_place_over_its_limit_is_brought_to_its_middle_band_with_a_margin() -> None:
    places = [Place(name="pdu", watts=110.0, limit_watts=100.0), Place(name="calm", watts=99.0, limit_watts=100.0)]
    assert needs(places, {"site": 5.0}) == {"site": 5.0, "pdu": pytest.approx(1.1 * 15.0)}


# schedules


def test_every_watt_is_gone_at_the_start_when_the_notice_allows() -> None:
    plan_ = made([work("a", "T4", nodes=100), work("b", "T3", nodes=100)], 700_000.0)
    found = schedule(plan_, site="site", notice_seconds=600, hold_seconds=HOUR)
    assert found.complete_at == 0
    for order in found.orders:
        assert order.effect_at - order.order_at == pytest.approx(order.step.rung.lead_seconds)
        assert -600 <= found.admissions_stop_at < order.order_at
    gone = sorted((order.effect_at, order.step.relief["site"]) for order in found.orders)
    assert gone[-1][0] - gone[0][0] >= gone[-1][1] / RAMP_WATTS_PER_SECOND - 1e-9


def test_a_notice_that_is_too_short_is_said_and_nothing_is_ordered_before_now() -> None:
    found = schedule(made([work("a", "T4")], 4500.0), site="site")
    assert found.complete_at == pytest.approx(45.0)
    assert min(order.order_at for order in found.orders) >= 0


def test_what_was_taken_last_is_given_back_first_a_step_a_minute() -> None:
    plan_ = made([work("a", "T5"), work("b", "T4"), work("c", "T3")], 9000.0)
    found = schedule(plan_, site="site", hold_seconds=HOUR)
    released_last_first = sorted(found.orders, key=lambda order: order.release_at or 0.0, reverse=True)
    assert [order.step.what for order in released_last_first] == [step.what for step in plan_.steps]
    released = sorted(order.release_at or 0.0 for order in found.orders)
    assert released[0] == HOUR
    assert all(later - earlier >= 60 for earlier, later in pairwise(released))


def test_what_is_quick_does_not_wait_for_what_is_slow() -> None:
    found = schedule(made([work("slow", "T4"), work("quick", "T2")], 7500.0), site="site")
    assert {order.step.what: order.order_at for order in found.orders} == {"slow": 0.0, "quick": 0.0}


def test_where_a_place_cannot_be_met_nothing_is_taken_that_does_not_help_there() -> None:
    far = work("far", "T4")
    survey = Survey(works=[far, work("near", "T4")])
    near = replace(survey.works[1].machines[0], shares={"site": 1.0, "pdu": 1.0})
    survey = replace(survey, works=[far, replace(survey.works[1], machines=(near,))])
    found = plan(survey, {"pdu": 1e6}, Prices())
    assert {step.what for step in found.steps} == {"near"}
    assert found.unmet["pdu"] == pytest.approx(1e6 - 4800.0)
