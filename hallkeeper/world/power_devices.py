"""BMCs and rack PDUs in the process: what each of them does with a request that reaches it."""

from dataclasses import dataclass, field

from devices.orders import POWER_GOALS, Order, outlet_of
from hallkeeper.world.network import Network
from hallkeeper.world.truth import Truth
from simulator.machines import NodeState
from simulator.plant import Plant
from simulator.reach import Reach


@dataclass(slots=True)
class Session:
    """One conversation with a BMC: what was said in it dies with it."""

    alive: bool = True


@dataclass(slots=True)
class PowerDevices:
    """Every BMC and outlet of the plant, behind one network."""

    plant: Plant
    reach: Reach
    network: Network
    truth: Truth
    sessions: dict[str, Session] = field(default_factory=dict)
    """By their id, which the actuator notes before the send."""
    says: dict[str, str] = field(default_factory=dict)
    """What a lying BMC claims to be."""
    slow_effect: dict[str, float] = field(default_factory=dict)
    """Devices that say yes at once and do it so many seconds later."""

    # what a device is

    def answers(self, asset: str) -> bool:
        """Whether the device itself lives and is reachable."""
        return self.reach.bmc(asset) if asset in self.plant.layout.node_index else self.reach.device(asset)

    def power_of(self, node: str) -> str:
        """The chassis state as its BMC tells it."""
        index = self.plant.layout.node_index[node]
        if node in self.reach.lying_bmcs:
            return self.says.get(node, "on")
        return "off" if self.plant.machines.state[index] == NodeState.OFF else "on"

    def outlet_of(self, pdu: str, outlet: str) -> str:
        """The relay's state as the PDU tells it."""
        node, side = self._behind(pdu, outlet)
        return "on" if self.plant.power.relay[node, side] else "off"

    def _behind(self, pdu: str, outlet: str) -> tuple[int, int]:
        rack, side = divmod(self.plant.layout.pdu_index[pdu], 2)
        return self.plant.layout.nodes_of_rack(rack)[int(outlet) - 1], side

    # what a request does

    def chassis(self, order: Order, session: Session, *, copy: bool) -> bool:
        """A chassis control arrives; whether it was accepted."""
        node, on = str(order.asset), order.verb == "power_on"
        if not self.answers(node):
            return False
        if not session.alive:
            self._noted(order, accepted=False, executed=False, copy=copy)
            return False
        self._noted(order, accepted=True, executed=True, copy=copy)
        if node in self.reach.lying_bmcs:
            self.says[node] = POWER_GOALS[order.verb]
            return True
        index, late = self.plant.layout.node_index[node], self.slow_effect.get(node, 0.0)
        self.plant.after(late, lambda: self.plant.chassis(index, on=on)) if late else self.plant.chassis(index, on=on)
        return True

    def relay(self, order: Order, *, copy: bool) -> bool:
        """A SET arrives at a PDU; whether it was accepted."""
        if not self.answers(str(order.asset)):
            return False
        node, side = self._behind(str(order.asset), outlet_of(order.arguments))
        self._noted(order, accepted=True, executed=True, copy=copy)
        self.plant.switch_outlet(node, side, on=order.verb == "outlet_on")
        return True

    def _noted(self, order: Order, *, accepted: bool, executed: bool, copy: bool) -> None:
        self.truth.record(
            device=str(order.asset),
            verb=order.verb,
            arguments=order.arguments,
            intent=order.intent,
            accepted=accepted,
            executed=executed,
            copy=copy,
        )
