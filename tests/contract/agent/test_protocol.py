"""Protocol v1 as its document says, through real HTTPS with the site's own certificate authority."""

import asyncio
import ssl
import time
from pathlib import Path

import aiohttp
import pytest

from fleet.errors import Refused, Unreachable
from tests.contract.agent.nodes import BOOT, READ_TOKEN, WRITE_TOKEN, Node, running

XID_79 = "NVRM: Xid (PCI:0000:10:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."


async def test_the_heartbeat_names_node_boot_and_age(ask) -> None:
    status, beat = await ask.get("/v1/heartbeat")
    assert status == 200
    assert beat["node"] == "dgx-001"
    assert beat["boot_id"] == BOOT
    assert beat["uptime_seconds"] > 0
    assert abs(beat["at"] - time.time() * 1000) < 5_000
    assert beat["sequence"] >= 1


async def test_readings_carry_every_gpu_with_its_bounds(ask) -> None:
    _, readings = await ask.get("/v1/readings")
    assert [gpu["gpu"] for gpu in readings["gpus"]] == [0, 1]
    assert readings["gpus"][0] == {
        "gpu": 0,
        "uuid": "GPU-0",
        "power_watts": 300.5,
        "power_limit_watts": 700.0,
        "default_power_limit_watts": 700.0,
        "min_power_limit_watts": 200.0,
        "max_power_limit_watts": 700.0,
        "temperature_celsius": 55.0,
    }


async def test_gpus_that_fell_silent_are_left_out_and_the_reason_is_said(ask, node: Node) -> None:
    node.gpus.fault = Unreachable("nvidia-smi did not end within 5 s, try dmesg on the node")
    async with asyncio.timeout(10):
        while (await ask.get("/v1/readings"))[1]["gpus"]:
            await asyncio.sleep(0.05)
    _, readings = await ask.get("/v1/readings")
    assert "nvidia-smi" in readings["text"]
    assert (await ask.get("/v1/heartbeat"))[0] == 200


async def test_a_long_poll_returns_as_soon_as_the_kernel_reports_an_xid(ask, node: Node) -> None:
    waiting = asyncio.create_task(ask.get("/v1/events?after=0&wait_seconds=20"))
    await asyncio.sleep(0.1)
    began = time.monotonic()
    node.kernel.write("usb 1-1: new device", XID_79)
    status, found = await waiting
    assert status == 200
    assert time.monotonic() - began < 5
    (event,) = found["events"]
    assert (event["id"], event["kind"], event["code"], event["gpu"]) == (1, "xid", "79", 1)
    assert event["text"].startswith("NVRM: Xid (PCI:0000:10:00): 79")
    assert (found["cursor"], found["oldest"], found["boot_id"]) == (1, 1, BOOT)


async def test_an_empty_long_poll_ends_after_its_time_with_the_same_cursor(ask) -> None:
    status, found = await ask.get("/v1/events?after=0&wait_seconds=0.2")
    assert (status, found["events"], found["cursor"]) == (200, [], 0)


async def test_events_stay_until_they_are_read_also_through_a_restart(tmp_path: Path, authority) -> None:
    context = ssl.create_default_context(cafile=str(authority.path))
    headers = {"Authorization": f"Bearer {READ_TOKEN}"}
    async with running(tmp_path, authority) as node:
        node.kernel.write(XID_79)
        async with aiohttp.ClientSession() as session:
            url = f"{node.url}/v1/events?after=0&wait_seconds=5"
            first = await (await session.get(url, headers=headers, ssl=context)).json()
    async with running(tmp_path, authority) as node, aiohttp.ClientSession() as session:
        again = await (await session.get(f"{node.url}/v1/events?after=0", headers=headers, ssl=context)).json()
        assert again["events"] == first["events"]
        assert node.kernel.asked_after == ["1"]


