"""nvidia-smi: its CSV, its failures, and a driver that hangs."""

import asyncio
import time
from pathlib import Path

import pytest

from agent.gpus import NvidiaSmi, parse_gpus
from agent.tool import Tool
from fleet.errors import Malformed, Refused, Unreachable

PAGE = """\
0, GPU-11111111-2222-3333-4444-555555555555, 00000000:0F:00.0, 71.06, 700.00, 700.00, 200.00, 700.00, 33
1, GPU-66666666-2222-3333-4444-555555555555, 00000000:10:00.0, [N/A], [Unknown Error], 700.00, 200.00, 700.00, [GPU is lost]
"""


def test_csv_becomes_readings_and_places() -> None:
    readings, addresses = parse_gpus(PAGE)
    assert [(gpu.gpu, gpu.power_watts, gpu.power_limit_watts, gpu.temperature_celsius) for gpu in readings] == [
        (0, 71.06, 700.0, 33.0),
        (1, None, None, None),
    ]
    assert addresses == {"0000:0f:00": 0, "0000:10:00": 1}


@pytest.mark.parametrize(
    "page",
    [
        "No devices were found",
        "0, GPU-1, x",
        PAGE + PAGE,
        "-1" + PAGE[1:],
        "999" + PAGE[1:],
        "NVIDIA-SMI has failed because",
    ],
)
def test_a_page_that_is_no_list_of_gpus_is_malformed(page: str) -> None:
    with pytest.raises(Malformed, match="nvidia-smi"):
        parse_gpus(page)


def test_no_gpu_at_all_is_an_empty_list() -> None:
    assert parse_gpus("") == ([], {})


def script(folder: Path, text: str) -> str:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


async def test_a_limit_is_one_call_with_absolute_watts(tmp_path: Path) -> None:
    smi = NvidiaSmi(script(tmp_path, f'echo "$@" >> {tmp_path}/calls'))
    await smi.set_power_limit([0, 3], 400.0)
    await smi.set_power_limit([1], 412.5)
    assert (tmp_path / "calls").read_text() == "-i 0,3 -pl 400\n-i 1 -pl 412.5\n"


async def test_a_driver_that_says_no_is_refused_with_its_words(tmp_path: Path) -> None:
    smi = NvidiaSmi(script(tmp_path, "echo 'Insufficient Permissions'; exit 4"))
    with pytest.raises(Refused, match="ended with 4: Insufficient Permissions"):
        await smi.set_power_limit([0], 400)
    with pytest.raises(Refused, match="Insufficient"):
        await smi.read()


async def test_a_lost_gpu_does_not_hide_the_others(tmp_path: Path) -> None:
    lost = "Unable to determine the device handle for GPU1: 0000:10:00.0: GPU is lost.  Reboot the system to recover"
    smi = NvidiaSmi(script(tmp_path, f"echo '{PAGE.splitlines()[0]}'; echo '{lost}'; exit 15"))
    readings, _ = await smi.read()
    assert [gpu.gpu for gpu in readings] == [0]


async def test_a_missing_program_is_refused_with_what_to_try() -> None:
    with pytest.raises(Refused, match=r"cannot be started.*try its path"):
        await NvidiaSmi("/nonexistent/nvidia-smi").read()


async def test_a_hanging_program_is_killed_at_its_deadline_and_the_next_call_works(tmp_path: Path) -> None:
    tool = Tool(script(tmp_path, f"test -e {tmp_path}/well && {{ echo fine; exit 0; }}; sleep 60"))
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"did not end within 0\.2 s"):
        await tool.run([], deadline_seconds=0.2)
    assert time.monotonic() - began < 3
    (tmp_path / "well").touch()
    assert (await tool.run([], deadline_seconds=5)).output == b"fine\n"


async def test_a_program_that_cannot_be_killed_is_not_started_twice(tmp_path: Path) -> None:
    class Stuck:
        pid = 4242
        returncode = None

    tool = Tool(script(tmp_path, f"touch {tmp_path}/started"))
    tool._left = Stuck()
    with pytest.raises(Unreachable, match="still hangs"):
        await tool.run([], deadline_seconds=1)
    assert not (tmp_path / "started").exists()


async def test_endless_output_is_bounded(tmp_path: Path) -> None:
    ended = await Tool(script(tmp_path, "head -c 5000000 /dev/zero")).run([], deadline_seconds=10)
    assert len(ended.output) == 1 << 20


async def test_a_cancelled_call_leaves_no_process(tmp_path: Path) -> None:
    tool = Tool(script(tmp_path, f"echo $$ > {tmp_path}/pid; sleep 60"))
    task = asyncio.create_task(tool.run([], deadline_seconds=60))
    async with asyncio.timeout(5):
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            await asyncio.sleep(0.01)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 5
    assert not Path(f"/proc/{int((tmp_path / 'pid').read_text())}").exists()


async def test_a_call_cancelled_while_it_starts_leaves_neither_the_program_nor_its_children(tmp_path: Path) -> None:
    class Slow(Tool):
        async def _start(self, arguments, environment):
            process = await super()._start(arguments, environment)
            async with asyncio.timeout(5):
                while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
                    await asyncio.sleep(0.01)
            started.set()
            await asyncio.sleep(0.1)
            return process

    started = asyncio.Event()
    tool = Slow(script(tmp_path, f"sleep 60 & echo $! > {tmp_path}/child; wait"))
    task = asyncio.create_task(tool.run([], deadline_seconds=60))
    await started.wait()
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 5
    stat = Path(f"/proc/{int((tmp_path / 'child').read_text())}/stat")
    async with asyncio.timeout(5):
        while stat.exists() and stat.read_text().split()[2] != "Z":
            await asyncio.sleep(0.01)
