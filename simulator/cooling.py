"""The coolant loops: one CDU with two pumps a row, its flow, temperatures, pressure, level, valves and leaks."""

import math

import numpy as np
from numpy.typing import NDArray

from simulator.layout import GPUS, Layout
from simulator.settings import PlantSettings

FloatArray = NDArray[np.float64]

LITERS_PER_MINUTE_PER_NODE = 15.0
"""60 L/min a rack of four: 41 kW raise it by about 10 K [reference: 1.24 L/min and kW at 12 K]."""
JOULES_PER_LITER_KELVIN = 1.030 * 3_974.0
"""Density times heat capacity of the OCP sample's coolant (25 % propylene glycol)."""
PUMP_RPM = 2_950.0
FULL_PRESSURE_KILOPASCALS = 120.0
STATIC_PASCALS = 3.0e5
"""Pressure of a full loop: a default of ours."""
FLOW_TIME_CONSTANT_SECONDS = 1.0
"""62 L/min fall to 8 within 2 s when pumps stop [reference, scenario 1]."""
CHANGEOVER_SECONDS = 0.25
"""From the failure of the duty pump to the start of the standby pump [Vertiv CoolChip CDU, P210]."""
VALVE_SECONDS = 5.0
"""A rack's isolation valve from end to end: a default of ours, slow enough for no water hammer."""
SET_POINT_SECONDS = 30.0
"""Time constant of the supply temperature behind its set point: a default of ours."""
LOOP_LITERS_PER_NODE = 10.0
"""150 L for a row of sixteen: 0.08 K/s at 50 kW when no heat leaves the loop [derived in the reference]."""
ONE_PUMP_SHARE = 0.65
"""Flow of one pump alone, of that of both, where both run."""
FULL_LEVEL_PERCENT = 85.0
RESERVOIR_LITERS = 100.0


