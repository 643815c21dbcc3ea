"""The checkpoint hook: the configured command, once per intent, with a deadline, its state kept."""

import asyncio
import ssl
import time
from pathlib import Path

import aiohttp
import pytest

from tests.contract.agent.nodes import WRITE_TOKEN, Node, running

JOB = "/v1/jobs/training/llama-7b/checkpoint"


def hook(folder: Path, script: str) -> dict[str, object]:
    path = folder / "hook.sh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"command": [str(path), "save"]}


async def asked(node: Node, method: str, path: str = JOB, json: object = None):
    context = ssl.create_default_context(cafile=str(node.authority.path))
    headers = {"Authorization": f"Bearer {WRITE_TOKEN}"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, node.url + path, json=json, headers=headers, ssl=context) as response,
    ):
        return response.status, await response.json()


async def settled(node: Node, path: str = JOB) -> dict[str, object]:
    async with asyncio.timeout(10):
        while True:
            _, state = await asked(node, "GET", path)
            if state["state"] not in {"none", "requested"}:
                return state
            await asyncio.sleep(0.02)


def wish(intent: str = "i-1", deadline: float = 10) -> dict[str, object]:
    return {"intent": intent, "deadline_seconds": deadline}


async def test_a_job_never_asked_has_no_checkpoint(tmp_path: Path, authority) -> None:
    async with running(tmp_path, authority) as node:
        assert await asked(node, "GET") == (
            200,
            {"state": "none", "intent": None, "at": None, "step": None, "text": ""},
        )


async def test_the_hook_is_told_the_job_and_its_step_is_kept(tmp_path: Path, authority) -> None:
    script = 'echo "$1 $HALLKEEPER_JOB_NAMESPACE/$HALLKEEPER_JOB_NAME $HALLKEEPER_INTENT" > %s/saw; echo step=1200'
    async with running(tmp_path, authority, checkpoint=hook(tmp_path, script % tmp_path)) as node:
        status, first = await asked(node, "PUT", json=wish())
        assert (status, first["state"], first["intent"]) == (202, "requested", "i-1")
        done = await settled(node)
        assert (done["state"], done["step"], done["intent"]) == ("done", 1200, "i-1")
        assert (tmp_path / "saw").read_text() == "save training/llama-7b i-1\n"
        _, readings = await asked(node, "GET", "/v1/readings")
        (age,) = readings["jobs"]
        assert age["job"] == "training/llama-7b"
        assert 0 <= age["checkpoint_age_seconds"] < 10


async def test_a_repeated_intent_does_not_run_the_hook_again(tmp_path: Path, authority) -> None:
    async with running(tmp_path, authority, checkpoint=hook(tmp_path, f"echo x >> {tmp_path}/runs")) as node:
        await asked(node, "PUT", json=wish())
        await settled(node)
        status, state = await asked(node, "PUT", json=wish())
        assert (status, state["state"]) == (202, "done")
        assert (tmp_path / "runs").read_text() == "x\n"


async def test_a_hook_that_fails_says_why_and_an_earlier_checkpoint_still_counts(tmp_path: Path, authority) -> None:
    script = f"test -e {tmp_path}/broken && {{ echo 'disk full' >&2; exit 3; }}; exit 0"
    async with running(tmp_path, authority, checkpoint=hook(tmp_path, script)) as node:
        await asked(node, "PUT", json=wish("i-1"))
        assert (await settled(node))["state"] == "done"
        (tmp_path / "broken").touch()
        await asked(node, "PUT", json=wish("i-2"))
        failed = await settled(node)
        assert (failed["state"], failed["text"]) == ("failed", "the hook ended with 3: disk full")
        assert len((await asked(node, "GET", "/v1/readings"))[1]["jobs"]) == 1


async def test_a_hook_past_its_deadline_is_killed_with_its_children(tmp_path: Path, authority) -> None:
    script = f"(sleep 60; touch {tmp_path}/survived) & echo $! > {tmp_path}/child; sleep 60"
    async with running(tmp_path, authority, checkpoint=hook(tmp_path, script)) as node:
        began = time.monotonic()
        await asked(node, "PUT", json=wish(deadline=1))
        failed = await settled(node)
        assert failed["state"] == "failed"
        assert "within 1 s" in failed["text"]
        assert time.monotonic() - began < 8
    child = int((tmp_path / "child").read_text())
    async with asyncio.timeout(5):
        while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
            await asyncio.sleep(0.02)


async def test_another_intent_while_one_runs_is_409(tmp_path: Path, authority) -> None:
    async with running(
        tmp_path, authority, checkpoint=hook(tmp_path, f"while ! test -e {tmp_path}/go; do sleep 0.02; done")
    ) as node:
        await asked(node, "PUT", json=wish("i-1"))
        status, said = await asked(node, "PUT", json=wish("i-2"))
        assert status == 409
        assert "on its way" in said["error"]
        (tmp_path / "go").touch()
        assert (await settled(node))["intent"] == "i-1"


async def test_a_restart_in_the_middle_leaves_failed_never_done_and_never_runs_it_again(
    tmp_path: Path, authority
) -> None:
    script = f"echo x >> {tmp_path}/runs; sleep 60"
    async with running(tmp_path, authority, checkpoint=hook(tmp_path, script)) as node:
        await asked(node, "PUT", json=wish())
        async with asyncio.timeout(5):
            while not (tmp_path / "runs").exists():
                await asyncio.sleep(0.02)
    async with running(tmp_path, authority, checkpoint=hook(tmp_path, script)) as node:
        state = await settled(node)
        assert state["state"] == "failed"
        assert "restarted" in state["text"]
        await asked(node, "PUT", json=wish())
    assert (tmp_path / "runs").read_text() == "x\n"


async def test_a_node_without_hook_says_so_with_422(tmp_path: Path, authority) -> None:
    async with running(tmp_path, authority) as node:
        status, said = await asked(node, "PUT", json=wish())
        assert status == 422
        assert "checkpoint: {command" in said["try"]


@pytest.mark.parametrize("job", ["Training/x", "a/b_c", "a/..", "a/%2e%2e", "a/x%00y", "a/" + "x" * 300, "a/$(id)"])
async def test_a_name_that_kubernetes_would_not_take_reaches_no_program(tmp_path: Path, authority, job: str) -> None:
    async with running(tmp_path, authority, checkpoint=hook(tmp_path, f"touch {tmp_path}/ran")) as node:
        status, _ = await asked(node, "PUT", f"/v1/jobs/{job}/checkpoint", json=wish())
        assert status in {404, 422}
        await asyncio.sleep(0.05)
        assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("deadline", [0, 0.5, 3601, "10", None, True])
async def test_a_deadline_out_of_bounds_is_422(tmp_path: Path, authority, deadline: object) -> None:
    async with running(tmp_path, authority, checkpoint=hook(tmp_path, "exit 0")) as node:
        assert (await asked(node, "PUT", json={"intent": "i", "deadline_seconds": deadline}))[0] == 422
