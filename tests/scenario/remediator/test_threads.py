"""What went wrong for others, each named after its thread: it does not happen here."""

from dataclasses import replace
from pathlib import Path

import pytest

from bus.events import decode_event
from bus.topics import REMEDIATIONS
from collectors.marks import RANGE
from fleet.model import AssetId, Domain, Kind
from fleet.quality import Quality, quality_of
from remediator.budgets import allowed
from remediator.facts import Breaker, BreakerState, Facts
from remediator.gates import judge
from remediator.playbook import answering
from remediator.playbook_loader import load_playbooks
from remediator.verbs import TRAITS, ActionClass, Cause, Lane, Mode, Verb
from tests.unit.remediator.fakes.service_world import FEED_LOST, FELL_OFF, HEARTBEAT, HUNG, Serving
from tests.unit.remediator.test_gates import WELL, ask

NODE = "dgx-001"
BRAKED = ("gpu-thermal.yaml/gpu-thermal/NodePowerBrake", "NodePowerBrake")
DAY_MS = 86_400_000


@pytest.fixture
def site(tmp_path: Path) -> Serving:
    return Serving(tmp_path)


async def heal(site: Serving, node: str = NODE) -> None:
    site.plant.hang(node)
    await site.clock.advance(10)
    site.alert(HUNG, asset=node)
    for _ in range(120):
        if site.phases(node)[-1:] == ["succeeded"]:
            break
        await site.clock.advance(1)
    assert site.phases(node)[-1] == "succeeded"


async def restart(site: Serving) -> None:
    await site.stop(*site.tasks)
    site.start()
    await site.clock.advance(15)


async def test_nvsentinel_1280_and_1534_a_restart_after_recovery_makes_no_new_attempt_and_no_label(
    site: Serving,
) -> None:
    async with site.running():
        await heal(site)
        sent, known = len(site.actuator.executed), set(site.remediations())
        await restart(site)
        await site.clock.advance(120)
        assert len(site.actuator.executed) == sent
        assert set(site.remediations()) == known
        assert not site.plant.nodes[NODE].unschedulable


async def test_nvsentinel_121_a_cancelled_drain_never_enables_a_power_action(site: Serving) -> None:
    site.plant.add_job("train/llm", [NODE, "dgx-002"])
    site.actuator.refuses = {"evict": "429 a disruption budget", "checkpoint": "busy"}
    async with site.running():
        site.plant.nodes[NODE].gpus = 7
        site.alert(FELL_OFF, asset=NODE)
        while "cordon" not in site.actuator.verbs:
            await site.clock.advance(0.5)
        site.alert(FELL_OFF, "resolved", asset=NODE)
        await site.clock.advance(300)
        assert site.actuator.power_acts() == []
        assert site.phases(NODE)[-1] == "cancelled"


async def test_nvsentinel_1536_an_event_during_an_equivalent_attempt_is_looked_at_again_after_it(site: Serving) -> None:
    async with site.running():
        site.plant.hang(NODE)
        await site.clock.advance(10)
        site.alert(HUNG, asset=NODE)
        while "power_off" not in site.actuator.verbs:
            await site.clock.advance(1)
        site.alert(FELL_OFF, asset=NODE)
        await site.clock.advance(5)
        assert {event.playbook for event in site.remediations().values()} == {"node-hung"}
        await site.clock.advance(120)
        assert {event.playbook for event in site.remediations().values()} == {"node-hung", "gpu-fell-off-bus"}
        assert site.actuator.verbs.count("power_off") == 1  # it cools down first


async def test_nvsentinel_1387_a_target_that_is_gone_is_cancelled_and_not_tried_again(site: Serving) -> None:
    async with site.running():
        site.plant.metering = False
        await site.clock.advance(15)
        site.plant.hang(NODE)
        site.alert(HUNG, asset=NODE)
        await site.clock.advance(8)
        site.alert(HUNG, "resolved", asset=NODE)  # its series ended with it
        await site.clock.advance(60)
        (remediation,) = site.remediations().values()
        assert remediation.phase == "cancelled"
        assert site.actuator.power_acts() == []


async def test_nvsentinel_1543_an_act_that_raises_its_own_fault_again_stops_at_the_budget(site: Serving) -> None:
    async with site.running():
        for _ in range(4):
            site.plant.hang(NODE)
            await site.clock.advance(10)
            site.alert(HUNG, asset=NODE)
            await site.clock.advance(930)
            site.alert(HUNG, "resolved", asset=NODE)
            site.plant.nodes[NODE].state = "running"
            await site.clock.advance(60)
        assert 1 <= site.actuator.verbs.count("power_off") <= 3
        told = [decode_event(record.value) for record in site.bus.log[REMEDIATIONS]]
        assert "cycles_per_day" in {event.reason.code for event in told if event.reason}


