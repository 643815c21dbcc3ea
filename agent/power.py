"""Caps the node's GPUs: checked against every GPU's own bounds, done once per intent, read back."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import structlog

from agent.gpus import Addresses, Gpus
from agent.protocol import GpuLimit, GpuReading, PowerLimit
from agent.store import Store
from fleet.clock import Clock
from fleet.errors import HallkeeperError

log = structlog.get_logger("agent.power")


class OutOfBounds(HallkeeperError):
    """The request names watts or a GPU that the node does not allow; nothing was done."""


class Busy(HallkeeperError):
    """Another request is being carried out, or the GPUs cannot be read; nothing was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the node's owner allows, beside what each GPU allows."""

    low_watts: float = 0.0
    high_watts: float = float("inf")


def targets(request: PowerLimit, gpus: Sequence[GpuReading], bounds: Bounds) -> list[int]:
    """The GPUs to cap: those named, or all that say which limits they allow (one that fell off the bus does not).

    Raises `OutOfBounds` naming the first GPU that is absent or does not allow that many watts.
    """
    known = {gpu.gpu: gpu for gpu in gpus}
    capable = [gpu.gpu for gpu in gpus if gpu.max_power_limit_watts is not None]
    wanted = sorted(capable) if request.gpus is None else sorted(set(request.gpus))
    absent = [number for number in wanted if number not in known]
    if absent or not wanted:
        have = ", ".join(map(str, sorted(known))) or "no GPU at all"
        raise OutOfBounds(f"GPU {absent[0] if absent else ''} is not on this node, try one of: {have}")
    for number in wanted:
        low = max(bounds.low_watts, known[number].min_power_limit_watts or 0.0)
        high = min(bounds.high_watts, known[number].max_power_limit_watts or 0.0)
        if not low <= request.watts <= high:
            raise OutOfBounds(
                f"{request.watts:g} W is outside what GPU {number} allows, try {low:g} to {high:g} W"
                if low <= high
                else f"GPU {number} does not say which limits it allows, try nvidia-smi -q -d POWER on the node"
            )
    return wanted


class GpuWatch:
    """The last answer of the GPUs, how old it is, and where each sits; asked again and again by `run`."""

    def __init__(self, gpus: Gpus, store: Store, clock: Clock, *, every_seconds: float) -> None:
        self._gpus = gpus
        self._store = store
        self._clock = clock
        self._every_seconds = every_seconds
        self.addresses: Addresses = msgspec.json.decode(store.mark("gpus") or "{}", type=Addresses)
        self.readings: list[GpuReading] = []
        self.at_ms = clock.now_ms()
        self.why_empty = "the GPUs were not asked yet"

    async def ask(self) -> list[GpuReading]:
        """Ask now. Raises what `Gpus.read` raises; whatever was known before is forgotten then."""
        try:
            readings, addresses = await self._gpus.read()
        except HallkeeperError as error:
            self.readings, self.why_empty = [], str(error)
            self.at_ms = self._clock.now_ms()
            raise
        self.readings, self.why_empty = readings, ""
        self.at_ms = self._clock.now_ms()
        await self._remember(addresses)
        return readings

    async def run(self) -> None:
        """Ask for ever; log once when the GPUs fall silent and once when they answer again."""
        silent = False
        while True:
            try:
                await self.ask()
            except HallkeeperError as error:
                if not silent:
                    log.warning("the GPUs are silent", reason=str(error))
                silent = True
            else:
                if silent:
                    log.info("the GPUs answer again")
                silent = False
            await self._clock.sleep(self._every_seconds)

    async def _remember(self, addresses: Addresses) -> None:
        """A GPU that fell off the bus is no longer listed: where it sat must be known from before, after a restart too."""
        merged = self.addresses | addresses
        if merged != self.addresses:
            self.addresses = merged
            await asyncio.to_thread(self._store.set_mark, "gpus", msgspec.json.encode(merged).decode())


class PowerLimiter:
    """Carries out power limits one at a time."""

    def __init__(self, gpus: Gpus, watch: GpuWatch, store: Store, clock: Clock, bounds: Bounds) -> None:
        self._gpus = gpus
        self._watch = watch
        self._store = store
        self._clock = clock
        self._bounds = bounds
        self._lock = asyncio.Lock()

    async def limit(self, request: PowerLimit) -> list[GpuLimit]:
        """What the GPUs say afterwards; a repeated intent is only read.

        Raises `OutOfBounds` and `Busy` (nothing done); `Refused` and `Unreachable` when the driver failed on the way.
        """
        if self._lock.locked():
            raise Busy("another power limit is being set, try again when it is done")
        async with self._lock:
            try:
                readings = await self._watch.ask()
            except HallkeeperError as error:
                raise Busy(f"the GPUs do not answer ({error}), try again when they do") from error
            wanted = targets(request, readings, self._bounds)
            if await self._first_time(request):
                log.info("power limit", intent=request.intent, watts=request.watts, gpus=wanted)
                await self._gpus.set_power_limit(wanted, request.watts)
                readings = await self._watch.ask()
        return [GpuLimit(gpu=gpu.gpu, power_limit_watts=gpu.power_limit_watts) for gpu in readings if gpu.gpu in wanted]

    async def _first_time(self, request: PowerLimit) -> bool:
        said = msgspec.json.encode([request.watts, sorted(request.gpus or [])]).decode()
        taken = await asyncio.to_thread(self._store.take_intent, request.intent, said, at=self._clock.now_ms())
        if taken is not None and taken != said:
            raise Busy(f"intent {request.intent} asked for something else before, try a new intent")
        return taken is None
