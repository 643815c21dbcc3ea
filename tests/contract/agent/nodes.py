"""A node for tests: the real agent on a loopback port, with GPUs and a kernel log that the test plays."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from agent.daemon import Agent
from agent.gpus import Addresses
from agent.kernel_lines import KernelLine
from agent.protocol import GpuReading
from agent.settings import load_agent_settings
from fleet.clock import Clock, SystemClock
from fleet.errors import HallkeeperError
from tests.contract.agent.certificates import Authority

READ_TOKEN, WRITE_TOKEN = "r" * 32, "w" * 32
BOOT = "6d0f3c1e-0000-4000-8000-000000000001"


@dataclass
class FakeGpus:
    """GPUs that do what they are told and count how often."""

    count: int = 2
    watts: dict[int, float] = field(default_factory=dict)
    sets: list[tuple[tuple[int, ...], float]] = field(default_factory=list)
    fault: HallkeeperError | None = None
    set_fault: HallkeeperError | None = None
    hold: asyncio.Event | None = None
    lost: set[int] = field(default_factory=set)
    holders: list[tuple[int, str]] = field(default_factory=list)
    resets: list[tuple[int, ...]] = field(default_factory=list)
    comes_back: bool = True

    async def read(self) -> tuple[list[GpuReading], Addresses]:
        if self.fault is not None:
            raise self.fault
        readings = [
            GpuReading(
                gpu=n,
                uuid=f"GPU-{n}",
                power_watts=300.5,
                power_limit_watts=self.watts.get(n, 700.0),
                default_power_limit_watts=700.0,
                min_power_limit_watts=200.0,
                max_power_limit_watts=700.0,
                temperature_celsius=55.0,
            )
            if n not in self.lost
            else GpuReading(
                gpu=n,
                uuid=f"GPU-{n}",
                power_watts=None,
                power_limit_watts=None,
                default_power_limit_watts=None,
                min_power_limit_watts=None,
                max_power_limit_watts=None,
                temperature_celsius=None,
            )
            for n in range(self.count)
        ]
        return readings, {f"0000:{0xF + n:02x}:00": n for n in range(self.count)}

    async def set_power_limit(self, gpus: Sequence[int], watts: float) -> None:
        self.sets.append((tuple(gpus), watts))
        if self.hold is not None:
            await self.hold.wait()
        if self.set_fault is not None:
            raise self.set_fault
        self.watts.update(dict.fromkeys(gpus, watts))

    async def held(self) -> list[tuple[int, str]]:
        return self.holders

    async def reset(self, gpus: Sequence[int]) -> None:
        self.resets.append(tuple(gpus))
        if self.hold is not None:
            await self.hold.wait()
        if self.set_fault is not None:
            raise self.set_fault
        if not self.comes_back:
            self.lost |= set(gpus)


class FakeKernelLog:
    """A kernel log into which the test writes."""

    name = "kmsg"

    def __init__(self) -> None:
        self.batches: asyncio.Queue[list[KernelLine]] = asyncio.Queue()
        self.asked_after: list[str | None] = []
        self._number = 0

    async def lines(self, after: str | None) -> AsyncGenerator[Sequence[KernelLine], None]:
        self.asked_after.append(after)
        while True:
            yield await self.batches.get()

    def write(self, *texts: str) -> None:
        lines = []
        for text in texts:
            self._number += 1
            lines.append(KernelLine(text=text, mark=str(self._number)))
        self.batches.put_nowait(lines)


def settings_file(folder: Path, authority: Authority, **more: object) -> Path:
    certificate, key = authority.server()
    folder.mkdir(parents=True, exist_ok=True)
    for name, token in (("read", READ_TOKEN), ("write", WRITE_TOKEN)):
        (folder / f"{name}.yaml").touch(mode=0o600)
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"token": token}))
    settings = {
        "node": "dgx-001",
        "listen": "127.0.0.1:0",
        "tls": {"certificate": str(certificate), "key": str(key)},
        "tokens": {"read": "file:read.yaml", "write": "file:write.yaml"},
        "data": "data",
        "kernel_log": "none",
        "gpus": "none",
        "gpu_seconds": 1,
        **more,
    }
    path = folder / "agent.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@dataclass
class Node:
    agent: Agent
    gpus: FakeGpus
    kernel: FakeKernelLog
    authority: Authority
    folder: Path

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.agent.port}"


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    authority: Authority,
    *,
    clock: Clock | None = None,
    boot_id: str = BOOT,
    gpus: FakeGpus | None = None,
    **more: object,
) -> AsyncIterator[Node]:
    """The agent serving; it ends with the block."""
    ready = asyncio.Event()
    gpus, kernel = gpus or FakeGpus(), FakeKernelLog()
    agent = Agent(
        load_agent_settings(settings_file(folder, authority, **more)),
        clock or SystemClock(),
        boot_id=boot_id,
        gpus=gpus,
        kernel_log=kernel,
        notify=lambda state: ready.set() if state == "READY=1" else None,
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(agent.run())
        async with asyncio.timeout(10):
            await ready.wait()
        yield Node(agent=agent, gpus=gpus, kernel=kernel, authority=authority, folder=folder)
        task.cancel()
