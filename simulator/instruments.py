"""What the hall's instruments measure, and what they show: the truth, or what a wrong one makes of it."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from simulator.plant import Plant

FloatArray = NDArray[np.float64]

MEASURED: Mapping[str, Callable[[Plant], FloatArray]] = {
    "supply-celsius": lambda plant: plant.cooling.supply_celsius,
    "return-celsius": lambda plant: plant.cooling.return_celsius,
    "flow": lambda plant: plant.cooling.flow,
    "pressure": lambda plant: plant.cooling.pressure_kilopascals,
    "level": lambda plant: plant.cooling.level,
    "pump-rpm": lambda plant: plant.cooling.pump_rpm,
    "phase-amperes": lambda plant: plant.power.phase_amperes,
    "outlet-watts": lambda plant: plant.power.outlet_watts,
    "gpu-celsius": lambda plant: plant.machines.gpu_celsius,
    "gpu-watts": lambda plant: plant.machines.gpu_watts,
    "node-watts": lambda plant: plant.machines.watts,
}
"""By place: row (and pump) for a CDU; rack, side and phase; node and side; node and GPU; node."""


def seen(plant: Plant, quantity: str) -> FloatArray:
    """What the instruments show of a quantity: the plant's own array where all are right, so never write into it."""
    return plant.sensors.seen(quantity, MEASURED[quantity](plant))
