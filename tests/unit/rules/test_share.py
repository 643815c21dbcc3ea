"""Two engines with half of the rules each, on one bus: every alert is told once, by the engine whose rule it is."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from bus.embedded import EmbeddedBus
from fleet.clock import VirtualClock
from rules.engine import Engine
from rules.models import MODELS
from rules.service import SHIPPED, RulesService
from rules.share import Share
from rules.spread import shares
from tests.unit.rules.test_service import Stage, at_once

RULES = """
groups:
  - name: hot
    interval: 1s
    rules: [{alert: Hot, expr: temperature > 80, for: 3s}]
  - name: warm
    interval: 1s
    rules: [{alert: Warm, expr: temperature > 60, for: 3s}]
  - name: e
    interval: 1s
    rules:
      - {alert: Xid, expr: 'sum by (asset, node, rack, zone) (increase(device_events_total{kind="xid",code="79"}[10m])) > 0'}
  - name: f
    interval: 1s
    rules:
      - {alert: AnyXid, expr: 'sum by (asset, node, rack, zone) (increase(device_events_total{kind="xid"}[10m])) > 0'}
"""


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    clock = VirtualClock()
    found = Stage(tmp_path, clock)
    found.rules.write_text(RULES)
    found.bus = await EmbeddedBus.open(tmp_path / "bus.sqlite", clock=clock, partitions=2)
    yield found
    await found.bus.close()


@asynccontextmanager
async def halves(stage: Stage, *chosen: str) -> AsyncIterator[list[RulesService]]:
    services = [
        RulesService(
            stage.site,
            stage.bus,
            stage.clock,
            stage.settings.model_copy(update={"rules_share": share}),
            CollectorRegistry(),
            disk=at_once,
        )
        for share in chosen
    ]
    tasks = [asyncio.create_task(service.run()) for service in services]
    for _ in range(200):
        await stage.clock.advance(0.05)
        if all(service._speaks for service in services):
            break
    yield services
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def warmed(stage: Stage, value: float, seconds: int) -> None:
    for _ in range(seconds):
        await stage.feed(value)
        await stage.clock.advance(1)


async def test_each_alert_is_told_once_by_the_engine_whose_rule_it_is(stage: Stage) -> None:
    async with halves(stage, "1/2", "2/2") as services:
        one, two = (set(service.engine.groups) for service in services)
        assert (len(one), len(two), one & two) == (2, 2, set())
        await warmed(stage, 90.0, 6)
        await stage.event()
        await warmed(stage, 90.0, 4)
        await warmed(stage, 20.0, 3)
        told = Counter((event.alertname, str(event.state)) for event in await stage.events())
    assert told == {
        **{(name, state): 1 for name in ("Hot", "Warm") for state in ("pending", "firing", "resolved")},
        ("Xid", "firing"): 1,
        ("AnyXid", "firing"): 1,
    }


async def test_a_half_that_starts_again_leaves_the_other_halfs_alerts_alone(stage: Stage) -> None:
    async with halves(stage, "1/2", "2/2"):
        await warmed(stage, 90.0, 6)
    for _ in range(2):
        async with halves(stage, "2/2"):
            await warmed(stage, 90.0, 3)
        async with halves(stage, "1/2"):
            await warmed(stage, 90.0, 3)
    told = Counter((event.alertname, str(event.state)) for event in await stage.events())
    assert told == {(name, state): 1 for name in ("Hot", "Warm") for state in ("pending", "firing")}


async def test_the_alert_of_a_rule_that_is_gone_is_ended_once(stage: Stage) -> None:
    async with halves(stage, "1/2", "2/2"):
        await warmed(stage, 90.0, 6)
    stage.rules.write_text(RULES.replace("alert: Warm", "alert: Lukewarm"))
    async with halves(stage, "1/2", "2/2"):
        await warmed(stage, 90.0, 6)
        told = Counter((event.alertname, str(event.state)) for event in await stage.events())
    assert told["Warm", "unknown"] == 1
    assert told["Lukewarm", "firing"] == 1
    assert told["Hot", "firing"] == 1
    assert ("Hot", "resolved") not in told


@pytest.mark.parametrize("engines", [2, 3])
def test_every_model_runs_in_one_engine_alone(engines: int) -> None:
    share = Share(number=1, engines=1)
    parts = [Engine(part) for part in shares(share.load([SHIPPED]), engines, MODELS)]
    running = Counter(name for part in parts for name in part.models.running)
    assert set(running) == set(Engine(share.load([SHIPPED])).models.running)
    assert set(running.values()) == {1}
