"""The corrective service in virtual time: what it does about each fault, and what it must not do."""

from pathlib import Path

import pytest

from remediator.facts import Stop
from remediator.switches import Switches
from tests.unit.remediator.fakes.service_world import (
    BMC_SILENT,
    FELL_OFF,
    HEARTBEAT,
    HUNG,
    TOGETHER,
    Serving,
)

NODE = "dgx-001"


@pytest.fixture
def site(tmp_path: Path) -> Serving:
    return Serving(tmp_path)


@pytest.fixture
def large(tmp_path: Path) -> Serving:
    """64 nodes."""
    return Serving(tmp_path, racks=16)


async def test_a_hung_node_is_healed_and_nobody_is_paged(site: Serving) -> None:
    site.plant.add_job("train/llm", [NODE, "dgx-002"])
    async with site.running():
        started = site.clock.now_ms()
        site.plant.hang(NODE)
        await site.clock.advance(10)
        site.alert(HUNG, asset=NODE)
        while site.phases(NODE)[-1:] != ["succeeded"] and site.clock.now_ms() - started < 120_000:
            await site.clock.advance(1)
        assert site.phases(NODE)[-1] == "succeeded"
        assert site.actuator.verbs == [
            "cordon", "power_off", "taint_out_of_service", "power_on", "untaint_out_of_service", "uncordon",
        ]  # fmt: skip
        assert max(site.actuator.executions().values()) == 1
        site.alert(HUNG, "resolved", asset=NODE)
        await site.clock.advance(5)
        (incident,) = site.incidents().values()
        assert (incident.state, incident.outcome, incident.pages) == ("resolved", "healed", False)


async def test_a_partition_hides_twelve_healthy_nodes_no_act_and_exactly_one_page(large: Serving) -> None:
    nodes = [f"dgx-{n:03}" for n in range(1, 13)]
    large.plant.add_job("train/llm", nodes)
    async with large.running():
        for node in nodes:
            large.plant.nodes[node].partitioned = True
        await large.clock.advance(10)
        for node in nodes:
            large.alert(HEARTBEAT, asset=node)
            large.alert(BMC_SILENT, "firing", "warning", asset=node)
        await large.clock.advance(3)
        for node in nodes:
            large.alert(HUNG, asset=node)
        await large.clock.advance(4)
        large.alert(TOGETHER, zone="1")
        await large.clock.advance(400)
        assert large.actuator.executed == []
        assert len(large.pages()) == 1


async def test_remedies_that_had_begun_are_superseded_by_the_cause_that_is_found_late(site: Serving) -> None:
    nodes = [f"dgx-{n:03}" for n in range(1, 5)]
    site.plant.add_job("train/llm", nodes)
    async with site.running():
        for node in nodes:
            site.plant.nodes[node].partitioned = True
        await site.clock.advance(10)
        for node in nodes:
            site.alert(HUNG, asset=node)
        await site.clock.advance(6)
        assert {event.phase for event in site.remediations().values()} == {"denied"}
        site.alert(TOGETHER, zone="1")
        await site.clock.advance(60)
        assert {event.phase for event in site.remediations().values()} == {"superseded"}
        assert site.actuator.executed == []
        assert len(site.pages()) == 1


async def test_without_the_zone_alert_a_partition_still_costs_no_act_and_one_page(large: Serving) -> None:
    nodes = [f"dgx-{n:03}" for n in range(1, 13)]
    large.plant.add_job("train/llm", nodes)
    async with large.running():
        for node in nodes:
            large.plant.nodes[node].partitioned = True
        await large.clock.advance(10)
        for node in nodes:
            large.alert(HUNG, asset=node)
        await large.clock.advance(300)
        assert large.actuator.executed == []
        assert len(large.pages()) == 1


async def test_a_lockout_on_a_rack_keeps_every_hand_from_it(site: Serving) -> None:
    async with site.running():
        site.command("lockout", "r01", reason="fans are open")
        await site.clock.advance(3)
        site.plant.hang(NODE)
        await site.clock.advance(10)
        site.alert(HUNG, asset=NODE)
        await site.clock.advance(200)
        assert site.actuator.executed == []
        (remediation,) = site.remediations().values()
        assert remediation.reason.code == "lockout"
        assert len(site.pages()) == 1


async def test_stop_during_a_cycle_leaves_the_node_where_it_is_and_resume_goes_on(site: Serving) -> None:
    async with site.running():
        site.plant.hang(NODE)
        await site.clock.advance(10)
        site.alert(HUNG, asset=NODE)
        while "power_off" not in site.actuator.verbs:
            await site.clock.advance(1)
        site.command("stop", "site")
        await site.clock.advance(120)
        assert Switches(site.data).stop() is Stop.CORRECTIVE
        assert "power_on" not in site.actuator.verbs
        assert len(site.pages()) == 1
        site.command("resume", "site")
        await site.clock.advance(120)
        assert site.phases(NODE)[-1] == "succeeded"
        assert site.actuator.verbs.count("power_off") == 1


async def test_forty_xids_at_once_freeze_automation_until_a_person_resumes(large: Serving) -> None:
    async with large.running():
        for number in range(1, 41):
            large.plant.nodes[f"dgx-{number:03}"].gpus = 7
            large.alert(FELL_OFF, asset=f"dgx-{number:03}")
        await large.clock.advance(200)
        assert large.actuator.power_acts() == []
        assert len(large.actuator.executed) <= 3
        assert len(large.pages()) == 1
        for number in range(3, 41):
            large.alert(FELL_OFF, "resolved", asset=f"dgx-{number:03}")
        await large.clock.advance(2)
        await large.stop(*large.tasks)
        large.start()  # a freeze outlives the process and what caused it
        await large.clock.advance(300)
        assert large.actuator.power_acts() == []
        large.command("resume", "site")
        await large.clock.advance(200)
        assert 1 <= len({asset for _, _, verb, asset, _ in large.actuator.executed if verb == "power_off"}) <= 2


async def test_a_bmc_that_lies_is_unproven_and_paged(site: Serving) -> None:
    async with site.running():
        site.plant.hang(NODE)
        site.plant.nodes[NODE].bmc_lies = True
        await site.clock.advance(10)
        site.alert(HUNG, asset=NODE)
        await site.clock.advance(120)
        (remediation,) = site.remediations().values()
        assert (remediation.phase, remediation.outcome) == ("escalated", "Unproven")
        assert site.actuator.verbs == ["cordon", "power_off"]
        assert len(site.pages()) == 1


async def test_stale_data_starts_nothing(site: Serving) -> None:
    async with site.running():
        site.plant.hang(NODE)
        await site.clock.advance(10)
        site.plant.metering = False
        await site.clock.advance(15)
        site.alert(HUNG, asset=NODE)
        await site.clock.advance(120)
        assert site.actuator.power_acts() == []


async def test_an_alert_that_resolves_before_the_power_is_cut_is_given_back(site: Serving) -> None:
    async with site.running():
        site.plant.hang(NODE)
        await site.clock.advance(10)
        site.plant.metering = False
        await site.clock.advance(15)
        site.alert(HUNG, asset=NODE)
        await site.clock.advance(20)
        assert site.actuator.verbs == ["cordon"]
        site.alert(HUNG, "resolved", asset=NODE)
        await site.clock.advance(20)
        assert site.actuator.verbs == ["cordon", "uncordon"]
        assert site.phases(NODE)[-1] == "cancelled"
