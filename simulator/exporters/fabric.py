"""The page of a fabric leaf switch: one port a node of its row, its state and what it carried."""

from simulator.plant import Plant


class FabricExporter:
    """One leaf's page; port numbers count the row's nodes from 1."""

    def __init__(self, plant: Plant, row: int) -> None:
        self._plant = plant
        self.nodes = list(plant.layout.nodes_of_row(row))

    def page(self) -> bytes:
        """The text of the page."""
        up = self._plant.fabric_up()
        counted = self._plant.fabric_bytes
        lines = [
            "# HELP fabric_port_state Whether the port is active (1) or not (0).",
            "# TYPE fabric_port_state gauge",
        ]
        lines += (
            f'fabric_port_state{{port="{port}"}} {int(up[node])}' for port, node in enumerate(self.nodes, start=1)
        )
        lines += (
            "# HELP fabric_port_data_bytes_total Bytes that the port carried, both ways.",
            "# TYPE fabric_port_data_bytes_total counter",
        )
        lines += (
            f'fabric_port_data_bytes_total{{port="{port}"}} {int(counted[node])}'
            for port, node in enumerate(self.nodes, start=1)
        )
        return ("\n".join(lines) + "\n").encode()
