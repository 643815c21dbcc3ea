"""The node agents over HTTPS, asked by aiohttp."""

import asyncio
import ssl

import aiohttp
import pytest

NODE, INDEX = "dgx-002", 1


@pytest.fixture
def agent(site, http):
    """(status, decoded body) of one request."""

    async def ask(method, path, *, body=None, write=False, token=None, node=NODE):
        login = site.secrets.agent_write if write else site.secrets.agent_read
        headers = {"Authorization": f"Bearer {token if token is not None else login.word}"}
        url = f"https://127.0.0.1:{site.ports.agents[node]}{path}"
        async with http.request(method, url, headers=headers, json=body) as answer:
            return answer.status, await answer.json()

    return ask


async def test_the_heartbeat_names_node_and_boot_and_grows(site, agent) -> None:
    _, first = await agent("GET", "/v1/heartbeat")
    site.step(10)
    _, second = await agent("GET", "/v1/heartbeat")
    assert first["node"] == NODE
    assert first["boot_id"] == second["boot_id"]
    assert second["uptime_seconds"] == pytest.approx(first["uptime_seconds"] + 10)
    assert second["sequence"] - first["sequence"] == 5
    assert second["at"] >= first["at"] > 1_600_000_000_000


async def test_readings_are_those_of_the_plant(site, agent) -> None:
    _, readings = await agent("GET", "/v1/readings")
    assert [gpu["gpu"] for gpu in readings["gpus"]] == list(range(8))
    assert readings["gpus"][0]["power_watts"] == pytest.approx(float(site.plant.machines.gpu_watts[INDEX, 0]), abs=0.1)
    limits = {gpu[f"{which}power_limit_watts"] for gpu in readings["gpus"] for which in ("", "default_", "max_")}
    assert limits == {700.0}
    assert [job["job"] for job in readings["jobs"]] == ["training/train-a"]
    assert (await agent("GET", "/v1/readings", node="dgx-016"))[1]["jobs"] == []


async def test_a_power_limit_is_set_bites_and_is_written_down_with_its_intent(site, agent, truth) -> None:
    status, body = await agent(
        "PUT", "/v1/gpus/power-limit", body={"watts": 400, "gpus": [0, 5], "intent": "i-1"}, write=True
    )
    assert (status, body) == (
        200,
        {"gpus": [{"gpu": 0, "power_limit_watts": 400.0}, {"gpu": 5, "power_limit_watts": 400.0}]},
    )
    site.step(2)
    assert site.plant.machines.gpu_watts[INDEX, [0, 5]].max() <= 400.0
    assert site.plant.machines.gpu_watts[INDEX, 1] > 600.0
    entry = truth()[-1]
    assert (entry["device"], entry["verb"], entry["request_id"], entry["executed"]) == (
        NODE,
        "gpu_power_limit",
        "i-1",
        True,
    )


async def test_one_intent_acts_once_and_may_not_change_its_mind(site, agent, truth) -> None:
    for _ in range(2):
        assert (await agent("PUT", "/v1/gpus/power-limit", body={"watts": 400, "intent": "i-1"}, write=True))[0] == 200
    assert [entry["executed"] for entry in truth()] == [True, False]
    status, body = await agent("PUT", "/v1/gpus/power-limit", body={"watts": 500, "intent": "i-1"}, write=True)
    assert status == 409 and body["try"]
    assert site.plant.machines.cap_set[INDEX].max() == 400.0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"watts": 199, "intent": "i"}, 422),
        ({"watts": 701, "intent": "i"}, 422),
        ({"watts": "400", "intent": "i"}, 422),
        ({"watts": 400}, 422),
        ({"watts": 400, "intent": "i", "gpus": [8]}, 422),
        ({"watts": 400, "intent": "i", "gpus": []}, 422),
        ([], 422),
    ],
)
async def test_a_limit_that_makes_no_sense_is_refused_with_a_hint(site, agent, truth, body, status) -> None:
    answer = await agent("PUT", "/v1/gpus/power-limit", body=body, write=True)
    assert answer[0] == status
    assert answer[1]["error"] and answer[1]["try"]
    assert truth()[-1]["accepted"] is False
    assert site.plant.machines.cap_set[INDEX].min() == 700.0


