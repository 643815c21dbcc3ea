"""The power tree below the sources: substations, busbars, PDU inputs, breakers, relays, outlets, phases and their meters."""

import numpy as np
from numpy.typing import NDArray

from simulator.breakers import Breakers, TripCurve
from simulator.layout import PHASES, ROWS_PER_BUSBAR, VOLTS, Layout

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
BUSBAR_WATTS = 1e6
"""What a busbar carries: 1 MW for two rows [site document]."""
BUSBAR_CURVE = TripCurve(heat_to_trip_seconds=600.0, instantaneous_ratio=8.0)
"""A busway's breaker is slower than a branch's: 48 min at 110 %. A default of ours."""


class PowerTree:
    """Relays (node, side), inputs (rack, side), and what flows: side 0 is feed A, side 1 feed B."""

    def __init__(self, layout: Layout, *, rng: np.random.Generator) -> None:
        self.layout = layout
        self._rng = rng
        nodes, racks = layout.node_count, layout.rack_count
        self.feed_live: BoolArray = np.ones((racks, 2), dtype=np.bool_)
        """False where the input of a PDU is broken by itself."""
        self.side_live: BoolArray = np.ones(2, dtype=np.bool_)
        """Whether each substation gives voltage."""
        self.side_volts_ratio: FloatArray = np.ones(2)
        """Voltage of each side, of nominal: a sag is below 1."""
        self.breakers = Breakers((racks, 2, PHASES), TripCurve())
        """One for each phase of a PDU, behind its input meter."""
        self.busbar_breakers = Breakers((len(layout.busbars) // 2, 2), BUSBAR_CURVE)
        self.relay: BoolArray = np.ones((nodes, 2), dtype=np.bool_)
        self.pending = np.zeros((nodes, 2), dtype=np.int8)
        """-1 while an off, +1 while an on is under way, else 0."""
        self.supply_share: FloatArray = 0.5 + rng.uniform(-0.01, 0.01, nodes)
        """Share of a node's load on feed A while both feeds live."""
        self.volts: FloatArray = np.full((racks, 2, PHASES), VOLTS)
        self.outlet_watts: FloatArray = np.zeros((nodes, 2))
        self.outlet_watt_hours: FloatArray = rng.uniform(1e5, 9e5, (nodes, 2))
        self.phase_watts: FloatArray = np.zeros((racks, 2, PHASES))
        self.phase_amperes: FloatArray = np.zeros((racks, 2, PHASES))
        self.phase_watt_hours: FloatArray = rng.uniform(1e6, 9e6, (racks, 2, PHASES))
        self.busbar_watts: FloatArray = np.zeros((len(layout.busbars) // 2, 2))
        self.side_watts: FloatArray = np.zeros(2)
        sides = np.arange(2)
        self._line_of = ((layout.rack_of[:, None] * 2 + sides) * PHASES + layout.phase_of[:, None]).ravel()
        """The phase of a PDU that each (node, side) hangs on."""
        self._busbar_of_rack = np.arange(racks) // layout.racks_per_row // ROWS_PER_BUSBAR
        self._bar_of = np.repeat((self._busbar_of_rack[:, None] * 2 + sides).ravel(), PHASES)
        rated = np.array([layout.rated_amperes(rack) for rack in range(racks)])
        self.wired: NDArray[np.intp] = np.arange(nodes)
        """Which node hangs on the outlets that the inventory gives each node; crossed where the map is wrong."""
        self._crossed = False
        self._of_rating = 1.0 / rated[:, None, None]

    def input_live(self) -> BoolArray:
        """(rack, side): whether voltage reaches the PDU's input."""
        if self.side_live.all() and not self.busbar_breakers.trips:
            return self.feed_live
        return np.asarray(self.feed_live & self.side_live & self.busbar_breakers.closed[self._busbar_of_rack])

    def live_outlets(self) -> BoolArray:
        """(node, side): the relay and breaker of its outlet are closed and the PDU's input carries voltage."""
        live = np.logical_and(self.relay, self.input_live()[self.layout.rack_of])
        if self.breakers.trips:
            live &= self.breakers.closed[self.layout.rack_of, :, self.layout.phase_of]
        return live[self.wired] if self._crossed else live

    def cross(self, first: int, second: int) -> None:
        """Plug two nodes into each other's outlets; once more puts them right."""
        self.wired[[first, second]] = self.wired[[second, first]]
        self._crossed = not np.array_equal(self.wired, np.arange(len(self.wired)))

    def powered(self) -> BoolArray:
        """Nodes with at least one live supply."""
        live = self.live_outlets()
        return np.asarray(live[:, 0] | live[:, 1])

    def step(self, seconds: float, node_watts: FloatArray, live: BoolArray) -> None:
        """Split each node's watts over its live outlets and sum them by phase; a node without any must draw none."""
        share = np.where(live[:, 0] & live[:, 1], self.supply_share, live[:, 0])
        np.multiply(node_watts, share, out=self.outlet_watts[:, 0])
        np.subtract(node_watts, self.outlet_watts[:, 0], out=self.outlet_watts[:, 1])
        if self._crossed:
            self.outlet_watts[:] = self.outlet_watts[self.wired]
        inputs = self.input_live() * self.side_volts_ratio
        noise = self._rng.random(self.volts.shape)
        noise += VOLTS - 0.5
        np.multiply(noise, inputs[:, :, None], out=self.volts)
        self._sum_up()
        self.phase_amperes[:] = 0.0
        np.divide(self.phase_watts, self.volts, out=self.phase_amperes, where=self.volts > 0.0)
        self.outlet_watt_hours += self.outlet_watts * (seconds / 3600.0)
        self.phase_watt_hours += self.phase_watts * (seconds / 3600.0)
        self.breakers.step(seconds, self.load_ratio())
        self.busbar_breakers.step(seconds, self.busbar_watts * (1.0 / BUSBAR_WATTS))

    def _sum_up(self) -> None:
        lines = np.bincount(self._line_of, weights=self.outlet_watts.ravel(), minlength=self.phase_watts.size)
        self.phase_watts[:] = lines.reshape(self.phase_watts.shape)
        bars = np.bincount(self._bar_of, weights=lines, minlength=self.busbar_watts.size)
        self.busbar_watts[:] = bars.reshape(self.busbar_watts.shape)
        self.side_watts[:] = self.busbar_watts.sum(axis=0)

    def load_ratio(self) -> FloatArray:
        """(rack, side, phase) amperes over the rating."""
        return np.asarray(self.phase_amperes * self._of_rating)
