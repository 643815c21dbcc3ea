"""Thresholds of power: feeds, PDUs, storage, generation, the site (entries B of the catalogue)."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.thresholds.threshold import Threshold

POWER: Mapping[str, Threshold] = MappingProxyType(
    {
        "pdu_phase_high_ratio": Threshold(
            0.80,
            "ratio",
            "A phase carries too large a share of what it is rated for, for long (B01)",
            "the 80 % rule for continuous loads (NEC)",
            low=0.1,
            high=1.0,
        ),
        "bess_charge_low_ratio": Threshold(
            0.40,
            "ratio",
            "The battery storage holds too little (B18)",
            "default to tune",
            low=0.0,
            high=1.0,
        ),
    }
)
