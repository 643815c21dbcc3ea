"""What a request to a node agent may hold; anything else is refused with a hint."""

from typing import Annotated

import msgspec

from simulator.layout import GPUS
from simulator.machines import DEFAULT_CAP_WATTS, MIN_CAP_WATTS

Intent = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
BootId = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Gpu = Annotated[int, msgspec.Meta(ge=0, lt=GPUS)]
Watts = Annotated[float, msgspec.Meta(ge=MIN_CAP_WATTS, le=DEFAULT_CAP_WATTS)]


class PowerLimitRequest(msgspec.Struct, frozen=True, kw_only=True):
    """So many watts for these GPUs; None means all that are there."""

    watts: Watts
    intent: Intent
    gpus: Annotated[list[Gpu], msgspec.Meta(min_length=1, max_length=GPUS)] | None = None


class CheckpointRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Make a checkpoint within so many seconds."""

    intent: Intent
    deadline_seconds: Annotated[float, msgspec.Meta(ge=1, le=3600)]


class GpuResetRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Reset these GPUs, None for all that are there, in this boot of the machine."""

    intent: Intent
    boot_id: BootId
    gpus: Annotated[list[Gpu], msgspec.Meta(min_length=1, max_length=GPUS)] | None = None


class RebootRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Restart the operating system that runs in this boot."""

    intent: Intent
    boot_id: BootId


class Refusal(Exception):
    """A request that is answered with an error: status, what is wrong, what to try."""

    def __init__(self, status: int, error: str, hint: str) -> None:
        super().__init__(error)
        self.status = status
        self.hint = hint
