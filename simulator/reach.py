"""Who answers at the moment: what faults and the machines' own state leave of each server."""

from dataclasses import dataclass, field

from simulator.machines import NodeState
from simulator.plant import Plant

RUNNING = int(NodeState.RUNNING)
"""As the arrays hold it: asked hundreds of times a second."""


@dataclass(slots=True)
class Reach:
    """Sets of asset names that are silenced, and seconds by which an asset is slow."""

    plant: Plant
    partitioned: set[str] = field(default_factory=set)
    """Nodes without their management network: agent, exporter, BMC and kubelet heartbeats are cut, all else goes on."""
    mute_bmcs: set[str] = field(default_factory=set)
    lying_bmcs: set[str] = field(default_factory=set)
    silent_agents: set[str] = field(default_factory=set)
    silent_exporters: set[str] = field(default_factory=set)
    silent_devices: set[str] = field(default_factory=set)
    """PDUs, CDUs, batteries, switches and schedulers that do not answer."""
    lossy: set[str] = field(default_factory=set)
    """Assets whose requests arrive and are carried out, but whose replies are lost (UDP servers)."""
    slow_seconds: dict[str, float] = field(default_factory=dict)

    def _host_lives(self, node: str) -> bool:
        return self.plant.machines.state.item(self.plant.layout.node_index[node]) == RUNNING

    def agent(self, node: str) -> bool:
        return self._host_lives(node) and node not in self.partitioned and node not in self.silent_agents

    def exporter(self, node: str) -> bool:
        return self._host_lives(node) and node not in self.partitioned and node not in self.silent_exporters

    def kubelet(self, node: str) -> bool:
        """Whether the node's kubelet reaches the Kubernetes API."""
        return self._host_lives(node) and node not in self.partitioned

    def bmc(self, node: str) -> bool:
        index = self.plant.layout.node_index[node]
        return self.plant.bmc_alive(index) and node not in self.partitioned and node not in self.mute_bmcs

    def device(self, asset: str) -> bool:
        return asset not in self.silent_devices

    def delay_seconds(self, asset: str) -> float:
        return self.slow_seconds.get(asset, 0.0)
