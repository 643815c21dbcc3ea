"""Thresholds of Hallkeeper itself (entries E of the catalogue)."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.thresholds.threshold import Threshold

SERVICE: Mapping[str, Threshold] = MappingProxyType(
    {
        "bus_lag_seconds": Threshold(
            5.0,
            "seconds",
            "Frames reach the rules too late (E01)",
            "default to tune; power verbs are refused from 10 s on",
            low=0.1,
            high=600.0,
        ),
    }
)
