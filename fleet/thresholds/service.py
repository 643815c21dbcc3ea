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
        "poll_success_low_ratio": Threshold(
            0.95,
            "ratio",
            "Too many targets of one kind do not answer (E02)",
            "default to tune",
            low=0.1,
            high=1.0,
        ),
        "safety_sample_age_seconds": Threshold(
            3.0,
            "seconds",
            "Readings of phase currents or coolant flow are late (E03)",
            "default to tune: polled each second, and 2 s for the way",
            low=0.1,
            high=600.0,
        ),
        "sample_age_seconds": Threshold(
            40.0,
            "seconds",
            "Readings are late (E03)",
            "default to tune: the slowest usual poll of 30 s, and 10 s for the way",
            low=1.0,
            high=3600.0,
        ),
    }
)
