"""Hallkeeper's own daemon on a node, protocol v1: how fresh its values are, and how grave its events."""

from functools import cache
from typing import Literal

from devices.profiles.profile import Point, Profile, Table
from fleet.faults import Action, Faults, load_faults
from fleet.model import Wire

GPU_REFRESH_SECONDS = 4.0
"""The agent asks the GPUs every 2 s and nvidia-smi takes up to some seconds; three missed answers drop the values."""


def _gpu(metric: str) -> Point:
    return Point(metric=metric, signal="agent", refresh_seconds=GPU_REFRESH_SECONDS)


PROFILE = Profile(
    name="agent",
    wire=Wire.AGENT,
    refresh_seconds=0.0,
    tables=(
        Table(
            points=(
                Point(metric="agent_up_seconds", signal="agent"),
                Point(metric="agent_heartbeat_timestamp_seconds", signal="agent"),
                Point(metric="agent_clock_offset_seconds", signal="agent"),
                Point(metric="agent_checkpoint_age_seconds", signal="agent"),
                _gpu("agent_gpu_count"),
                _gpu("agent_gpu_power_watts"),
                _gpu("agent_gpu_power_limit_watts"),
                _gpu("agent_gpu_default_power_limit_watts"),
                _gpu("agent_gpu_min_power_limit_watts"),
                _gpu("agent_gpu_max_power_limit_watts"),
                _gpu("agent_gpu_temperature_celsius"),
            ),
        ),
    ),
)


@cache
def _faults() -> Faults:
    return load_faults()


def severity(kind: str, code: str) -> Literal["info", "warning", "critical"]:
    """`critical` where the GPU or switch cannot go on by itself, `info` where nothing is asked for, else `warning`.

    Codes that are in no table: an XID is a warning, an SXID information (`fleet.faults`).
    """
    number = int(code) if code.isascii() and code.isdigit() and len(code) < 10 else -1
    table = {"xid": _faults().xid, "sxid": _faults().sxid}.get(kind)
    fault = table.get(number) if table is not None else None
    if fault is None:
        return "info" if kind == "sxid" and number >= 0 else "warning"
    return "critical" if fault.fatal else "info" if fault.action is Action.NONE else "warning"
