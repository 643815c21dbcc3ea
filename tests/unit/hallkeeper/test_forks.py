"""Forked children have names, and end with the supervisor however it ends."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from hallkeeper.forks import ForkedChild

MODULE = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()} {open('/proc/self/comm').read().strip()}")
time.sleep(60)
"""
PARENT = """
import asyncio, sys
from hallkeeper.forks import WarmSpawner

async def main():
    child = await WarmSpawner(())([sys.executable, "-m", "sleeper", sys.argv[1]], {})
    await child.wait()

if __name__ == "__main__":
    asyncio.run(main())
"""


async def found(path: Path) -> list[str]:
    async with asyncio.timeout(30):
        while not path.exists() or not path.read_text():
            await asyncio.sleep(0.05)
    return path.read_text().split(maxsplit=1)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_supervisor_that_is_killed_leaves_no_child(tmp_path, number):
    (tmp_path / "sleeper.py").write_text(MODULE)
    (tmp_path / "parent.py").write_text(PARENT)
    note = tmp_path / "child"
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        str(tmp_path / "parent.py"),
        str(note),
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[3])])},
        start_new_session=True,
    )
    pid = 0
    try:
        pid, name = int((seen := await found(note))[0]), seen[1]
        assert name.startswith("hk-")
        parent.send_signal(number)
        await parent.wait()
        async with asyncio.timeout(10):
            while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
                await asyncio.sleep(0.05)
        pid = 0
    finally:
        for left in (parent.pid if parent.returncode is None else 0, pid):
            if left:
                os.kill(left, signal.SIGKILL)


class Ending:
    """A process as multiprocessing shows it; its sentinel is readable once it has ended."""

    def __init__(self) -> None:
        self.sentinel, self._other = os.pipe()
        self.exitcode: int | None = None

    def end(self, status: int) -> None:
        self.exitcode = status
        os.close(self._other)

    def join(self) -> None:
        assert self.exitcode is not None


async def test_who_gives_up_waiting_for_a_child_takes_its_end_from_nobody():
    process = Ending()
    child = ForkedChild(process)
    patient, impatient = asyncio.ensure_future(child.wait()), asyncio.ensure_future(child.wait())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    process.end(3)
    async with asyncio.timeout(5):
        assert await patient == 3
        assert await child.wait() == 3
    os.close(process.sentinel)
