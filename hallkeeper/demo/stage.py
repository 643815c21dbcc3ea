"""Sets the stage: the simulated site and Hallkeeper itself as processes of their own, in a folder that vanishes afterwards."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

from fleet.errors import HallkeeperError

SIMULATOR_SECONDS = 30.0
READY_SECONDS = 60.0
STOP_SECONDS = 60.0
"""How long Hallkeeper may take to drain; an actuator that waits for a read-back needs its effect latency."""


class StageFailed(HallkeeperError):
    """The site or Hallkeeper did not come up."""


class Process:
    """A child in a session of its own, so that Ctrl-C reaches only the demo, which then ends everything in order."""

    def __init__(self, name: str, argv: Sequence[str], *, log: Path, env: dict[str, str] | None = None) -> None:
        self.name = name
        self._argv = argv
        self.log = log
        self._env = env
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *, pipe: bool = False) -> asyncio.subprocess.Process:
        """Start it; its messages go to a file."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if pipe else log,
                stderr=log,
                env={**os.environ, **(self._env or {})},
                start_new_session=True,
                limit=1 << 20,
            )
        return self._process

    def failed(self) -> str | None:
        """Why it is not running any more, with the end of its log; None while it runs."""
        if self._process is None or self._process.returncode is None:
            return None
        return f"{self.name} ended with status {self._process.returncode}:{self.last_words()}"

    def last_words(self) -> str:
        """The end of its log, which goes with the demo's folder."""
        return "".join(f"\n  {line}" for line in self.log.read_text(errors="replace").splitlines()[-15:])

    async def stop(self) -> None:
        """SIGTERM, wait, and only then SIGKILL."""
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()


class Site:
    """The simulated site: its files, its control interface and the devices' own log."""

    def __init__(self, folder: Path, *, nodes: int, seed: int, racks: int | None = None) -> None:
        """`racks` in rows of four; the simulator's own number where left out."""
        self.folder = folder / "site"
        self._process = Process(
            "the simulator",
            [
                sys.executable,
                "-m",
                "simulator",
                "--directory",
                str(self.folder),
                "--nodes",
                str(nodes),
                "--seed",
                str(seed),
                *(() if racks is None else ("--racks", str(racks))),
            ],
            log=folder / "simulator.log",
        )
        self._control = ""
        self._session: aiohttp.ClientSession | None = None
        self._output: asyncio.StreamReader | None = None

    async def start(self) -> None:
        """Return when every device answers. Raises `StageFailed`."""
        process = await self._process.start(pipe=True)
        assert process.stdout is not None
        self._output = process.stdout
        try:
            async with asyncio.timeout(SIMULATOR_SECONDS):
                line = await process.stdout.readline()
        except TimeoutError:
            raise StageFailed(
                f"the simulated site was not ready within {SIMULATOR_SECONDS:.0f} s; try: fewer nodes (--nodes 16)"
            ) from None
        if not line:
            await process.wait()
            raise StageFailed(self._process.failed() or "the simulator said nothing")
        self._control = json.loads(line)["control"]
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One call of the control interface. Raises `StageFailed` with the answer when it is refused."""
        assert self._session is not None
        async with self._session.request(method, self._control + path, json=body) as response:
            text = await response.text()
            if response.status >= 400:
                raise StageFailed(f"the simulator refused {method} {path}: {text[:300]}")
            return json.loads(text) if text else None

    def ground_truth(self) -> list[dict[str, Any]]:
        """Every state-changing request that any device saw, in order."""
        path = self.folder / "ground-truth.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]

    async def stop(self) -> None:
        """End the simulator."""
        if self._session is not None:
            await self._session.close()
        await self._process.stop()


class Product:
    """Hallkeeper itself: `hallkeeper run` with everything on."""

    def __init__(self, folder: Path, settings: Path) -> None:
        self._socket = folder / "product.notify"
        self.address = ""
        """The console's, once it is ready."""
        self._process = Process(
            "hallkeeper run",
            [sys.executable, "-m", "hallkeeper", "run", "--settings", str(settings)],
            log=folder / "hallkeeper.log",
            env={"NOTIFY_SOCKET": str(self._socket)},
        )

    async def start(self) -> None:
        """Return when every service is ready. Raises `StageFailed` with what was logged last."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as notices:
            notices.bind(str(self._socket))
            await self._process.start()
            try:
                async with asyncio.timeout(READY_SECONDS):
                    await self._ready(notices)
            except TimeoutError:
                raise StageFailed(
                    f"Hallkeeper was not ready within {READY_SECONDS:.0f} s; try: fewer nodes (--nodes 16); it said last:"
                    f"{self._process.last_words()}"
                ) from None
            finally:
                self._socket.unlink(missing_ok=True)

    async def _ready(self, notices: socket.socket) -> None:
        while True:
            why = self._process.failed()
            if why:
                raise StageFailed(why)
            with contextlib.suppress(BlockingIOError):
                said = dict(line.partition("=")[::2] for line in notices.recv(4096).decode().splitlines())
                if said.get("READY") == "1":
                    self.address = said.get("X_ADDRESS", "")
                    return
            await asyncio.sleep(0.02)

    def failed(self) -> str | None:
        """Why it is not running any more."""
        return self._process.failed()

    async def stop(self) -> None:
        """Drain and end it."""
        await self._process.stop()
