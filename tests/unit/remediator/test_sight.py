"""What is seen of a node, each fact from its own instrument; and what a waiting step waits for."""

from pathlib import Path

import pytest

from fleet.model import AssetId
from fleet.quality import Quality, Reason, pack
from remediator.cluster import NodeObject, Pod
from remediator.conditions import Scene, judged
from remediator.facts import Instrument
from remediator.playbook import Condition
from remediator.proof import Meter, Reading, Verdict
from tests.unit.remediator.fakes.world import OneWorld

NODE = AssetId("dgx-001")


@pytest.fixture
def world(tmp_path: Path) -> OneWorld:
    return OneWorld(tmp_path)


async def seen(world: OneWorld, seconds: float = 0):
    await world.clock.advance(seconds)
    sight = world.world.looks._sight
    kubelet = await sight.node_object(NODE)
    now = world.clock.now_ms()
    return sight.vitals(NODE, now, kubelet), sight.evidence(NODE, now, kubelet)


async def test_a_living_node_shows_life_in_band_and_its_usual_draw(world: OneWorld) -> None:
    world.plant.add_job("train/llm", [NODE])
    async with world.running():
        vitals, evidence = await seen(world)
        assert len(vitals.alive_in_band) == 3
        assert vitals.bmc_on
        assert vitals.fabric == "active"
        assert all(o.watts == pytest.approx(o.usual_watts, rel=0.01) for o in vitals.outlets)
        assert {item.instrument for item in evidence} == {
            Instrument.OUTLET_METER, Instrument.BMC, Instrument.AGENT, Instrument.EXPORTER, Instrument.SCHEDULER,
        }  # fmt: skip


async def test_a_hung_node_is_silent_idle_and_off_the_fabric(world: OneWorld) -> None:
    world.plant.add_job("train/llm", [NODE])
    async with world.running():
        world.plant.hang(NODE)
        vitals, _ = await seen(world, 30)
        assert vitals.alive_in_band == ()
        assert vitals.silent_seconds >= 28
        assert vitals.fabric == "down"
        assert not vitals.outlets_off
        assert all(o.watts < 0.6 * o.usual_watts for o in vitals.outlets)


async def test_a_kubelet_that_was_ready_a_moment_ago_is_life_until_it_misses_its_renewals(world: OneWorld) -> None:
    async with world.running():
        world.plant.nodes[NODE].agent_mute = True
        vitals, _ = await seen(world, 12)
        assert vitals.alive_in_band == ("its kubelet reports ready",)


async def test_what_is_not_measured_is_unknown_and_never_zero(world: OneWorld) -> None:
    async with world.running():
        world.plant.metering = False
        world.plant.nodes[NODE].bmc_mute = True
        vitals, evidence = await seen(world, 40)
        assert [o.watts for o in vitals.outlets] == [None, None]
        assert vitals.bmc_on is None
        assert not vitals.outlets_off
        old = [item for item in evidence if item.instrument is Instrument.OUTLET_METER]
        assert all(world.clock.now_ms() - item.at_ms >= 38_000 for item in old)


async def test_a_reading_that_rules_doubt_is_no_good_evidence(world: OneWorld) -> None:
    async with world.running():
        now = world.clock.now_ms()
        doubt = float(pack(Quality.UNCERTAIN, Reason.STUCK))
        world.window.put("sample_quality", doubt, now, asset=NODE, node=NODE, metric="bmc_power_state", reason="stuck")
        _, evidence = await seen(world)
        good = {item.instrument: item.good for item in evidence}
        assert not good[Instrument.BMC]
        assert good[Instrument.AGENT]
        assert good[Instrument.OUTLET_METER]


async def test_a_bad_reading_is_no_reading(world: OneWorld) -> None:
    async with world.running():
        bad = pack(Quality.BAD, Reason.STUCK)
        now = world.clock.now_ms()
        for outlet in world.site.graph.outlets_of(NODE):
            labels = {"asset": outlet.labels["pdu"], "outlet": outlet.labels["outlet"]}
            world.window.put("pdu_outlet_power_watts", 0.0, now + 1, quality=bad, **labels)
        sight = world.world.looks._sight
        vitals = sight.vitals(NODE, now + 2, None)
        assert not vitals.outlets_off