async def test_a_reader_may_not_write_and_a_stranger_may_not_even_read(site, agent, truth) -> None:
    assert (await agent("PUT", "/v1/gpus/power-limit", body={"watts": 400, "intent": "i"}))[0] == 403
    assert (truth()[-1]["verb"], truth()[-1]["accepted"]) == ("gpu_power_limit", False)
    assert (await agent("GET", "/v1/heartbeat", token="guess"))[0] == 401
    assert (await agent("PUT", "/v1/gpus/power-limit", body={"watts": 400, "intent": "i"}, token="guess"))[0] == 401
    assert site.plant.machines.cap_set[INDEX].min() == 700.0


async def test_a_checkpoint_is_requested_and_done_after_some_seconds(site, agent, truth) -> None:
    path = "/v1/jobs/training/train-a/checkpoint"
    assert (await agent("GET", path))[1]["state"] == "none"
    assert (await agent("PUT", path, body={"intent": "c-1", "deadline_seconds": 30}, write=True))[0] == 202
    assert (await agent("GET", path))[1]["state"] == "requested"
    site.step(1)
    assert (await agent("GET", path))[1]["state"] == "requested"
    site.step(4.5)
    done = (await agent("GET", path))[1]
    assert (done["state"], done["intent"]) == ("done", "c-1")
    assert done["step"] > 0
    assert (await agent("GET", "/v1/readings"))[1]["jobs"][0]["checkpoint_age_seconds"] < 5
    assert truth()[-1]["verb"] == "checkpoint"


async def test_a_checkpoint_that_misses_its_deadline_has_failed(site, agent) -> None:
    path = "/v1/jobs/training/train-a/checkpoint"
    await agent("PUT", path, body={"intent": "c-1", "deadline_seconds": 1}, write=True)
    site.step(6)
    assert (await agent("GET", path))[1]["state"] == "failed"


async def test_a_job_that_is_not_here_makes_no_checkpoint(agent) -> None:
    status, body = await agent(
        "PUT", "/v1/jobs/batch/nowhere/checkpoint", body={"intent": "c", "deadline_seconds": 5}, write=True
    )
    assert status == 404 and "train-a" in body["try"]


async def test_an_xid_wakes_the_long_poll_and_stays_until_it_was_read(site, agent) -> None:
    waiting = asyncio.ensure_future(agent("GET", "/v1/events?after=0&wait_seconds=10"))
    await asyncio.sleep(0.2)
    site.faults.begin({"fault": "gpu-off-bus", "target": NODE, "gpu": 6})
    site.step(0.25)
    _, events = await asyncio.wait_for(waiting, 2)
    assert [(event["kind"], event["code"], event["gpu"]) for event in events["events"]] == [("xid", "79", 6)]
    assert (await agent("GET", "/v1/events?after=0"))[1]["events"] == events["events"]
    after = (await agent("GET", f"/v1/events?after={events['cursor']}&wait_seconds=0.1"))[1]
    assert after["events"] == [] and after["cursor"] == events["cursor"]
    assert len((await agent("GET", "/v1/readings"))[1]["gpus"]) == 7


async def test_a_limit_for_a_gpu_that_fell_off_is_refused_and_the_rest_can_still_be_capped(site, agent) -> None:
    site.faults.begin({"fault": "gpu-off-bus", "target": NODE, "gpu": 6})
    assert (await agent("PUT", "/v1/gpus/power-limit", body={"watts": 300, "intent": "a", "gpus": [6]}, write=True))[
        0
    ] == 409
    status, body = await agent("PUT", "/v1/gpus/power-limit", body={"watts": 300, "intent": "b"}, write=True)
    assert status == 200 and [gpu["gpu"] for gpu in body["gpus"]] == [0, 1, 2, 3, 4, 5, 7]


