"""The supervisor keeps its children alive, names the one that cannot start, and leaves nothing behind."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from fleet.clock import SystemClock
from hallkeeper.supervisor import ChildSpec, StartFailed, Supervisor

CHILD = """
import os, signal, socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ["NOTIFY_SOCKET"])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
FIRST
s.send(b"READY=1\\nX_ADDRESS=127.0.0.1:1")
open("PATH", "a").write(str(os.getpid()) + "\\n")
while True: time.sleep(0.05)
"""


def child(tmp_path: Path, name: str, first: str = "") -> ChildSpec:
    script = tmp_path / f"{name}.py"
    script.write_text(CHILD.replace("PATH", str(tmp_path / f"{name}.pids")).replace("FIRST", first))
    return ChildSpec(name=name, argv=[sys.executable, str(script)])


def pids(tmp_path: Path, name: str) -> list[int]:
    path = tmp_path / f"{name}.pids"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def assert_gone(tmp_path: Path, *names: str) -> None:
    for name in names:
        for pid in pids(tmp_path, name):
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


async def test_a_child_that_is_killed_comes_back_and_all_are_gone_after_stop(tmp_path):
    supervisor = Supervisor([child(tmp_path, "a"), child(tmp_path, "b")], folder=tmp_path / "run", clock=SystemClock())
    task = asyncio.create_task(supervisor.run())
    async with asyncio.timeout(60):
        await supervisor.wait_ready()
        os.kill(pids(tmp_path, "a")[0], signal.SIGKILL)
        while len(pids(tmp_path, "a")) < 2:
            await asyncio.sleep(0.02)
        assert len(pids(tmp_path, "b")) == 1
        assert supervisor.status()["b"]["address"] == "127.0.0.1:1"
        supervisor.stop()
        await task
    assert_gone(tmp_path, "a", "b")
    assert list((tmp_path / "run").iterdir()) == []


async def test_a_child_that_cannot_start_stops_everything_with_its_name(tmp_path):
    supervisor = Supervisor(
        [child(tmp_path, "a"), child(tmp_path, "bad", "sys.exit(3)")], folder=tmp_path / "run", clock=SystemClock()
    )
    with pytest.raises(StartFailed, match="bad ended with status 3"):
        await supervisor.run()
    assert_gone(tmp_path, "a")


async def test_children_forked_from_a_warm_process_report_end_and_are_gone(tmp_path):
    module = tmp_path / "warm_child.py"
    module.write_text(
        "import os, signal, socket, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(os.environ['NOTIFY_SOCKET'])\n"
        f"open({str(tmp_path / 'warm.pids')!r}, 'a').write(str(os.getpid()) + '\\n')\n"
        "s.send(b'READY=1'); s.close()\n"
        "while True: time.sleep(0.05)\n"
    )
    from hallkeeper.forks import WarmSpawner

    specs = [ChildSpec(name=name, argv=[sys.executable, "-m", "warm_child", name, name]) for name in ("a", "b")]
    sys.path.insert(0, str(tmp_path))
    try:
        supervisor = Supervisor(specs, folder=tmp_path / "run", clock=SystemClock(), spawn=WarmSpawner(["json"]))
        task = asyncio.create_task(supervisor.run())
        async with asyncio.timeout(60):
            await supervisor.wait_ready()
            first = pids(tmp_path, "warm")
            assert len(first) == 2
            assert all(os.getsid(pid) == pid for pid in first)
            os.kill(first[0], signal.SIGKILL)
            while len(pids(tmp_path, "warm")) < 3:
                await asyncio.sleep(0.02)
            supervisor.stop()
            await task
    finally:
        sys.path.remove(str(tmp_path))
    assert_gone(tmp_path, "warm")
