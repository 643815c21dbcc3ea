"""Thresholds of cooling: loops, CDUs, rooms (entries C of the catalogue)."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.thresholds.threshold import Threshold

COOLING: Mapping[str, Threshold] = MappingProxyType(
    {
        "coolant_supply_hot_celsius": Threshold(
            48.0,
            "degrees Celsius",
            "The coolant to the racks is too hot (C01)",
            "default to tune; the class W45 of ASHRAE ends at 45",
            low=20.0,
            high=70.0,
        ),
    }
)
