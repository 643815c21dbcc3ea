"""Hallkeeper's own daemon on a node, protocol v1: how fresh its values are, and how grave its events."""

from collections.abc import Mapping
from typing import Literal

from devices.profiles.profile import Point, Profile, Table
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

CRITICAL_XIDS = frozenset(
    {46, 48, 54, 61, 62, 64, 74, 79, 95, 109, 110, 119, 120, 136, 140, 143, *range(144, 151), 155, 156, 158, 160, 162}
)
"""XIDs that NVIDIA's catalogue calls fatal or answers with a GPU reset or a restart (NVSentinel `xiderrorsmapping.csv`)."""
HARMLESS_XIDS = frozenset({43, 44, 63, 92, 121, 137, 141, 152, 153, 157, 161})
"""XIDs that the same catalogue answers with "ignore"."""
CRITICAL_SXIDS = frozenset({10003, 10006, 10007, 10008, 12020, 12028, 12032, 14001, 14002, 14014, 14017, 14018})
"""NVSwitch errors answered with a reset of the fabric or of a GPU."""

SEVERITIES: Mapping[str, tuple[frozenset[int], frozenset[int]]] = {
    "xid": (CRITICAL_XIDS, HARMLESS_XIDS),
    "sxid": (CRITICAL_SXIDS, frozenset()),
}


def severity(kind: str, code: str) -> Literal["info", "warning", "critical"]:
    """`critical`, `warning` or `info` of an event."""
    critical, harmless = SEVERITIES.get(kind, (frozenset(), frozenset()))
    number = int(code) if code.isascii() and code.isdigit() and len(code) < 10 else -1
    return "critical" if number in critical else "info" if number in harmless else "warning"
