"""Against a real Alertmanager: it takes our pushes, and our webhook has the shape of its own."""

import asyncio
import contextlib
import json
import shutil

import aiohttp
import msgspec
import pytest
from aiohttp import web

from bus.events import AlertState, IncidentAlert, IncidentEvent, IncidentState
from fleet.clock import SystemClock
from oncall.payload import pushed_alerts, webhook_body
from oncall.webhook import Answer, HttpPoster
from tests.real.servers import alertmanager


def incident(state=IncidentState.OPEN, *, opened_ms):
    return IncidentEvent(
        incident_id="inc-7",
        state=state,
        title="Node dgx-007 hangs",
        severity="critical",
        root="dgx-007",
        alerts=[
            IncidentAlert(
                alert_id="ab" * 16,
                rule="node.yaml/node/NodeHung",
                alertname="NodeHung",
                asset="dgx-007",
                state=AlertState.FIRING,
                labels={"severity": "critical", "asset": "dgx-007"},
                annotations={"summary": "A node hangs."},
                since_ms=opened_ms,
            )
        ],
        assets=["dgx-007"],
        remediations=[],
        opened_at_ms=opened_ms,
        updated_at_ms=opened_ms,
        ended_at_ms=opened_ms + 1_000 if state is IncidentState.RESOLVED else None,
        sequence=1,
        epoch=1,
    )


@contextlib.asynccontextmanager
async def hook():
    got: asyncio.Queue[dict] = asyncio.Queue()

    async def take(request):
        await got.put(await request.json())
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/", take)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/", got
    await runner.cleanup()


@pytest.mark.peer("alertmanager")
async def test_a_push_reaches_the_pager_through_a_real_alertmanager_and_its_end_too(tmp_path):
    binary = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    now_ms = SystemClock().now_ms() - 10_000
    async with hook() as (url, got), alertmanager(binary, tmp_path, webhook=url) as address:
        poster = HttpPoster(f"{address}/api/v2/alerts", allow_private=True)
        living = pushed_alerts(
            incident(opened_ms=now_ms), now_ms=now_ms, ends_ms=now_ms + 120_000, external_url="http://hk"
        )
        assert (
            await poster.post(msgspec.json.encode(living), {"Content-Type": "application/json"})
        ).answer is Answer.TAKEN
        async with asyncio.timeout(20):
            theirs = await got.get()
        assert theirs["status"] == "firing"
        assert theirs["groupLabels"] == {"incident": "inc-7"}

        async with aiohttp.ClientSession() as http, http.get(f"{address}/api/v2/alerts") as answer:
            (held,) = await answer.json()
        assert held["labels"]["asset"] == "dgx-007"
        assert held["status"]["state"] == "active"

        ended = pushed_alerts(
            incident(IncidentState.RESOLVED, opened_ms=now_ms),
            now_ms=now_ms + 10_000,
            ends_ms=0,
            external_url="http://hk",
        )
        assert (
            await poster.post(msgspec.json.encode(ended), {"Content-Type": "application/json"})
        ).answer is Answer.TAKEN
        async with asyncio.timeout(20):
            assert (await got.get())["status"] == "resolved"
        await poster.close()

        ours = json.loads(
            webhook_body(incident(opened_ms=now_ms), receiver="ours", external_url="http://hk", reason="opened")
        )
        assert set(theirs) <= set(ours)
        assert ours["version"] == theirs["version"] == "4"
        assert set(theirs["alerts"][0]) == set(ours["alerts"][0])
        for key in (
            "status",
            "receiver",
            "externalURL",
            "groupKey",
            "groupLabels",
            "commonLabels",
            "commonAnnotations",
            "truncatedAlerts",
        ):
            assert type(ours[key]) is type(theirs[key]), key
        for key, value in theirs["alerts"][0].items():
            assert type(ours["alerts"][0][key]) is type(value), key


@pytest.mark.peer("alertmanager")
async def test_a_malformed_push_is_refused_and_said(tmp_path):
    binary = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    async with hook() as (url, _got), alertmanager(binary, tmp_path, webhook=url) as address:
        poster = HttpPoster(f"{address}/api/v2/alerts", allow_private=True)
        delivery = await poster.post(b"{}", {"Content-Type": "application/json"})
        await poster.close()
    assert delivery.answer is Answer.REFUSED
    assert "400" in delivery.why or "422" in delivery.why
