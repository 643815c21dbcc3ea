"""`scontrol` as a courier: started once, without a shell, and ended at the order's deadline at the latest.

slurmrestd of 22.05 can neither drain nor requeue, so the command that every version has carries these. It keeps trying for
some seconds while its controller is away and could then send late: it is killed when the order's time is over, and a dead
process sends nothing more. Over TCP nothing repeats what it sent.
"""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from devices.wire.once import Answered, Call, Exchange, Gate, Lost, NotSent
from fleet.clock import Clock

PROGRAM = "scontrol"
OUTPUT_LIMIT = 8_192
END_SECONDS = 1.0
"""How long a killed process may take to go."""

_DECIDED = re.compile(
    r"invalid|duplicate|denied|not permitted|already|requested|disabled|job is pending|not pending|not running|not suspended|"
    r"can not|cannot|unknown job|job/step|in use|completing|transition",
    re.IGNORECASE,
)
"""Words of the controller's own refusals; any other failure may have come after the effect, and is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scontrol:
    """Runs the command for one order."""

    clock: Clock
    not_after_boottime_ns: int
    environment: Mapping[str, str] = field(repr=False)
    program: str = PROGRAM

    async def exchange(self, call: Call, *, answer_seconds: float, gate: Gate, sent: Callable[[], None]) -> Exchange:
        """Status 200 when it succeeded, 409 when the controller refused; anything else is lost."""
        why_not = gate()
        if why_not is not None:
            return NotSent(why_not)
        left = (self.not_after_boottime_ns - self.clock.boottime_ns()) / 1e9
        try:
            process = await asyncio.create_subprocess_exec(
                self.program,
                *call.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=dict(self.environment),
                start_new_session=True,
            )
        except OSError as error:
            return NotSent(f"{self.program} cannot be started: {error.strerror}, try installing slurm-client")
        sent()
        try:
            return await self._ended(process, min(answer_seconds, left))
        finally:
            await _end(process)

    async def _ended(self, process: asyncio.subprocess.Process, seconds: float) -> Exchange:
        assert process.stderr is not None
        try:
            async with asyncio.timeout(seconds):
                complaint = (await process.stderr.read(OUTPUT_LIMIT)).decode("utf-8", "replace")
                status = await process.wait()
        except TimeoutError:
            return Lost(f"{self.program} did not end within {seconds:.1f} s and was ended: nothing more is sent")
        if status == 0:
            return Answered(200, b"{}")
        text = " ".join(complaint.split())[:300] or f"status {status}"
        if _DECIDED.search(text):
            return Answered(409, msgspec.json.encode({"error": text}))
        return Lost(f"{self.program} failed: {text}")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill what is left of it: from then on nothing of it can be sent."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.returncode is None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
