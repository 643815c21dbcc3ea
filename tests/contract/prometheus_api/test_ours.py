"""What the API says of rules, alerts and metrics, and how it holds itself: a window that fills, limits, series of alerts."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec import structs
from prometheus_client import CollectorRegistry

from bus.embedded import EmbeddedBus
from bus.events import AlertEvent, AlertState
from bus.frames import FrameWriter
from console.prometheus.errors import ApiError
from console.prometheus.window import WAITING_LIMIT, QueryWindow
from fleet.clock import SystemClock
from fleet.metrics import METRICS
from rules.announce import message_of
from rules.engine import Engine
from rules.health import Health
from tests.contract.prometheus_api.pair import ODD_MS, STEP_MS, STEPS, console, dataset

RULES = """
groups:
  - name: racks
    interval: 30s
    limit: 7
    rules:
      - {record: 'rack:up:count', expr: count by (rack) (up), labels: {kind: sum}}
      - alert: RackHot
        expr: node_power_watts > 400
        for: 1m
        keep_firing_for: 2m
        labels: {severity: page}
        annotations: {summary: '{{ $labels.node }} is hot'}
"""


def alert(state: AlertState, node: str = "r1-n1", at_ms: int = 1_700_000_000_250) -> AlertEvent:
    """An alert event of the rule above."""
    return AlertEvent(
        alert_id=f"{node:0>32}",
        rule="rules.yaml/racks/RackHot",
        alertname="RackHot",
        state=state,
        severity="page",
        labels={"alertname": "RackHot", "node": node, "severity": "page"},
        annotations={"summary": f"{node} is hot"},
        value=431.5,
        active_since_ms=1_700_000_000_250,
        evaluated_at_ms=at_ms,
        fingerprint="0123456789abcdef",
        group_interval_seconds=30.0,
    )


class Api:
    """The console under test."""

    def __init__(self, http: aiohttp.ClientSession, address: str, bus: EmbeddedBus) -> None:
        self._http, self._address, self.bus = http, address, bus

    async def get(self, path: str, **params: str | list[str]) -> tuple[int, Any]:
        """Status and body."""
        async with self._http.get(f"{self._address}/api/v1/{path}", params=params) as answer:
            return answer.status, await answer.json()

    async def data(self, path: str, **params: str | list[str]) -> Any:
        """The data of an answer."""
        status, body = await self.get(path, **params)
        assert (status, body["status"]) == (200, "success"), body
        return body["data"]

    async def tell(self, *events: AlertEvent) -> None:
        """Put alert events on the bus."""
        publisher = await self.bus.publisher()
        await publisher.publish([message_of(event) for event in events])

    async def until(self, path: str, holds: Any, **params: str) -> Any:
        """The data, once it is as wanted."""
        async with asyncio.timeout(20):
            while True:
                data = await self.data(path, **params)
                if holds(data):
                    return data
                await asyncio.sleep(0.05)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    start = int(time.time()) - STEPS * STEP_MS // 1000
    (tmp_path / "rules.yaml").write_text(RULES)
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        series = dataset(start * 1000 + ODD_MS)
        address, bus = await stack.enter_async_context(console(tmp_path, series, [tmp_path / "rules.yaml"]))
        yield Api(http, address, bus)


async def test_rules_are_listed_with_their_alerts(api: Api, tmp_path: Path) -> None:
    await api.tell(alert(AlertState.PENDING), alert(AlertState.FIRING, "r1-n2"), alert(AlertState.RESOLVED, "r1-n3"))
    data = await api.until("rules", lambda data: data["groups"][0]["rules"][1]["state"] == "firing")
    (group,) = data["groups"]
    assert (group["name"], group["interval"], group["limit"]) == ("racks", 30, 7)
    assert group["file"] == str(tmp_path / "rules.yaml")
    recording, alerting = group["rules"]
    assert (recording["type"], recording["name"], recording["labels"]) == (
        "recording",
        "rack:up:count",
        {"kind": "sum"},
    )
    assert (alerting["duration"], alerting["keepFiringFor"], alerting["query"]) == (60, 120, "node_power_watts > 400")
    assert [each["state"] for each in alerting["alerts"]] == ["pending", "firing"]
    assert alerting["alerts"][0] == {
        "labels": {"alertname": "RackHot", "node": "r1-n1", "severity": "page"},
        "annotations": {"summary": "r1-n1 is hot"},
        "state": "pending",
        "activeAt": "2023-11-14T22:13:20.25Z",
        "value": "4.315e+02",
    }
    assert (await api.data("alerts"))["alerts"] == alerting["alerts"]
    only = await api.data("rules", **{"type": "record", "rule_group[]": ["racks"]})
    assert [rule["name"] for rule in only["groups"][0]["rules"]] == ["rack:up:count"]
    assert await api.data("rules", **{"rule_name[]": "Nobody"}) == {"groups": []}


async def test_rules_say_how_they_fare_in_the_engine_that_judges_them(api: Api, tmp_path: Path) -> None:
    (before,) = (await api.data("rules"))["groups"]
    assert {rule["health"] for rule in before["rules"]} == {"unknown"}
    engine, health = Engine([tmp_path / "rules.yaml"]), Health(FrameWriter(3))
    at_ms = int(time.time() * 1000)
    engine.evaluate(at_ms)
    engine.failures["rules.yaml/racks/rack:up:count"] = "many-to-many matching not allowed"
    publisher = await api.bus.publisher()
    await publisher.publish(health.frames(engine, at_ms))
    data = await api.until("rules", lambda data: data["groups"][0]["rules"][0]["health"] != "unknown")
    (group,) = data["groups"]
    recording, alerting = group["rules"]
    assert (recording["health"], recording["lastError"]) == ("err", "many-to-many matching not allowed")
    assert alerting["health"] == "ok"
    assert "lastError" not in alerting
    for each in (group, recording, alerting):
        assert 0 < each["evaluationTime"] < 1
        assert abs(datetime.fromisoformat(each["lastEvaluation"]).timestamp() * 1000 - at_ms) < 1
    engine.failures.clear()
    await publisher.publish(health.frames(engine, at_ms + 1_000))
    await api.until("rules", lambda data: data["groups"][0]["rules"][0]["health"] == "ok")


async def test_targets_are_those_whose_up_is_known(api: Api) -> None:
    found = (await api.data("targets"))["activeTargets"]
    up = {each["metric"]["node"]: each["value"][1] for each in (await api.data("query", query="up"))["result"]}
    assert {each["labels"]["node"]: each["health"] for each in found} == {
        node: "up" if value == "1" else "down" for node, value in up.items()
    }
    assert {each["scrapePool"] for each in found} == {"node"}
    assert (await api.data("targets", state="dropped"))["activeTargets"] == []
    assert (await api.data("targets", scrapePool="elsewhere"))["activeTargets"] == []
    assert (await api.get("targets", state="odd"))[0] == 400


async def test_alerts_are_series_from_their_first_event_to_their_last(api: Api) -> None:
    await api.tell(alert(AlertState.FIRING))
    query = {"query": 'ALERTS{alertstate="firing"}'}
    data = await api.until("query", lambda data: data["result"], **query)
    assert data["result"][0]["metric"] == {
        "__name__": "ALERTS", "alertname": "RackHot", "alertstate": "firing", "node": "r1-n1", "severity": "page",
    }  # fmt: skip
    (since,) = (await api.data("query", query="ALERTS_FOR_STATE"))["result"]
    assert since["value"][1] == "1700000000"
    await api.tell(alert(AlertState.RESOLVED, at_ms=1_700_000_100_000))
    assert (await api.until("query", lambda data: not data["result"], **query))["result"] == []


async def test_metrics_have_their_meaning_and_the_build_its_release(api: Api) -> None:
    meaning = METRICS["pdu_outlet_power_watts"].meaning
    assert await api.data("metadata", metric="pdu_outlet_power_watts") == {
        "pdu_outlet_power_watts": [{"type": "gauge", "help": meaning, "unit": "watts"}]
    }
    assert len(await api.data("metadata", limit="3")) == 3
    assert (await api.data("status/buildinfo"))["version"].startswith("3.")


async def test_a_limit_cuts_and_says_so(api: Api) -> None:
    for path, params in (
        ("query", {"query": "up"}),
        ("query_range", {"query": "up", "start": str(time.time() - 60), "end": str(time.time()), "step": "10"}),
        ("series", {"match[]": "up"}),
        ("labels", {}),
        ("label/node/values", {}),
    ):
        status, body = await api.get(path, **params, limit="2")
        found = body["data"]["result"] if isinstance(body["data"], dict) else body["data"]
        assert (status, len(found), body["warnings"]) == (200, 2, ["results truncated due to limit"]), path


async def test_an_explanation_is_asked_for_by_rule_and_target(api: Api) -> None:
    (told,) = await api.data("explain", rule="RackHot", target="r1-n1")
    assert (told["rule"], told["target"], told["steps"]["expr"]) == (
        "rules.yaml/racks/RackHot",
        "r1-n1",
        "node_power_watts > 400",
    )
    assert told["verdict"] in {"firing", "pending", "inactive"}
    status, body = await api.get("explain", rule="RackHott")
    assert (status, body["errorType"], body["error"]) == (
        404,
        "not_found",
        "no rule is called 'RackHott', try 'RackHot'",
    )
    status, body = await api.get("explain", rule="RackHot", target="a=b")
    assert (status, body["errorType"]) == (400, "bad_data")


async def test_a_query_that_takes_too_long_ends_as_a_timeout(api: Api) -> None:
    now = time.time()
    status, body = await api.get(
        "query_range",
        query="sum(rate(node_energy_joules_total[5m]))",
        start=str(now - 600),
        end=str(now),
        step="1",
        timeout="1ms",
    )
    assert (status, body["errorType"]) == (503, "timeout")


async def test_a_look_back_of_its_own_is_refused(api: Api) -> None:
    assert (await api.get("query", query="up", lookback_delta="5m"))[0] == 200
    assert (await api.get("query", query="up", lookback_delta="1h"))[0] == 400


async def test_until_the_window_is_read_questions_are_told_to_wait(tmp_path: Path) -> None:
    clock = SystemClock()
    bus = await EmbeddedBus.open(tmp_path / "bus.sqlite", clock=clock, partitions=1)
    window = QueryWindow(bus=bus, clock=clock, registry=CollectorRegistry(), alerts=tuple)
    with pytest.raises(ApiError, match="try again in some seconds"):
        await window.ask(lambda _: 1)
    running = asyncio.create_task(window.run())
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(ApiError):
                assert await window.ask(lambda held: held.series) == 0
                break
            await asyncio.sleep(0.05)
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()
    waiting = [asyncio.create_task(window.ask(lambda _: asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()))]
    waiting += [asyncio.create_task(window.ask(lambda _: True)) for _ in range(WAITING_LIMIT - 1)]
    await asyncio.sleep(0)
    with pytest.raises(ApiError, match="queries wait already"):
        await window.ask(lambda _: 1)
    gate.set()
    assert await asyncio.gather(*waiting) == [True] * WAITING_LIMIT
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await bus.close()


async def test_an_explanation_knows_since_when_the_engine_holds_an_alert(api: Api) -> None:
    since = int(time.time() * 1000) - 40_000
    labels = {"alertname": "RackHot", "severity": "page", "job": "node", "node": "r1-n1", "rack": "r1"}
    await api.tell(structs.replace(alert(AlertState.PENDING), active_since_ms=since, labels=labels))
    await api.until("alerts", lambda data: data["alerts"])
    (told,) = await api.data("explain", rule="RackHot", target="r1-n1", time=str((since + 30_000) / 1000))
    assert (told["verdict"], told["standings"][0]["held_ms"]) == ("pending", 30_000)
    (told,) = await api.data("explain", rule="RackHot", target="r1-n1", time=str((since + 90_000) / 1000))
    assert (told["verdict"], told["standings"][0]["held_ms"]) == ("firing", 90_000)
