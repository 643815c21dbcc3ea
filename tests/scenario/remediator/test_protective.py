"""The protective service in virtual time: sheds by job, proves it on the meter, gives back slowly, never starts blind."""

import itertools
from pathlib import Path

import pytest

from remediator.switches import Switches
from tests.unit.remediator.fakes.protective_world import Protecting

RACK = [f"dgx-{n:03}" for n in range(1, 5)]
A, B = "pdu-r01-a", "pdu-r01-b"


@pytest.fixture
def site(tmp_path: Path) -> Protecting:
    world = Protecting(tmp_path)
    world.plant.add_job("batch/small", RACK[:1], tier="T4")
    world.plant.add_job("train/big", [*RACK[1:], "dgx-005"], tier="T2")
    return world


def caps(site: Protecting) -> dict[str, float]:
    return {node: site.plant.nodes[node].cap for node in [*RACK, "dgx-005"]}


async def test_a_lost_feed_is_shed_by_whole_jobs_and_proven_on_the_meter(site: Protecting) -> None:
    async with site.running():
        site.plant.dead_pdus.add(A)
        assert site.worst(B) > 0.99
        started = site.clock.now_ms()
        while not any(p == "succeeded" for p in site.phases(B)) and site.clock.now_ms() - started < 60_000:
            await site.clock.advance(1)
        assert site.phases(B)[-1] == "succeeded"
        assert site.clock.now_ms() - started <= 30_000
        assert site.worst(B) <= 0.95
        (done,) = [r for r in site.remediations().values() if r.phase == "succeeded"]
        assert len(done.proof) >= 2
        assert all(line.passed for line in done.proof)
        assert set(site.guard.verbs) == {"cordon", "gpu_power_limit"}
        assert max(site.guard.executions().values()) == 1


async def test_the_lowest_priority_gives_first_and_a_job_is_capped_on_all_its_nodes(site: Protecting) -> None:
    async with site.running():
        site.plant.dead_pdus.add(A)
        await site.clock.advance(40)
        first = next(entry for entry in site.guard.executed if entry[2] == "gpu_power_limit")
        assert first[3] == RACK[0]
        limits = caps(site)
        assert len({limits[node] for node in [*RACK[1:], "dgx-005"]}) == 1


async def test_what_was_taken_is_given_back_a_step_a_minute_once_the_feed_returns(site: Protecting) -> None:
    async with site.running():
        site.plant.dead_pdus.add(A)
        await site.clock.advance(60)
        site.plant.dead_pdus.discard(A)
        begun = site.clock.now_ms()
        await site.clock.advance(100)
        assert any(cap < 700 for cap in caps(site).values())  # 120 s below 90 % are not over
        await site.clock.advance(600)
        assert all(cap == 700 for cap in caps(site).values())
        assert not any(node.unschedulable for node in site.plant.nodes.values())
        back = sorted({at for at, _, verb, _, arguments in site.guard.executed if at > begun})
        steps = [at for at, before in zip(back, [0, *back], strict=False) if at - before > 5_000]
        assert all(later - earlier >= 60_000 for earlier, later in itertools.pairwise(steps))


async def test_lost_metering_starts_nothing_and_holds_what_is_held(site: Protecting) -> None:
    async with site.running():
        site.silent_meters |= {A, B}
        await site.clock.advance(10)
        site.plant.dead_pdus.add(A)
        await site.clock.advance(60)
        assert site.guard.executed == []
        site.silent_meters.clear()
        await site.clock.advance(40)
        held = caps(site)
        assert any(cap < 700 for cap in held.values())
        site.plant.dead_pdus.discard(A)
        site.silent_meters |= {A, B}
        await site.clock.advance(600)
        assert caps(site) == held


async def test_a_meter_that_falls_silent_in_the_middle_takes_nothing_more_and_proves_nothing(site: Protecting) -> None:
    async with site.running():
        site.plant.dead_pdus.add(A)
        while "gpu_power_limit" not in site.guard.verbs:
            await site.clock.advance(0.5)
        acts = len(site.guard.executed)
        site.silent_meters.add(B)
        await site.clock.advance(60)
        assert len(site.guard.executed) == acts
        assert "succeeded" not in site.phases(B)
        site.silent_meters.clear()
        await site.clock.advance(30)
        assert "succeeded" in site.phases(B)


async def test_a_phase_whose_meter_is_lost_does_not_keep_another_from_being_relieved(site: Protecting) -> None:
    async with site.running():
        site.lost_phases.add((B, "3"))
        await site.clock.advance(10)
        site.plant.dead_pdus.add(A)
        await site.clock.advance(40)
        assert "succeeded" in site.phases(B)
        assert site.worst(B) <= 0.95


async def test_without_the_bus_it_tightens_and_gives_nothing_back(site: Protecting) -> None:
    async with site.running():
        site.bus.down = True
        await site.clock.advance(10)
        site.plant.dead_pdus.add(A)
        await site.clock.advance(40)
        assert site.worst(B) <= 0.95
        held = caps(site)
        site.plant.dead_pdus.discard(A)
        await site.clock.advance(600)
        assert caps(site) == held
        site.bus.down = False
        await site.clock.advance(900)
        assert all(cap == 700 for cap in caps(site).values())
        assert site.phases(B)  # the local log was published later


async def test_a_locked_out_rack_is_not_touched_by_the_protective_lane_either(site: Protecting) -> None:
    async with site.running():
        Switches(site.data).lock("r01", actor="alice", reason="hands inside", at_ms=site.clock.now_ms())
        site.plant.dead_pdus.add(A)
        await site.clock.advance(60)
        touched = {asset for _, _, verb, asset, _ in site.guard.executed if verb != "cordon"}
        assert not touched & set(RACK)


async def test_stop_all_leaves_caps_where_they_are(site: Protecting) -> None:
    async with site.running():
        site.plant.dead_pdus.add(A)
        await site.clock.advance(40)
        held = caps(site)
        site.command("stop_all", "site")
        await site.clock.advance(5)
        site.plant.dead_pdus.discard(A)
        await site.clock.advance(600)
        assert caps(site) == held


async def test_caps_that_do_not_suffice_are_followed_by_suspending_what_may_be(tmp_path: Path) -> None:
    site = Protecting(tmp_path)
    site.plant.add_job("batch/a", RACK[:2], tier="T4")
    site.plant.add_job("research/b", RACK[2:], tier="T3")
    async with site.running():
        for pdu in (A, B):
            object.__setattr__(site.site.asset(pdu), "ratings", {**site.site.asset(pdu).ratings, "rated_amperes": 40.0})
        site.plant.dead_pdus.add(A)
        await site.clock.advance(120)
        assert "suspend_job" in site.guard.verbs
        assert site.phases(B)[-1] == "succeeded"
        assert "outlet_off" not in site.guard.verbs


async def test_in_mode_observe_the_shed_is_only_recorded(tmp_path: Path) -> None:
    site = Protecting(tmp_path, mode="observe")
    site.plant.add_job("train/big", RACK, tier="T2")
    async with site.running():
        site.plant.dead_pdus.add(A)
        await site.clock.advance(30)
        assert site.guard.executed == []
        assert "would_have" in site.phases(B)