async def test_nvsentinel_1808_a_providers_transient_error_ends_and_is_never_in_progress_for_ever(
    site: Serving,
) -> None:
    site.actuator.refuses = {"cordon": "503 try later"}
    async with site.running():
        site.plant.hang(NODE)
        await site.clock.advance(10)
        site.alert(HUNG, asset=NODE)
        await site.clock.advance(120)
        (remediation,) = site.remediations().values()
        assert (remediation.phase, remediation.outcome) == ("escalated", "TransientFailure")


async def test_nvsentinel_1701_three_hundred_nodes_that_reboot_in_waves_of_racks_cost_no_disruptive_act(
    tmp_path: Path,
) -> None:
    hall = Serving(tmp_path, racks=75)
    names = list(hall.plant.nodes)
    assert len(names) == 300
    async with hall.running():
        for first in range(0, len(names), 20):
            wave = names[first : first + 20]
            for name in wave:
                hall.plant.nodes[name].partitioned = True
            await hall.clock.advance(4)
            for name in wave:
                hall.alert(HEARTBEAT, asset=name)
                hall.alert(HUNG, asset=name)
            await hall.clock.advance(2)
            for name in wave:
                hall.plant.nodes[name].partitioned = False
                hall.alert(HEARTBEAT, "resolved", asset=name)
                hall.alert(HUNG, "resolved", asset=name)
        await hall.clock.advance(10)
        assert hall.actuator.power_acts() == []
        assert hall.actuator.deletions() == []


async def test_nvsentinel_1666_nodes_that_a_feed_brakes_are_one_facility_incident_within_a_minute_and_no_reboot(
    tmp_path: Path,
) -> None:
    hall = Serving(tmp_path, racks=16)
    braked = [str(node) for node in sorted(hall.site.graph.nodes_in(AssetId("pdu-r01-a")))]
    async with hall.running():
        for name in braked:
            hall.alert(BRAKED, asset=name)
        await hall.clock.advance(20)
        hall.alert(FEED_LOST, asset="pdu-r01-a")
        await hall.clock.advance(40)
        standing = [event for event in hall.incidents().values() if event.ended_at_ms is None]
        assert [event.root for event in standing] == ["pdu-r01-a"], [event.title for event in standing]
        await hall.clock.advance(300)
        assert hall.actuator.power_acts() == []
        assert len(hall.pages()) <= 2


def test_nvsentinel_adr_053_a_consumer_eleven_days_behind_is_refused_every_act() -> None:
    behind = replace(WELL, bus_lag_ms=11.0 * DAY_MS)
    for verb, traits in TRAITS.items():
        judgement = judge(ask(verb), behind)
        assert (judgement.refusal is None) == (traits.class_ is ActionClass.A0), verb
        if traits.class_ is not ActionClass.A0:
            assert any(line.gate == "freshness" and not line.passed for line in judgement.lines)


@pytest.mark.parametrize(("members", "expected"), [(640, 8), (100, 7), (64, 4), (20, 1), (14, 0)])
def test_nvsentinel_1686_of_a_count_and_a_share_the_stricter_wins_whatever_the_fleets_size(
    members: int, expected: int
) -> None:
    assert allowed(Domain(kind=Kind.SITE, id=AssetId("s")), members, redundant=True) == expected


def test_nvsentinel_pr_1852_an_open_breaker_never_keeps_a_recovered_node_cordoned() -> None:
    row = Domain(kind=Kind.ROW, id=AssetId("row-01"))
    broken = tuple(
        Breaker(domain=row, class_=class_, state=BreakerState.OPEN, text="3 failed") for class_ in ActionClass
    )
    facts: Facts = replace(WELL, breakers=broken)
    assert judge(ask(Verb.UNCORDON), facts).refusal is None
    refusal = judge(ask(Verb.CORDON, cause=Cause.REPORTED_FAULT), facts).refusal
    assert refusal is not None
    assert refusal.code == "breaker"


async def test_nvsentinel_janitor_exclusions_a_window_that_opens_after_admission_stops_before_the_next_act(
    site: Serving,
) -> None:
    async with site.running():
        site.plant.hang(NODE)
        await site.clock.advance(10)
        site.actuator.lose_answers.add("cordon")
        site.alert(HUNG, asset=NODE)
        while "cordon" not in site.actuator.verbs:
            await site.clock.advance(0.2)
        until_ms = site.clock.now_ms() + 3_600_000
        site.command("maintenance", NODE, reason="hands inside", expires_at_ms=until_ms)
        await site.clock.advance(60)
        assert site.actuator.power_acts() == []
        (remediation,) = site.remediations().values()
        assert remediation.reason.code == "maintenance"


