"""Thresholds of jobs and their schedulers (entries D of the catalogue)."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.thresholds.threshold import Threshold

JOBS: Mapping[str, Threshold] = MappingProxyType(
    {
        "spare_nodes_low_count": Threshold(
            2.0,
            "1",
            "Too few warm, healthy nodes wait for a job (D10)",
            "default to tune",
            low=0.0,
            high=1e6,
        ),
    }
)