@pytest.mark.parametrize("kind", ["hung-node", "partition", "agent-silent"])
async def test_a_node_that_is_cut_off_takes_the_connection_and_says_nothing(site, agent, truth, kind) -> None:
    fault = site.faults.begin({"fault": kind, "target": NODE})
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(
            agent("PUT", "/v1/gpus/power-limit", body={"watts": 400, "intent": "i"}, write=True), 0.4
        )
    assert (truth()[-1]["verb"], truth()[-1]["accepted"], truth()[-1]["executed"]) == ("gpu_power_limit", False, False)
    assert (await agent("GET", "/v1/heartbeat", node="dgx-003"))[0] == 200
    site.faults.heal(fault.number)
    assert (await agent("GET", "/v1/heartbeat"))[0] == 200
    assert site.plant.machines.cap_set[INDEX].min() == 700.0


async def test_a_power_cycle_gives_a_new_boot_id_and_the_default_limits(site, agent) -> None:
    await agent("PUT", "/v1/gpus/power-limit", body={"watts": 300, "intent": "i"}, write=True)
    before = (await agent("GET", "/v1/heartbeat"))[1]
    site.plant.chassis(INDEX, on=False)
    site.step(3)
    site.plant.chassis(INDEX, on=True)
    site.step(25)
    after = (await agent("GET", "/v1/heartbeat"))[1]
    assert after["boot_id"] != before["boot_id"]
    assert after["uptime_seconds"] < 10
    assert (await agent("GET", "/v1/readings"))[1]["gpus"][0]["power_limit_watts"] == 700.0


async def test_without_the_sites_authority_nobody_is_believed(site) -> None:
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context())
    async with aiohttp.ClientSession(connector=connector) as stranger:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await stranger.get(f"https://127.0.0.1:{site.ports.agents[NODE]}/v1/heartbeat")
    await asyncio.sleep(0.05)


async def boot_of(agent) -> str:
    return (await agent("GET", "/v1/heartbeat"))[1]["boot_id"]


async def test_a_reset_is_refused_while_a_job_holds_the_gpus_and_clears_a_pending_row_once_it_is_gone(
    site, agent, truth
) -> None:
    body = {"intent": "r-1", "boot_id": await boot_of(agent), "gpus": [2]}
    site.faults.begin({"fault": "row-remap", "target": NODE, "gpu": 2})
    assert (await agent("PUT", "/v1/gpus/reset", body=body, write=True))[0] == 409
    for uid in list(site.workload.uids_on(INDEX)):
        site.workload.stop(INDEX, uid)
    assert (await agent("PUT", "/v1/gpus/reset", body=body, write=True))[0] == 202
    assert (await agent("GET", "/v1/repair"))[1]["state"] == "running"
    assert (await agent("PUT", "/v1/gpus/reset", body=body, write=True))[1]["intent"] == "r-1"
    site.plant.step(9)
    assert (await agent("GET", "/v1/repair"))[1]["state"] == "done"
    assert not site.plant.health.remap_pending[INDEX, 2]
    assert [entry["executed"] for entry in truth() if entry["verb"] == "gpu_reset"] == [False, True, False]


async def test_a_reboot_ends_in_another_boot_and_an_order_for_the_old_one_is_refused(site, agent, truth) -> None:
    boot = await boot_of(agent)
    assert (await agent("PUT", "/v1/reboot", body={"intent": "b-1", "boot_id": boot}, write=True))[0] == 202
    site.step(40)
    repair = (await agent("GET", "/v1/repair"))[1]
    assert (repair["state"], repair["taken_in"]) == ("done", boot) and repair["boot_id"] != boot
    assert (await agent("PUT", "/v1/reboot", body={"intent": "b-2", "boot_id": boot}, write=True))[0] == 409
    assert site.plant.machines.boots[INDEX] == 1
    assert [(entry["verb"], entry["executed"]) for entry in truth()] == [("reboot", True), ("reboot", False)]


async def test_a_clock_that_is_off_shows_in_the_heartbeat(site, agent) -> None:
    before = (await agent("GET", "/v1/heartbeat"))[1]["at"]
    site.faults.begin({"fault": "clock-offset", "target": NODE, "seconds": -300})
    assert (await agent("GET", "/v1/heartbeat"))[1]["at"] < before - 290_000
