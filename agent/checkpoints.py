"""Asks a job's hook for a checkpoint: the command that the node's owner configured, with a deadline, once per intent."""

import asyncio
import re
from collections.abc import Sequence

import structlog

from agent.power import Busy, OutOfBounds
from agent.protocol import Checkpoint, CheckpointRequest, JobReading
from agent.store import Store
from agent.tool import Ended, Tool
from fleet.clock import Clock
from fleet.errors import HallkeeperError

HOOKS_LIMIT = 4
"""Hooks running at once; a node rarely has more than one job (a default to tune)."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_STEP = re.compile(r"^step[=: ]+(\d{1,18})\s*$", re.MULTILINE)

log = structlog.get_logger("agent.checkpoints")


def job_name(namespace: str, name: str) -> str:
    """`namespace/name`, checked as Kubernetes checks them: they reach a program's environment. Raises `OutOfBounds`."""
    for part in (namespace, name):
        if not _NAME.fullmatch(part):
            raise OutOfBounds(f"{part[:80]!r} is no name, try lower-case letters, digits, '-' and '.'")
    return f"{namespace}/{name}"


def outcome(ended: Ended, intent: str, at: int) -> Checkpoint:
    """What a hook that ended did: status 0 is done; a line `step=1234` says which step the checkpoint holds."""
    text = ended.output.decode("utf-8", "replace")
    step = _STEP.search(text)
    return Checkpoint(
        state="done" if ended.status == 0 else "failed",
        intent=intent,
        at=at,
        step=int(step[1]) if step else None,
        text="" if ended.status == 0 else f"the hook ended with {ended.status}: {ended.complaint}",
    )


class Checkpoints:
    """Every job's checkpoint: none, requested, done or failed; survives a restart of the daemon."""

    def __init__(self, command: Sequence[str], store: Store, clock: Clock) -> None:
        self._command = tuple(command)
        self._store = store
        self._clock = clock
        self._asked: asyncio.Queue[tuple[str, CheckpointRequest]] = asyncio.Queue(maxsize=HOOKS_LIMIT)
        self._running: set[str] = set()

    async def request(self, job: str, request: CheckpointRequest) -> Checkpoint:
        """Have the hook run; a repeated intent is only looked up. Raises `OutOfBounds` without hook, `Busy` when full."""
        if not self._command:
            raise OutOfBounds(
                "this node has no checkpoint hook, try `checkpoint: {command: […]}` in the agent's settings"
            )
        current = await asyncio.to_thread(self._store.checkpoint, job)
        if current.intent == request.intent:
            return current
        if job in self._running or len(self._running) >= HOOKS_LIMIT:
            raise Busy(f"a checkpoint of {job if job in self._running else 'other jobs'} is on its way, try its state")
        self._running.add(job)
        try:
            asked = await self._first_time(job, request)
            self._asked.put_nowait((job, request))
        except BaseException:
            self._running.discard(job)
            raise
        return asked

    async def _first_time(self, job: str, request: CheckpointRequest) -> Checkpoint:
        now = self._clock.now_ms()
        said = f"checkpoint {job}"
        if await asyncio.to_thread(self._store.take_intent, request.intent, said, at=now) is not None:
            raise Busy(f"intent {request.intent} was used before, try a new intent")
        asked = Checkpoint(state="requested", intent=request.intent, at=now)
        await asyncio.to_thread(self._store.put_checkpoint, job, asked)
        return asked

    async def state(self, job: str) -> Checkpoint:
        return await asyncio.to_thread(self._store.checkpoint, job)

    async def ages(self) -> list[JobReading]:
        return await asyncio.to_thread(self._store.job_ages, now_ms=self._clock.now_ms())

    async def run(self) -> None:
        """Run hooks for ever; what an earlier life left without an outcome has failed."""
        left = "the agent restarted before the hook ended, try a new intent"
        await asyncio.to_thread(self._store.fail_unfinished, left, at=self._clock.now_ms())
        async with asyncio.TaskGroup() as hooks:
            for _ in range(HOOKS_LIMIT):
                hooks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            job, request = await self._asked.get()
            try:
                done = await self._hook(job, request)
                log.info("checkpoint", job=job, intent=request.intent, state=done.state, text=done.text)
                await asyncio.to_thread(self._store.put_checkpoint, job, done)
            finally:
                self._running.discard(job)

    async def _hook(self, job: str, request: CheckpointRequest) -> Checkpoint:
        namespace, _, name = job.partition("/")
        environment = {
            "HALLKEEPER_JOB_NAMESPACE": namespace,
            "HALLKEEPER_JOB_NAME": name,
            "HALLKEEPER_INTENT": request.intent,
            "HALLKEEPER_DEADLINE_SECONDS": f"{request.deadline_seconds:g}",
        }
        try:
            ended = await Tool(self._command[0]).run(
                self._command[1:], deadline_seconds=request.deadline_seconds, environment=environment
            )
        except HallkeeperError as error:
            return Checkpoint(state="failed", intent=request.intent, at=self._clock.now_ms(), text=str(error))
        return outcome(ended, request.intent, self._clock.now_ms())
