"""Protocol v1 of the node agent as a reader sees it: its answers, checked. Pure. Fields it does not know are skipped."""

import math
from typing import Annotated, TypeVar

import msgspec

from devices.reading import Series
from fleet.errors import Malformed

GPUS_LIMIT = 64
JOBS_LIMIT = 1_000
EVENTS_LIMIT = 2_000
Text = Annotated[str, msgspec.Meta(max_length=1_024)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """The machine lives."""

    node: Text
    boot_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    uptime_seconds: float
    at: Count
    """Unix milliseconds by the node's clock."""
    sequence: Count


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU; None where its tool would not say."""

    gpu: Annotated[int, msgspec.Meta(ge=0, lt=GPUS_LIMIT)]
    power_watts: float | None = None
    power_limit_watts: float | None = None
    default_power_limit_watts: float | None = None
    min_power_limit_watts: float | None = None
    max_power_limit_watts: float | None = None
    temperature_celsius: float | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """How old a job's last checkpoint is."""

    job: Text
    checkpoint_age_seconds: float


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """What the node measures of itself."""

    at: Count
    boot_id: Text
    gpus: Annotated[list[Gpu], msgspec.Meta(max_length=GPUS_LIMIT)]
    jobs: Annotated[list[Job], msgspec.Meta(max_length=JOBS_LIMIT)] = []
    text: Text = ""
    """Why there are no GPUs, when their tool did not answer."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the node's kernel log."""

    id: Count
    at: Count
    kind: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    code: Annotated[str, msgspec.Meta(max_length=32)]
    gpu: Annotated[int, msgspec.Meta(ge=0, lt=GPUS_LIMIT)] | None = None
    text: Text = ""


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """Events after a cursor."""

    boot_id: Text
    cursor: Count
    oldest: Count
    events: Annotated[list[Event], msgspec.Meta(max_length=EVENTS_LIMIT)]


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job's checkpoint is."""

    state: Text
    intent: Text | None = None
    text: Text = ""


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """The last repair that the machine was asked for, and the boot it lives in now."""

    boot_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    state: Text
    intent: Text | None = None
    taken_in: Text | None = None
    """The boot in which it was asked for."""
    text: Text = ""


T = TypeVar("T")


def decoded(body: bytes, kind: type[T], where: str) -> T:
    """The answer as its type. Raises `Malformed`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Malformed(f"{where}: {kind.__name__.lower()}: {error}, try the agent's version on the node") from error


GPU_METRICS = {
    "agent_gpu_power_watts": "power_watts",
    "agent_gpu_power_limit_watts": "power_limit_watts",
    "agent_gpu_default_power_limit_watts": "default_power_limit_watts",
    "agent_gpu_min_power_limit_watts": "min_power_limit_watts",
    "agent_gpu_max_power_limit_watts": "max_power_limit_watts",
    "agent_gpu_temperature_celsius": "temperature_celsius",
}


def series_of(heartbeat: Heartbeat, readings: Readings | None, *, offset_seconds: float) -> dict[Series, float]:
    """The node's series; what is not a finite number is absent. GPUs that did not answer are not counted as none."""
    found: dict[Series, float] = {
        ("agent_up_seconds", ()): heartbeat.uptime_seconds,
        ("agent_heartbeat_timestamp_seconds", ()): heartbeat.at / 1000,
        ("agent_clock_offset_seconds", ()): offset_seconds,
    }
    if readings is not None:
        found |= _measured(readings)
    return {series: value for series, value in found.items() if math.isfinite(value)}


def _measured(readings: Readings) -> dict[Series, float]:
    found: dict[Series, float] = {}
    if readings.gpus or not readings.text:
        found["agent_gpu_count", ()] = float(len(readings.gpus))
    for gpu in readings.gpus:
        for metric, name in GPU_METRICS.items():
            value = getattr(gpu, name)
            if value is not None:
                found[metric, (("gpu", str(gpu.gpu)),)] = value
    for job in readings.jobs:
        found["agent_checkpoint_age_seconds", (("job_id", job.job),)] = job.checkpoint_age_seconds
    return found
