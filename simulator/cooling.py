"""The coolant loops: one CDU with two pumps a row, its flow, temperatures, level and leak ropes."""

import numpy as np
from numpy.typing import NDArray

from simulator.layout import GPUS, Layout
from simulator.settings import PlantSettings

FloatArray = NDArray[np.float64]

LITERS_PER_MINUTE_PER_NODE = 15.0
"""60 L/min a rack of four: 41 kW raise it by about 10 K."""
JOULES_PER_LITER_KELVIN = 1.030 * 3_974.0
"""Density times heat capacity of the OCP sample's coolant (25 % propylene glycol)."""
PUMP_RPM = 2_950.0
FULL_PRESSURE_KILOPASCALS = 120.0
FLOW_TIME_CONSTANT_SECONDS = 1.0
"""62 L/min fall to 8 within 2 s when pumps stop [reference, scenario 1]."""
LOOP_LITERS = 150.0
ONE_PUMP_SHARE = 0.65
"""Flow of one pump alone, of that of both."""


class Cooling:
    """Arrays over rows: pumps (row, 2), flow, temperatures, level, leak bits."""

    def __init__(self, layout: Layout, *, rng: np.random.Generator, settings: PlantSettings) -> None:
        rows = len(layout.rows)
        self._layout = layout
        self._rng = rng
        self.standby = settings.standby_pumps
        self.set_point_celsius: FloatArray = np.full(rows, settings.coolant_celsius)
        self.nodes_on: FloatArray = np.bincount(layout.row_of, minlength=rows).astype(np.float64)
        self.pump_healthy = np.ones((rows, 2), dtype=np.bool_)
        self.pump_rpm: FloatArray = np.full((rows, 2), PUMP_RPM)
        self.flow: FloatArray = self.nodes_on * LITERS_PER_MINUTE_PER_NODE
        self.supply_celsius: FloatArray = np.full(rows, settings.coolant_celsius)
        self.return_celsius: FloatArray = np.full(rows, settings.coolant_celsius + 8.0)
        self.level: FloatArray = np.full(rows, 85.0)
        self.leak_bits = np.zeros(rows, dtype=np.int64)
        self.heat_watts: FloatArray = np.zeros(rows)

    @property
    def pressure_kilopascals(self) -> FloatArray:
        """Falls with the square of the flow."""
        full = np.maximum(self.nodes_on * LITERS_PER_MINUTE_PER_NODE, 1.0)
        return np.asarray(FULL_PRESSURE_KILOPASCALS * (self.flow / full) ** 2)

    def per_gpu_watts_per_kelvin(self) -> FloatArray:
        """What the flow through one cold plate carries away for each kelvin, by node."""
        liters_per_second = self.flow / np.maximum(self.nodes_on, 1.0) / GPUS / 60.0
        return np.asarray(liters_per_second * JOULES_PER_LITER_KELVIN)[self._layout.row_of]

    def supply_by_node(self) -> FloatArray:
        return self.supply_celsius[self._layout.row_of]

    def step(self, seconds: float, node_watts: FloatArray) -> None:
        """Pumps coast towards their speed, the return takes up the row's heat, leaks empty the reservoir."""
        blend = 1.0 - np.exp(-seconds / FLOW_TIME_CONSTANT_SECONDS)
        self.pump_rpm += (PUMP_RPM * self.pump_healthy - self.pump_rpm) * blend
        turning = (self.pump_rpm / PUMP_RPM).sum(axis=1)
        share = np.where(
            turning >= 1.0, ONE_PUMP_SHARE + (1.0 - ONE_PUMP_SHARE) * (turning - 1.0), ONE_PUMP_SHARE * turning
        )
        self.flow[:] = self.nodes_on * LITERS_PER_MINUTE_PER_NODE * share
        self.heat_watts[:] = np.bincount(self._layout.row_of, weights=node_watts, minlength=len(self.flow))
        per_kelvin = np.maximum(self.flow / 60.0 * JOULES_PER_LITER_KELVIN, 50.0)
        settled = self.supply_celsius + self.heat_watts / per_kelvin
        inertia = LOOP_LITERS * JOULES_PER_LITER_KELVIN
        self.return_celsius += (settled - self.return_celsius) * (1.0 - np.exp(-seconds * per_kelvin / inertia))
        self.supply_celsius[:] = self.set_point_celsius + self._rng.uniform(-0.05, 0.05, len(self.flow))
        self.level -= (self.leak_bits > 0) * (0.05 * seconds)
        np.maximum(self.level, 0.0, out=self.level)
