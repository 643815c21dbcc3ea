"""The power tree below the busbars: feeds, relays, outlets, phases and their meters."""

import numpy as np
from numpy.typing import NDArray

from simulator.layout import PHASES, VOLTS, Layout

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class PowerTree:
    """Relays (node, side), feeds (rack, side), and what flows: side 0 is feed A, side 1 feed B."""

    def __init__(self, layout: Layout, *, rng: np.random.Generator) -> None:
        self.layout = layout
        self._rng = rng
        nodes, racks = layout.node_count, layout.rack_count
        self.feed_live: BoolArray = np.ones((racks, 2), dtype=np.bool_)
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
        self._line_of = layout.rack_of * PHASES + layout.phase_of

    def live_outlets(self) -> BoolArray:
        """(node, side): the relay is closed and the PDU's input carries voltage."""
        return np.logical_and(self.relay, self.feed_live[self.layout.rack_of])

    def powered(self) -> BoolArray:
        """Nodes with at least one live supply."""
        return np.asarray(self.live_outlets().any(axis=1))

    def step(self, seconds: float, node_watts: FloatArray) -> None:
        """Split each node's watts over its live supplies and sum them by phase; a node without any must draw none."""
        live = self.live_outlets()
        share = np.where(live.all(axis=1), self.supply_share, live[:, 0].astype(np.float64))
        self.outlet_watts[:, 0] = node_watts * share
        self.outlet_watts[:, 1] = node_watts * (1.0 - share)
        self.volts[:] = (VOLTS + self._rng.uniform(-0.5, 0.5, self.volts.shape)) * self.feed_live[:, :, None]
        for side in range(2):
            summed = np.bincount(
                self._line_of, weights=self.outlet_watts[:, side], minlength=self.layout.rack_count * PHASES
            )
            self.phase_watts[:, side] = summed.reshape(-1, PHASES)
        np.divide(self.phase_watts, self.volts, out=self.phase_amperes, where=self.volts > 0.0)
        self.phase_amperes[self.volts <= 0.0] = 0.0
        self.outlet_watt_hours += self.outlet_watts * (seconds / 3600.0)
        self.phase_watt_hours += self.phase_watts * (seconds / 3600.0)

    def load_ratio(self) -> FloatArray:
        """(rack, side, phase) amperes over the rating."""
        rated = np.array([self.layout.rated_amperes(rack) for rack in range(self.layout.rack_count)])
        return np.asarray(self.phase_amperes / rated[:, None, None])