async def test_a_new_boot_reads_its_kernel_log_from_the_start(tmp_path: Path, authority) -> None:
    async with running(tmp_path, authority) as node:
        news = node.agent._kernel.news
        node.kernel.write(XID_79)
        async with asyncio.timeout(5):
            await news.wait()
    async with running(tmp_path, authority, boot_id="another-boot") as node:
        assert node.kernel.asked_after == [None]


async def test_a_cursor_of_the_future_is_answered_at_once_so_that_the_reader_starts_again(ask, node: Node) -> None:
    node.kernel.write(XID_79)
    await ask.get("/v1/events?after=0&wait_seconds=5")
    began = time.monotonic()
    _, found = await ask.get("/v1/events?after=900&wait_seconds=20")
    assert time.monotonic() - began < 5
    assert (found["cursor"], found["oldest"], found["events"]) == (1, 1, [])


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "after=0&wait_seconds=nan", "after=1e9", "after=99999999999999999"]
)
async def test_a_query_that_is_no_number_is_422_with_what_to_try(ask, query: str) -> None:
    status, said = await ask.get(f"/v1/events?{query}")
    assert status == 422
    assert said["try"].startswith("a number from 0")


async def test_a_power_limit_is_set_on_every_gpu_and_read_back(ask, node: Node) -> None:
    status, said = await ask("PUT", "/v1/gpus/power-limit", json={"watts": 400, "gpus": None, "intent": "i-1"})
    assert status == 200
    assert said == {"gpus": [{"gpu": 0, "power_limit_watts": 400.0}, {"gpu": 1, "power_limit_watts": 400.0}]}
    assert node.gpus.sets == [((0, 1), 400.0)]


async def test_a_power_limit_for_one_gpu_leaves_the_others(ask, node: Node) -> None:
    await ask("PUT", "/v1/gpus/power-limit", json={"watts": 400, "gpus": [1], "intent": "i-1"})
    assert node.gpus.sets == [((1,), 400.0)]


async def test_the_same_intent_twice_acts_once_also_after_a_restart(tmp_path: Path, authority) -> None:
    context = ssl.create_default_context(cafile=str(authority.path))
    headers = {"Authorization": f"Bearer {WRITE_TOKEN}"}
    gpus = None
    for _ in range(2):
        async with running(tmp_path, authority, gpus=gpus) as node, aiohttp.ClientSession() as session:
            gpus = node.gpus
            for _ in range(2):
                url = f"{node.url}/v1/gpus/power-limit"
                wish = {"watts": 400, "intent": "i-1"}
                async with session.put(url, json=wish, headers=headers, ssl=context) as response:
                    assert response.status == 200
                    assert (await response.json())["gpus"][0]["power_limit_watts"] == 400.0
    assert gpus.sets == [((0, 1), 400.0)]


async def test_an_intent_that_asks_for_something_else_is_409(ask, node: Node) -> None:
    await ask("PUT", "/v1/gpus/power-limit", json={"watts": 400, "intent": "i-1"})
    status, said = await ask("PUT", "/v1/gpus/power-limit", json={"watts": 300, "intent": "i-1"})
    assert (status, said["try"]) == (409, "a new intent")
    assert len(node.gpus.sets) == 1


async def test_a_second_limit_while_the_first_is_set_is_409_and_does_nothing(ask, node: Node) -> None:
    node.gpus.hold = asyncio.Event()
    first = asyncio.create_task(ask("PUT", "/v1/gpus/power-limit", json={"watts": 400, "intent": "i-1"}))
    async with asyncio.timeout(5):
        while not node.gpus.sets:
            await asyncio.sleep(0.01)
    status, said = await ask("PUT", "/v1/gpus/power-limit", json={"watts": 300, "intent": "i-2"})
    assert status == 409
    assert "another power limit" in said["error"]
    node.gpus.hold.set()
    assert (await first)[0] == 200
    assert len(node.gpus.sets) == 1


