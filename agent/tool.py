"""Runs a program of the node with a deadline: no shell, bounded output, and never two that hang."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleet.errors import Refused, Unreachable

OUTPUT_LIMIT = 1 << 20
"""Bytes read of each stream; what follows is thrown away."""
KILL_SECONDS = 1.0
"""How long a killed program may take to go before it is left behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a program left."""

    status: int
    output: bytes
    errors: bytes

    @property
    def complaint(self) -> str:
        """The first line it wrote as error, or else as output."""
        text = (self.errors or self.output).decode("utf-8", "replace").strip()
        return text.splitlines()[0][:200] if text else "it said nothing"


class Tool:
    """One program. A process that cannot even be killed (a GPU driver that hangs) blocks the next start, nothing else."""

    def __init__(self, program: str) -> None:
        self.program = program
        self._left: asyncio.subprocess.Process | None = None

    async def run(
        self, arguments: Sequence[str], *, deadline_seconds: float, environment: Mapping[str, str] | None = None
    ) -> Ended:
        """Its output. Raises `Refused` when it cannot be started, `Unreachable` past the deadline or while one hangs."""
        if self._left is not None and self._left.returncode is None:
            raise Unreachable(f"{self.program} (process {self._left.pid}) still hangs, try dmesg on the node")
        process = await self._started(arguments, environment)
        try:
            async with asyncio.timeout(deadline_seconds):
                async with asyncio.TaskGroup() as streams:
                    output = streams.create_task(_bounded(process.stdout))
                    errors = streams.create_task(_bounded(process.stderr))
                status = await process.wait()
        except TimeoutError as error:
            raise Unreachable(
                f"{self.program} did not end within {deadline_seconds:g} s, try dmesg on the node"
            ) from error
        finally:
            await self._end(process)
        return Ended(status=status, output=output.result(), errors=errors.result())

    async def _started(
        self, arguments: Sequence[str], environment: Mapping[str, str] | None
    ) -> asyncio.subprocess.Process:
        """The process. Cancelled half way, asyncio would kill the program alone and wait for its children's pipes."""
        starting = asyncio.ensure_future(self._start(arguments, environment))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            await self._end(await starting)
            raise

    async def _start(
        self, arguments: Sequence[str], environment: Mapping[str, str] | None
    ) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                self.program,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C", **(environment or {})},
                start_new_session=True,
            )
        except OSError as error:
            raise Refused(
                f"{self.program} cannot be started: {error.strerror}, try its path in the settings"
            ) from error

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Kill what is left of it, its children too; leave behind what does not go."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KILL_SECONDS):
                    await process.wait()
        if process.returncode is None:
            self._left = process


async def _bounded(stream: asyncio.StreamReader | None) -> bytes:
    kept = bytearray()
    while stream is not None and (chunk := await stream.read(65_536)):
        kept += chunk[: OUTPUT_LIMIT - len(kept)]
    return bytes(kept)
