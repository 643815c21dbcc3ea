"""NVIDIA's dcgm-exporter: its metrics pass through under their own names; the known ones are listed here.

The exporter collects every 30 s unless it runs with `-c 1000`; a site that does says so with the endpoint's
`refresh_seconds`. DCGM_FI_DEV_XID_ERRORS holds the last XID, it does not count.
"""

from devices.profiles.profile import Point, Profile, Table
from fleet.model import Wire

GPU_METRICS = (
    "DCGM_FI_DEV_SM_CLOCK",
    "DCGM_FI_DEV_MEM_CLOCK",
    "DCGM_FI_DEV_MEMORY_TEMP",
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
    "DCGM_FI_DEV_PCIE_REPLAY_COUNTER",
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_DEV_XID_ERRORS",
    "DCGM_FI_DEV_FB_FREE",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
    "DCGM_FI_DEV_ROW_REMAP_FAILURE",
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
)

PROFILE = Profile(
    name="dcgm",
    wire=Wire.PROMETHEUS,
    refresh_seconds=30.0,
    tables=(Table(points=tuple(Point(metric=metric, signal="gpu") for metric in GPU_METRICS)),),
)
