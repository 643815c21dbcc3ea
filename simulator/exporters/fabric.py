"""The page of a fabric leaf switch: one port a node of its row, its state, its errors and what it carried."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from simulator.plant import Plant

Series = Callable[[Plant], NDArray[np.float64]]
SERIES: Mapping[str, tuple[str, str, Series]] = {
    "fabric_port_state": (
        "gauge",
        "Whether the port is active (1) or not (0).",
        lambda plant: plant.fabric_up().astype(np.float64),
    ),
    "fabric_port_data_bytes_total": (
        "counter",
        "Bytes that the port carried, both ways.",
        lambda plant: np.floor(plant.fabric.bytes),
    ),
    "fabric_port_symbol_errors_total": (
        "counter",
        "Symbol errors of the port.",
        lambda plant: np.floor(plant.fabric.symbol_errors),
    ),
    "fabric_port_link_downed_total": (
        "counter",
        "Times that the port's link went down.",
        lambda plant: plant.fabric.link_downed.astype(np.float64),
    ),
    "fabric_port_bit_error_ratio": (
        "gauge",
        "Bit error ratio of the port.",
        lambda plant: plant.fabric.bit_error_ratio,
    ),
}
"""Name → type, meaning, and its values over nodes."""


class FabricExporter:
    """One leaf's page; port numbers count the row's nodes from 1."""

    def __init__(self, plant: Plant, row: int) -> None:
        self._plant = plant
        self.nodes = list(plant.layout.nodes_of_row(row))

    def page(self) -> bytes:
        """The text of the page."""
        lines: list[str] = []
        for name, (kind, meaning, series) in SERIES.items():
            values = series(self._plant)[self.nodes].tolist()
            lines += (f"# HELP {name} {meaning}", f"# TYPE {name} {kind}")
            lines += (f'{name}{{port="{port}"}} {value:.16g}' for port, value in enumerate(values, start=1))
        return ("\n".join(lines) + "\n").encode()