class Cooling:
    """Arrays over rows (pumps: row, 2), over racks for valves and leaks."""

    def __init__(self, layout: Layout, *, rng: np.random.Generator, settings: PlantSettings) -> None:
        rows, racks = len(layout.rows), layout.rack_count
        self._layout = layout
        self._rng = rng
        self._row_of_rack = np.arange(racks) // layout.racks_per_row
        self._nodes_on_rack = np.diff(layout.rack_starts).astype(np.float64)
        self.nodes_on: FloatArray = np.bincount(layout.row_of, minlength=rows).astype(np.float64)
        self.standby = settings.standby_pumps
        self.standby_wanted = np.zeros(rows, dtype=np.bool_)
        """Somebody asked for the second pump although the first is well."""
        self._standby_waits: FloatArray = np.full(rows, CHANGEOVER_SECONDS)
        self.pump_healthy = np.ones((rows, 2), dtype=np.bool_)
        self.pump_speed: FloatArray = np.ones((rows, 2))
        """Speed that each pump is told to turn at, of full."""
        self.pump_rpm: FloatArray = np.full((rows, 2), PUMP_RPM)
        if self.standby:
            self.pump_rpm[:, 1] = 0.0
        self.set_point_celsius: FloatArray = np.full(rows, settings.coolant_celsius)
        self.rejecting = np.ones(rows, dtype=np.bool_)
        """Whether the facility's water takes the loop's heat away."""
        self.flow: FloatArray = self.nodes_on * LITERS_PER_MINUTE_PER_NODE
        self._supply: FloatArray = np.full(rows, settings.coolant_celsius)
        self.supply_celsius: FloatArray = self._supply.copy()
        self.return_celsius: FloatArray = np.full(rows, settings.coolant_celsius + 8.0)
        self.level: FloatArray = np.full(rows, FULL_LEVEL_PERCENT)
        self.lost_liters: FloatArray = np.zeros(rows)
        self.leak_bits = np.zeros(rows, dtype=np.int64)
        """Detectors of the CDU itself, and of any rack of the row: bit 0 ropes, bit 1 trays."""
        self.rack_leak = np.zeros((racks, 2), dtype=np.bool_)
        """Rope and tray of each rack."""
        self.leak_liters_per_minute: FloatArray = np.zeros(racks)
        self.heat_watts: FloatArray = np.zeros(rows)
        self.valve_open: FloatArray = np.ones(racks)
        self.valve_wanted: FloatArray = np.ones(racks)
        """Where each rack's isolation valve shall stand; people move it, or a leak panel."""
        self._valves_open = True

    @property
    def pressure_kilopascals(self) -> FloatArray:
        """Across the loop; falls with the square of the flow."""
        full = np.maximum(self.nodes_on * LITERS_PER_MINUTE_PER_NODE, 1.0)
        return np.asarray(FULL_PRESSURE_KILOPASCALS * (self.flow / full) ** 2)

    @property
    def supply_pascals(self) -> FloatArray:
        """Static pressure of the supply: a loop that has lost coolant sinks, 0.2 bar for 2 L."""
        return np.asarray(np.maximum(STATIC_PASCALS - 1e4 * self.lost_liters, 0.0))

    def rack_liters_per_minute(self) -> FloatArray:
        """Each rack's flow: the row's, shared by open valves."""
        weight = self._nodes_on_rack * self.valve_open
        whole = np.bincount(self._row_of_rack, weights=weight, minlength=len(self.flow))
        return np.asarray(self.flow[self._row_of_rack] * weight / np.maximum(whole[self._row_of_rack], 1e-9))

    def per_gpu_watts_per_kelvin(self) -> FloatArray:
        """What the flow through one cold plate carries away for each kelvin, by node."""
        scale = JOULES_PER_LITER_KELVIN / GPUS / 60.0
        if self._valves_open:
            return np.asarray((self.flow / np.maximum(self.nodes_on, 1.0) * scale)[self._layout.row_of])
        by_rack = self.rack_liters_per_minute() / np.maximum(self._nodes_on_rack, 1.0) * scale
        return np.asarray(by_rack[self._layout.rack_of])

    def supply_by_node(self) -> FloatArray:
        return self.supply_celsius[self._layout.row_of]

    def step(self, seconds: float, node_watts: FloatArray) -> None:
        """Pumps coast towards their speed, the return takes up the row's heat, leaks empty the reservoir."""
        self._pump(seconds)
        self._move_valves(seconds)
        self.heat_watts[:] = np.bincount(self._layout.row_of, weights=node_watts, minlength=len(self.flow))
        per_kelvin = np.maximum(self.flow * (JOULES_PER_LITER_KELVIN / 60.0), 50.0)
        inertia = np.maximum(self.nodes_on, 1.0) * (LOOP_LITERS_PER_NODE * JOULES_PER_LITER_KELVIN)
        settled = self.supply_celsius + self.heat_watts / per_kelvin
        self.return_celsius += (settled - self.return_celsius) * (1.0 - np.exp(-seconds * per_kelvin / inertia))
        towards = (self.set_point_celsius - self._supply) * (1.0 - math.exp(-seconds / SET_POINT_SECONDS))
        warming = self.heat_watts / inertia * seconds
        self._supply += np.where(self.rejecting, towards, warming)
        self.supply_celsius[:] = self._supply + self._rng.uniform(-0.05, 0.05, len(self.flow))
        self._lose(seconds)

    def gather_leaks(self) -> None:
        """Every rope and tray of a row's racks rings at its CDU too: bit 0 for ropes, bit 1 for trays."""
        for bit in range(2):
            wet = np.bincount(self._row_of_rack, weights=self.rack_leak[:, bit], minlength=len(self.flow)) > 0
            self.leak_bits[:] = np.where(wet, self.leak_bits | (1 << bit), self.leak_bits & ~(1 << bit))

    def _pump(self, seconds: float) -> None:
        wanted = self.pump_healthy * self.pump_speed
        if self.standby:
            failed = ~self.pump_healthy[:, 0]
            self._standby_waits[:] = np.where(failed, self._standby_waits - seconds, CHANGEOVER_SECONDS)
            wanted[:, 1] *= (failed & (self._standby_waits <= 0.0)) | self.standby_wanted
        self.pump_rpm += (PUMP_RPM * wanted - self.pump_rpm) * (1.0 - math.exp(-seconds / FLOW_TIME_CONSTANT_SECONDS))
        turning = self.pump_rpm.sum(axis=1) * (1.0 / PUMP_RPM)
        if self.standby:
            share = np.minimum(turning, 1.0)
        else:
            both = ONE_PUMP_SHARE + (1.0 - ONE_PUMP_SHARE) * (turning - 1.0)
            share = np.where(turning >= 1.0, both, ONE_PUMP_SHARE * turning)
        np.multiply(self.nodes_on, share * LITERS_PER_MINUTE_PER_NODE, out=self.flow)

    def _move_valves(self, seconds: float) -> None:
        if self._valves_open and bool((self.valve_wanted == 1.0).all()):
            return
        way = seconds / VALVE_SECONDS
        self.valve_open += np.clip(self.valve_wanted - self.valve_open, -way, way)
        self._valves_open = bool((self.valve_open == 1.0).all())

    def _lose(self, seconds: float) -> None:
        self.level -= (self.leak_bits > 0) * (0.05 * seconds)
        if self.leak_liters_per_minute.any():
            flowing = self.leak_liters_per_minute * self.valve_open * (seconds / 60.0)
            lost = np.bincount(self._row_of_rack, weights=flowing, minlength=len(self.flow))
            self.lost_liters += lost
            self.level -= lost * (100.0 / RESERVOIR_LITERS)
        np.maximum(self.level, 0.0, out=self.level)