async def test_a_scheduler_that_does_not_answer_is_unknown(world: OneWorld) -> None:
    async with world.running():
        world.plant.api_down = True
        sight = world.world.looks._sight
        assert await sight.node_object(NODE) is None
        assert await sight.workload(NODE) is None
        assert (await sight.drain(NODE, {}, 0)).workload_pods is None
        assert await world.world.looks.jobs_on(NODE) is None


T = 1_000_000


def meter(*rows: tuple[int, float]) -> Meter:
    return Meter(metric="m", labels={}, readings=[Reading(T + at, value) for at, value in rows])


def pod(node: str | None, *, phase: str = "Running", deleting: bool = False) -> Pod:
    return Pod(namespace="ns", name="p", uid="u", node=node, phase=phase, job="ns/j", deleting=deleting)


def scene(**changes: object) -> Scene:
    fields: dict[str, object] = {
        "now_ms": T + 60_000, "node": NodeObject(name=NODE, ready=True, unschedulable=True, out_of_service=True),
        "job_pods": {"ns/j": [pod("dgx-002")]}, "outlets": [meter((2000, 800), (4000, 800)), meter((2000, 800), (4000, 800))],
        "uptime": meter((50_000, 20.0)), "gpu_count": meter((50_000, 8), (52_000, 8)), "name": NODE, "gpus": 8,
        "idle_watts": 2000.0, "effect_latency_ms": 5_000,
    }  # fmt: skip
    return Scene(**{**fields, **changes})


MEMORY = {"on_sent_at_ms": T, "on_proven_at_ms": T + 4_000, "jobs": {"ns/j": 1}}
OFF = [meter((6000, 5), (8000, 5)), meter((6000, 5), (8000, 5))]
CONDITIONS = [
    (Condition.REPLACEMENT_RUNNING, scene(), Verdict.PROVEN),
    (Condition.REPLACEMENT_RUNNING, scene(job_pods={"ns/j": [pod(NODE)]}), Verdict.OPEN),
    (Condition.REPLACEMENT_RUNNING, scene(job_pods={"ns/j": [pod("dgx-002", phase="Pending")]}), Verdict.OPEN),
    (Condition.REPLACEMENT_RUNNING, scene(job_pods={"ns/j": [pod("dgx-002", deleting=True)]}), Verdict.OPEN),
    (Condition.REPLACEMENT_RUNNING, scene(job_pods={}), Verdict.OPEN),
    (Condition.STAYS_ON, scene(), Verdict.PROVEN),
    (Condition.STAYS_ON, scene(now_ms=T + 4_900), Verdict.OPEN),
    (Condition.STAYS_ON, scene(outlets=OFF), Verdict.CONTRADICTED),
    (Condition.NEW_BOOT, scene(), Verdict.PROVEN),
    (Condition.NEW_BOOT, scene(uptime=meter((50_000, 9_000.0))), Verdict.OPEN),
    (Condition.NEW_BOOT, scene(uptime=meter((-2_000, 3.0))), Verdict.OPEN),
    (Condition.NODE_READY, scene(), Verdict.PROVEN),
    (Condition.NODE_READY, scene(node=None), Verdict.OPEN),
    (Condition.NODE_READY, scene(node=NodeObject(name=NODE, ready=None, unschedulable=True, out_of_service=True)), Verdict.OPEN),
    (Condition.NODE_READY, scene(node=NodeObject(name=NODE, ready=True, unschedulable=True, out_of_service=True, heartbeat_at_ms=T - 1)), Verdict.OPEN),
    (Condition.ALL_GPUS, scene(), Verdict.PROVEN),
    (Condition.ALL_GPUS, scene(gpu_count=meter((50_000, 8))), Verdict.OPEN),
    (Condition.ALL_GPUS, scene(gpu_count=meter((50_000, 8), (52_000, 7))), Verdict.OPEN),
    (Condition.ALL_GPUS, scene(gpu_count=meter((-4_000, 8), (-2_000, 8))), Verdict.OPEN),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "shown", "verdict"), CONDITIONS)
def test_a_condition_holds_only_when_it_is_seen(condition: Condition, shown: Scene, verdict: Verdict) -> None:
    assert judged(condition, shown, MEMORY).verdict is verdict
