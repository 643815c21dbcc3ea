"""What one remediation does and does not do, from its first gate to its proof."""

from pathlib import Path

import pytest

from remediator.transitions import Phase
from remediator.verbs import Mode
from tests.unit.remediator.fakes.world import OneWorld

NODE = "dgx-001"


@pytest.fixture
def world(tmp_path: Path) -> OneWorld:
    return OneWorld(tmp_path)


async def test_a_hung_node_is_cordoned_proven_dead_cycled_and_given_back_within_two_minutes(world: OneWorld) -> None:
    world.plant.add_job("train/llm", [NODE, "dgx-002"])
    async with world.running():
        world.plant.hang(NODE)
        started = world.clock.now_ms()
        await world.clock.advance(12)
        course = await world.drive(world.course("node-hung", NODE), 110)
        assert course.state.phase is Phase.SUCCEEDED, course.state
        assert (world.clock.now_ms() - started) / 1000 <= 120
        assert world.actuator.verbs == [
            "cordon",
            "power_off",
            "taint_out_of_service",
            "power_on",
            "untaint_out_of_service",
            "uncordon",
        ]
        assert max(world.actuator.executions().values()) == 1
        node = world.plant.nodes[NODE]
        assert (node.state, node.unschedulable, node.out_of_service) == ("running", False, False)
        assert sum(pod.job == "train/llm" for pod in world.plant.pods.values()) == 2


async def test_a_node_that_lost_a_gpu_is_drained_before_it_is_switched_off(world: OneWorld) -> None:
    world.plant.add_job("train/llm", [NODE])
    async with world.running():
        world.plant.nodes[NODE].gpus = 7
        await world.clock.advance(4)
        course = await world.drive(world.course("gpu-fell-off-bus", NODE), 115)
        assert course.state.phase is Phase.SUCCEEDED, course.state
        assert world.actuator.verbs == ["cordon", "checkpoint", "evict", "power_off", "power_on", "uncordon"]
        assert world.plant.nodes[NODE].gpus == 8


async def test_in_mode_observe_nothing_is_sent_and_the_record_says_what_would_have_been(world: OneWorld) -> None:
    async with world.running():
        world.plant.hang(NODE)
        await world.clock.advance(12)
        course = await world.drive(world.course("node-hung", NODE, mode=Mode.OBSERVE), 60)
        assert course.state.phase is Phase.WOULD_HAVE
        assert world.actuator.executed == []
        would = {step["step"]: step["refused"] for step in course.state.arguments["would"]}
        assert would["power-off"] is None


async def test_a_living_node_is_never_switched_off_however_loud_its_alert(world: OneWorld) -> None:
    async with world.running():
        course = await world.drive(world.course("node-hung", NODE), 60)
        assert course.state.reason_code == "alive_in_band"
        assert world.actuator.power_acts() == []
        assert world.actuator.deletions() == []


async def test_a_bmc_that_says_off_while_watts_flow_is_unproven_and_a_person_is_told(world: OneWorld) -> None:
    async with world.running():
        world.plant.hang(NODE)
        world.plant.nodes[NODE].bmc_lies = True
        await world.clock.advance(12)
        course = await world.drive(world.course("node-hung", NODE), 110)
        assert course.state.phase is Phase.ESCALATED
        assert course.state.outcome == "Unproven"
        assert world.actuator.verbs == ["cordon", "power_off"]
        assert "cordoned" in course.state.reason_text


async def test_lost_metering_starts_nothing(world: OneWorld) -> None:
    async with world.running():
        world.plant.hang(NODE)
        world.plant.metering = False
        await world.clock.advance(30)
        course = await world.drive(world.course("node-hung", NODE), 60)
        assert world.actuator.power_acts() == []
        assert course.state.reason_code in {"stale_meter", "stale"}
