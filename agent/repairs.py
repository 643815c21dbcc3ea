"""What only the machine can do to itself: reset its GPUs, restart its operating system. Each intent once, asked by name.

Neither is done unless the owner's settings allow it; a GPU that a process holds is never reset; a request that was made for
an earlier boot is refused, so that a copy that comes late changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec
import structlog

from agent.gpus import Gpus
from agent.power import Busy, GpuWatch, OutOfBounds
from agent.protocol import GpuReset, Reboot, Repair
from agent.store import Store
from agent.tool import Tool
from fleet.clock import Clock
from fleet.errors import HallkeeperError

REBOOT_SECONDS = 30.0
"""The command only has to hand the wish on; the machine ends it."""
MARK = "repair"

log = structlog.get_logger("agent.repairs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What the node's owner lets the agent do."""

    gpu_reset: bool = False
    reboot: Sequence[str] = ()
    """The command that restarts the system gracefully; empty allows none."""


class Repairs:
    """Carries out one repair at a time and remembers the last."""

    def __init__(
        self, gpus: Gpus, watch: GpuWatch, store: Store, clock: Clock, *, allowed: Allowed, boot_id: str
    ) -> None:
        self._gpus = gpus
        self._watch = watch
        self._store = store
        self._clock = clock
        self._allowed = allowed
        self._boot_id = boot_id
        self._asked: asyncio.Queue[tuple[str, str, Callable[[], Awaitable[str]]]] = asyncio.Queue(maxsize=1)
        self._busy = asyncio.Lock()
        self._running = False

    async def reset(self, asked: GpuReset) -> Repair:
        """Take the order for a reset. Raises `OutOfBounds` and `Busy`; nothing was done then."""
        if not self._allowed.gpu_reset:
            raise OutOfBounds("this node's owner allows no GPU reset, try `repairs: {gpu_reset: true}` in its settings")
        gpus = await self._free(asked.gpus)

        async def deed() -> str:
            await self._gpus.reset(gpus)
            readings = await self._watch.ask()
            answering = {reading.gpu for reading in readings if reading.max_power_limit_watts is not None}
            missing = sorted(set(gpus) - answering)
            return f"GPU {missing} does not answer after its reset" if missing else ""

        return await self._take(asked.intent, "gpu_reset", f"reset {gpus}", asked.boot_id, deed)

    async def reboot(self, asked: Reboot) -> Repair:
        """Take the order for a restart. Raises `OutOfBounds` and `Busy`; nothing was done then."""
        command = tuple(self._allowed.reboot)
        if not command:
            raise OutOfBounds("this node's owner allows no reboot, try `repairs: {reboot: [systemctl, reboot]}`")

        async def deed() -> str:
            ended = await Tool(command[0]).run(command[1:], deadline_seconds=REBOOT_SECONDS)
            return "" if ended.status == 0 else f"{command[0]} ended with {ended.status}: {ended.complaint}"

        return await self._take(asked.intent, "reboot", "reboot", asked.boot_id, deed)

    async def last(self) -> Repair:
        """The last repair of this machine, with the boot it lives in now."""
        text = await asyncio.to_thread(self._store.mark, MARK)
        found = msgspec.json.decode(text, type=Repair) if text else Repair(boot_id=self._boot_id, state="none")
        return msgspec.structs.replace(found, boot_id=self._boot_id)

    async def run(self) -> None:
        """Carry out what was taken; what an earlier life left without an outcome has an unknown one."""
        left = await self.last()
        if left.state == "running":
            ended = left.verb == "reboot" and left.taken_in != self._boot_id
            text = "the machine restarted" if ended else "the agent restarted in the middle: read the node"
            await self._note(left, "done" if ended else "failed", text)
        while True:
            intent, verb, deed = await self._asked.get()
            try:
                text = await deed()
            except HallkeeperError as error:
                text = str(error)
            log.info("repair", intent=intent, verb=verb, failed=text)
            await self._note(await self.last(), "failed" if text else "done", text)
            self._running = False

    async def _free(self, wanted: Sequence[int] | None) -> list[int]:
        """The GPUs to reset. Raises `OutOfBounds` for one that is absent and `Busy` while a process holds one."""
        try:
            readings = await self._watch.ask()
            held = await self._gpus.held()
        except HallkeeperError as error:
            raise Busy(f"the GPUs do not answer ({error}), try again when they do") from error
        known = sorted(reading.gpu for reading in readings)
        gpus = known if wanted is None else sorted(set(wanted))
        absent = [gpu for gpu in gpus if gpu not in known]
        if absent or not gpus:
            raise OutOfBounds(f"GPU {absent} is not on this node, try one of: {known}")
        uuids = {reading.uuid: reading.gpu for reading in readings}
        users = sorted(pid for pid, uuid in held if uuids.get(uuid, -1) in gpus or uuid not in uuids)
        if users:
            raise Busy(f"process {users[0]} and {len(users) - 1} others hold a GPU, try draining the node first")
        return gpus

    async def _take(
        self, intent: str, verb: str, said: str, boot_id: str, deed: Callable[[], Awaitable[str]]
    ) -> Repair:
        """Write the intent down, once for all time, and begin."""
        if boot_id != self._boot_id:
            raise Busy(f"the machine has restarted since ({self._boot_id}), try a new intent")
        async with self._busy:
            if self._running:
                raise Busy("another repair is under way, try again when it has ended")
            taken = await asyncio.to_thread(self._store.take_intent, intent, said, at=self._clock.now_ms())
            if taken is not None and taken != said:
                raise Busy(f"intent {intent} asked for something else before, try a new intent")
            if taken is None:
                self._running = True
                new = Repair(boot_id=self._boot_id, taken_in=self._boot_id, intent=intent, verb=verb, state="running")
                await self._note(new, "running", "")
                self._asked.put_nowait((intent, verb, deed))
        return await self.last()

    async def _note(self, repair: Repair, state: str, text: str) -> None:
        noted = msgspec.structs.replace(repair, state=state, text=text, at=self._clock.now_ms())
        await asyncio.to_thread(self._store.set_mark, MARK, msgspec.json.encode(noted).decode())
