"""Thresholds of GPUs and nodes (entries A of the catalogue)."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.thresholds.threshold import Threshold

GPU: Mapping[str, Threshold] = MappingProxyType(
    {
        "gpu_hot_celsius": Threshold(
            87.0,
            "degrees Celsius",
            "A GPU's core is too hot (A29)",
            "highest operating temperature in an H100's own dump (slowdown 89, shutdown 95)",
            low=40.0,
            high=110.0,
        ),
    }
)
