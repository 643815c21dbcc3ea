"""What differs between simulated sites of the same shape: cold plates, pumps, sources. Numbers with their units."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantSettings:
    """The defaults are the demo's site."""

    coolant_celsius: float = 36.0
    """Supply set point of the CDUs."""
    die_joules_per_kelvin: float = 450.0
    """Heat that one GPU's die and cold plate take up: 300 to 700 J/K, lumped [derived in the reference]."""
    trapped_kilograms: float = 0.15
    """Coolant in one cold plate: 0.05 to 0.4 kg [derived in the reference]."""
    standby_pumps: bool = False
    """Whether a CDU's second pump waits for the first to fail; else both run."""
    generator_watts: float = 8e6
    """Rating of each of four generator strings."""
    grid_watts: float = 50e6
    """What each of two grid supplies carries."""
    bess_watts: float = 25e6
    bess_watt_hours: float = 100e6
    bess_charge: float = 0.83
    """State of charge at the start."""
    gang_stall: bool = False
    """Whether a gang stands still, its GPUs waiting, as soon as one of its ranks is lost."""
    island: bool = False
    """Whether the site starts without a grid, on its generators."""
