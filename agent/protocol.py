"""Protocol v1 of the node agent as types: what each answer says and what each request may hold."""

from typing import Annotated

import msgspec

Intent = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+\Z")]
"""Names one attempt; the same intent asked twice acts once."""

GPU_LIMIT = 64
"""GPUs of one node; the largest built today have 16, partitions not counted."""


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """The machine lives: its boot, its age, and a number that grows every two seconds."""

    node: str
    boot_id: str
    uptime_seconds: float
    at: int
    """Unix milliseconds."""
    sequence: int


class GpuReading(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU as its tool told it; None where it would not say."""

    gpu: int
    uuid: str
    power_watts: float | None
    power_limit_watts: float | None
    default_power_limit_watts: float | None
    min_power_limit_watts: float | None
    max_power_limit_watts: float | None
    temperature_celsius: float | None


class JobReading(msgspec.Struct, frozen=True, kw_only=True):
    """How old a job's last checkpoint made through this agent is."""

    job: str
    """namespace/name"""
    checkpoint_age_seconds: float


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """What the node measures of itself."""

    at: int
    """Unix milliseconds of the GPUs' answer."""
    boot_id: str
    uptime_seconds: float
    gpus: list[GpuReading]
    jobs: list[JobReading]
    text: str = ""
    """Why `gpus` is empty, when the tool did not answer."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the kernel log that means a GPU or switch error."""

    id: int
    at: int
    kind: str
    code: str
    gpu: int | None
    text: str


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """Events after a cursor. `oldest` above the asked cursor + 1 means that some were lost."""

    boot_id: str
    cursor: int
    oldest: int
    events: list[Event]


class PowerLimit(msgspec.Struct, frozen=True, kw_only=True):
    """Request: this many watts for these GPUs (None: all of the node)."""

    watts: float
    intent: Intent
    gpus: (
        Annotated[
            list[Annotated[int, msgspec.Meta(ge=0, lt=GPU_LIMIT)]], msgspec.Meta(min_length=1, max_length=GPU_LIMIT)
        ]
        | None
    ) = None


class GpuLimit(msgspec.Struct, frozen=True, kw_only=True):
    """The limit that a GPU has, read back."""

    gpu: int
    power_limit_watts: float | None


class PowerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to a power limit: what the GPUs say now."""

    gpus: list[GpuLimit]


Numbers = Annotated[
    list[Annotated[int, msgspec.Meta(ge=0, lt=GPU_LIMIT)]], msgspec.Meta(min_length=1, max_length=GPU_LIMIT)
]
BootId = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class GpuReset(msgspec.Struct, frozen=True, kw_only=True):
    """Request: reset these GPUs (None: all of the node), in this boot of the machine."""

    intent: Intent
    boot_id: BootId
    gpus: Numbers | None = None


class Reboot(msgspec.Struct, frozen=True, kw_only=True):
    """Request: restart the operating system that runs in this boot."""

    intent: Intent
    boot_id: BootId


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """The last repair that this machine was asked for."""

    boot_id: str
    """Of the machine now."""
    state: str
    """none, running, done or failed."""
    intent: str | None = None
    verb: str | None = None
    taken_in: str | None = None
    """The boot in which it was asked for."""
    at: int | None = None
    text: str = ""


class CheckpointRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request: make a checkpoint of the job within so many seconds."""

    intent: Intent
    deadline_seconds: Annotated[float, msgspec.Meta(ge=1, le=3600)]


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job's checkpoint is."""

    state: str
    """none, requested, done or failed."""
    intent: str | None = None
    at: int | None = None
    """Unix milliseconds of the last change."""
    step: int | None = None
    """The training step it holds, if the hook said one."""
    text: str = ""


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """An error and what to do about it."""

    error: str
    try_: str = msgspec.field(name="try")