async def test_snr_258_a_bmc_that_says_done_while_the_current_never_dipped_is_unproven(site: Serving) -> None:
    async with site.running():
        site.plant.hang(NODE)
        site.plant.nodes[NODE].bmc_lies = True
        await site.clock.advance(10)
        site.alert(HUNG, asset=NODE)
        await site.clock.advance(120)
        (remediation,) = site.remediations().values()
        assert (remediation.phase, remediation.outcome) == ("escalated", "Unproven")


async def test_snr_pr_354_peers_behind_the_same_partition_are_no_evidence_of_death(site: Serving) -> None:
    rack = [str(node) for node in sorted(site.site.graph.nodes_in(AssetId("r01")))]
    site.plant.add_job("train/llm", rack)
    async with site.running():
        for name in rack:
            site.plant.nodes[name].partitioned = True
        await site.clock.advance(20)
        for name in rack:
            site.alert(HUNG, asset=name)
        await site.clock.advance(200)
        assert site.actuator.executed == []


async def test_stackstorm_4481_and_3150_two_replicas_never_act_together(site: Serving) -> None:
    async with site.running():
        site.start()
        for name in ("dgx-001", "dgx-002"):  # one rack: one at a time
            site.plant.hang(name)
        await site.clock.advance(12)
        for name in ("dgx-001", "dgx-002"):
            site.alert(HUNG, asset=name)
        most = 0
        for _ in range(90):
            await site.clock.advance(1)
            most = max(most, sum(site.plant.nodes[name].state == "off" for name in ("dgx-001", "dgx-002")))
        assert most == 1
        assert max(site.actuator.executions().values()) == 1


async def test_robusta_rate_limiter_a_cool_down_survives_a_restart(site: Serving) -> None:
    async with site.running():
        await heal(site)
        site.alert(HUNG, "resolved", asset=NODE)
        await site.clock.advance(10)
        await restart(site)
        site.plant.hang(NODE)
        await site.clock.advance(10)
        sent = len(site.actuator.executed)
        site.alert(HUNG, asset=NODE)
        await site.clock.advance(30)
        assert len(site.actuator.executed) == sent
        assert "cool_down" in {event.reason.code for event in site.remediations().values() if event.reason}


async def test_kubernaut_837_a_dry_run_neither_repeats_itself_nor_counts_as_a_remedy(tmp_path: Path) -> None:
    site = Serving(tmp_path, mode="observe")
    async with site.running():
        site.plant.hang(NODE)
        await site.clock.advance(10)
        site.alert(HUNG, asset=NODE)
        await site.clock.advance(300)
        await restart(site)
        await site.clock.advance(300)
        assert site.phases(NODE).count("would_have") == 1
        assert len(site.remediations()) == 1
        assert site.actuator.executed == []


async def test_fence_method_cycle_on_follows_only_an_off_that_was_seen(site: Serving) -> None:
    async with site.running():
        site.plant.hang(NODE)
        await site.clock.advance(10)
        site.actuator.lose_requests.add("power_off")
        site.alert(HUNG, asset=NODE)
        await site.clock.advance(300)
        assert "power_on" not in site.actuator.verbs
        assert site.phases(NODE)[-1] == "escalated"


async def test_keep_maintenance_an_end_is_never_suppressed(site: Serving) -> None:
    async with site.running():
        site.command("maintenance", NODE, reason="work", expires_at_ms=site.clock.now_ms() + 3_600_000)
        site.plant.hang(NODE)
        await site.clock.advance(10)
        site.alert(HUNG, asset=NODE)
        await site.clock.advance(20)
        site.alert(HUNG, "resolved", asset=NODE)
        await site.clock.advance(10)
        (incident,) = site.incidents().values()
        assert (incident.state, site.actuator.executed) == ("resolved", [])


def test_nico_classifications_a_reading_out_of_range_is_a_sensors_fault_and_no_coolant_alarm() -> None:
    assert quality_of(int(RANGE)) is Quality.BAD  # what the collectors mark so, no rule sees
    books = load_playbooks()
    sensor = answering(books, "trust.yaml/sensors/SensorJumped")
    assert sensor is not None
    assert {TRAITS[step.act].class_ for rung in sensor.ladder for step in rung.steps if step.act} == {ActionClass.A0}
    assert (sensor.code, sensor.lane, sensor.mode) == ("P-SENS", Lane.CORRECTIVE, Mode.OBSERVE)
