"""AMD's device-metrics-exporter: its metrics pass through under their own names; the known ones are listed here.

It reads its GPUs when it is asked. In partition modes only partition 0 has power and temperature: no sums over partitions.
"""

from devices.profiles.profile import Point, Profile, Table
from fleet.model import Wire

GPU_METRICS = (
    "gpu_package_power",
    "gpu_junction_temperature",
    "gpu_memory_temperature",
    "gpu_gfx_activity",
    "gpu_used_vram",
    "gpu_ecc_correct_total",
    "gpu_ecc_uncorrect_total",
    "gpu_ecc_deferred_total",
    "gpu_ecc_correct_xgmi_wafl",
    "gpu_ecc_uncorrect_xgmi_wafl",
    "pcie_replay_count",
    "pcie_recovery_count",
)

PROFILE = Profile(
    name="amd-gpu",
    wire=Wire.PROMETHEUS,
    refresh_seconds=0.0,
    tables=(Table(points=tuple(Point(metric=metric, signal="gpu") for metric in GPU_METRICS)),),
)