@pytest.mark.parametrize(
    "wish",
    [
        {"watts": 199.9, "intent": "i"},
        {"watts": 700.1, "intent": "i"},
        {"watts": 0, "intent": "i"},
        {"watts": -400, "intent": "i"},
        {"watts": 1e308, "intent": "i"},
        {"watts": True, "intent": "i"},
        {"watts": "400", "intent": "i"},
        {"watts": None, "intent": "i"},
        {"watts": 400, "intent": ""},
        {"watts": 400, "intent": "two words"},
        {"watts": 400, "intent": "i\n"},
        {"watts": 400, "intent": "i" * 129},
        {"watts": 400, "intent": "i", "gpus": []},
        {"watts": 400, "intent": "i", "gpus": [2]},
        {"watts": 400, "intent": "i", "gpus": [-1]},
        {"watts": 400, "intent": "i", "gpus": [0.5]},
        {"watts": 400, "intent": "i", "gpus": list(range(65))},
        {"watts": 400},
        [],
        None,
    ],
)
async def test_what_a_gpu_does_not_allow_is_422_with_what_to_try_and_nothing_is_set(ask, node: Node, wish) -> None:
    status, said = await ask("PUT", "/v1/gpus/power-limit", json=wish)
    assert status == 422
    assert said["error"]
    assert said["try"]
    assert node.gpus.sets == []


async def test_the_owners_bounds_are_kept_within_what_the_gpu_allows(tmp_path: Path, authority) -> None:
    context = ssl.create_default_context(cafile=str(authority.path))
    headers = {"Authorization": f"Bearer {WRITE_TOKEN}"}
    bounds = {"low_watts": 300, "high_watts": 600}
    async with running(tmp_path, authority, power_limit=bounds) as node, aiohttp.ClientSession() as session:
        for watts, expected in ((299, 422), (601, 422), (600, 200)):
            wish = {"watts": watts, "intent": f"i-{watts}"}
            async with session.put(f"{node.url}/v1/gpus/power-limit", json=wish, headers=headers, ssl=context) as said:
                assert said.status == expected


async def test_gpus_that_do_not_answer_are_409_and_nothing_is_set(ask, node: Node) -> None:
    node.gpus.fault = Unreachable("silent, try dmesg")
    status, _ = await ask("PUT", "/v1/gpus/power-limit", json={"watts": 400, "intent": "i"})
    assert status == 409
    assert node.gpus.sets == []


async def test_a_driver_that_fails_on_the_way_is_502_never_a_refusal(ask, node: Node) -> None:
    """A 4xx promises that nothing was done; a driver that failed half-way cannot promise that."""
    node.gpus.set_fault = Refused("nvidia-smi -pl ended with 1, try it as root")
    status, said = await ask("PUT", "/v1/gpus/power-limit", json={"watts": 400, "intent": "i"})
    assert (status, said["try"]) == (502, "it as root")


@pytest.mark.parametrize("token", ["", "x" * 32, READ_TOKEN[:-1], READ_TOKEN + "r", "é" * 32])
async def test_without_a_known_token_nothing_is_told_not_even_which_paths_exist(ask, token: str) -> None:
    for path in ("/v1/heartbeat", "/v1/readings", "/nothing"):
        status, said = await ask("GET", path, token=token)
        assert status == 401
        assert "Bearer" in said["try"]


async def test_the_read_token_may_not_write(ask, node: Node) -> None:
    wish = {"watts": 400, "intent": "i"}
    status, said = await ask("PUT", "/v1/gpus/power-limit", token=READ_TOKEN, json=wish)
    assert status == 403
    assert "write token" in said["try"]
    assert node.gpus.sets == []


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "OPTIONS"])
async def test_no_other_method_is_served(ask, method: str) -> None:
    assert (await ask(method, "/v1/heartbeat"))[0] in {403, 405}


async def test_a_body_over_the_limit_is_refused_and_not_read(ask) -> None:
    status, _ = await ask("PUT", "/v1/gpus/power-limit", json={"watts": 400, "intent": "i" * 40_000})
    assert status == 413


async def test_plain_http_and_a_foreign_authority_get_nothing(node: Node, tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(node.url.replace("https", "http") + "/v1/heartbeat")
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(node.url + "/v1/heartbeat")
