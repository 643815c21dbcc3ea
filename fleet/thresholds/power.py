"""Thresholds of power: PDUs, feeders, busbars (entries B of the catalogue)."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.thresholds.threshold import Threshold

POWER: Mapping[str, Threshold] = MappingProxyType(
    {
        "pdu_phase_high_ratio": Threshold(
            0.8,
            "ratio",
            "A phase carries too large a share of what it is rated for, for long (B01)",
            "the 80 % rule for continuous loads (NEC)",
            low=0.1,
            high=1.0,
        ),
        "breaker_trip_soon_seconds": Threshold(
            60.0,
            "seconds",
            "A breaker will trip within this time if its load stays (B03)",
            "default to tune; caps take up to 10 s",
            low=1.0,
            high=3_600.0,
        ),
        "rack_one_feed_high_ratio": Threshold(
            0.8,
            "ratio",
            "One feed of a rack could not carry the whole rack for long (B04)",
            "the 80 % rule for continuous loads (NEC), at 2N",
            low=0.1,
            high=1.0,
        ),
        "phase_imbalance_high_ratio": Threshold(
            0.2,
            "ratio",
            "The phases of a PDU carry unequal loads (B06)",
            "default to tune",
            low=0.01,
            high=3.0,
        ),
        "phase_imbalance_severe_ratio": Threshold(
            0.4,
            "ratio",
            "The phases of a PDU carry very unequal loads (B06)",
            "default to tune",
            low=0.01,
            high=3.0,
        ),
        "grid_frequency_deviation_hertz": Threshold(
            0.2,
            "hertz",
            "The frequency is off its nominal value for long (B08)",
            "default to tune; grid codes call ±0.2 Hz disturbed",
            low=0.01,
            high=2.0,
        ),
        "pdu_warm_celsius": Threshold(
            60.0,
            "degrees Celsius",
            "A PDU or its outlets are warm (B10)",
            "default to tune; most makers rate the inlet air to 60",
            low=20.0,
            high=120.0,
        ),
        "pdu_hot_celsius": Threshold(
            70.0,
            "degrees Celsius",
            "A PDU or its outlets are hot (B10)",
            "default to tune; PVC insulation is rated to 70",
            low=20.0,
            high=120.0,
        ),
        "feeder_oscillation_high_ratio": Threshold(
            0.02,
            "ratio",
            "A feeder's power swings (B14)",
            "default to tune; utilities' limits for large loads differ",
            low=0.001,
            high=1.0,
        ),
        "feeder_oscillation_peak_high_ratio": Threshold(
            0.01,
            "ratio",
            "A feeder's power swings at one frequency (B14)",
            "default to tune",
            low=0.001,
            high=1.0,
        ),
        "feeder_oscillation_critical_ratio": Threshold(
            0.05,
            "ratio",
            "A feeder's power swings so much that plant may trip (B14)",
            "default to tune",
            low=0.001,
            high=1.0,
        ),
        "feeder_dead_volts": Threshold(
            23.0,
            "volts",
            "Below it a feeder has no voltage (B16)",
            "10 % of 230 V; set it to 10 % of the nominal value at medium voltage",
            low=1.0,
            high=50_000.0,
        ),
        "busbar_high_ratio": Threshold(
            0.8,
            "ratio",
            "A busbar carries too large a share of what it is rated for (B30)",
            "the 80 % rule for continuous loads (NEC)",
            low=0.1,
            high=1.0,
        ),
        "busbar_joint_spread_kelvin": Threshold(
            30.0,
            "kelvin",
            "A busbar joint is warmer than its neighbours (B30)",
            "default to tune; thermographers call 30 K over similar parts serious",
            low=1.0,
            high=200.0,
        ),
    }
)
