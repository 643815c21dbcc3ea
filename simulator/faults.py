"""What is broken on purpose: each kind of fault, how it begins, and how it heals."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from simulator.layout import RACKS_PER_ROW
from simulator.machines import NodeState
from simulator.reach import Reach

Heal = Callable[[], None]
MOST_FAULTS = 1_000
"""At once; a test that injects more has lost its way."""


class FaultError(ValueError):
    """The fault cannot be injected as asked; says what to try."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One active fault."""

    number: str
    kind: str
    targets: tuple[str, ...]
    arguments: Mapping[str, object]
    begun_at_seconds: float
    heal: Heal

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.number,
            "fault": self.kind,
            "targets": list(self.targets),
            "arguments": dict(self.arguments),
            "seconds": self.begun_at_seconds,
        }


def _integer(arguments: Mapping[str, object], name: str, default: int, low: int, high: int) -> int:
    value = arguments.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise FaultError(f"{name} is {value!r}, try a whole number from {low} to {high}")
    return value


@dataclass(slots=True)
class Faults:
    """Begins, lists and heals faults."""

    reach: Reach
    active: dict[str, Fault] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def begin(self, order: Mapping[str, object]) -> Fault:
        """Inject what `order` asks for: `fault`, `target` or `targets`, and the fault's own arguments. Raises `FaultError`."""
        kind = order.get("fault")
        starter = STARTERS.get(kind) if isinstance(kind, str) else None
        if starter is None or not isinstance(kind, str):
            raise FaultError(f"fault is {kind!r}, try one of {', '.join(sorted(STARTERS))}")
        if len(self.active) >= MOST_FAULTS:
            raise FaultError(f"{MOST_FAULTS} faults are active, try healing some")
        targets = self._targets(order)
        arguments = {key: value for key, value in order.items() if key not in ("fault", "target", "targets")}
        heal = starter(self.reach, targets, arguments)
        fault = Fault(f"f{next(self._numbers)}", kind, targets, arguments, self.reach.plant.now, heal)
        self.active[fault.number] = fault
        return fault

    def heal(self, number: str) -> Fault | None:
        """End a fault; None where there is none of that number."""
        fault = self.active.pop(number, None)
        if fault:
            fault.heal()
        return fault

    def _targets(self, order: Mapping[str, object]) -> tuple[str, ...]:
        """Names as given; a rack or row stands for its nodes."""
        given = order.get("targets", order.get("target"))
        names = [given] if isinstance(given, str) else given
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise FaultError("target is missing, try a node, rack, row, PDU, CDU, bess-1, k8s-1 or a list in targets")
        return tuple(one for name in names for one in self._expand(str(name)))

    def _expand(self, name: str) -> list[str]:
        layout = self.reach.plant.layout
        if name in layout.racks:
            return [layout.nodes[node] for node in layout.nodes_of_rack(layout.racks.index(name))]
        if name in layout.rows:
            row = layout.rows.index(name)
            racks = range(row * RACKS_PER_ROW, min((row + 1) * RACKS_PER_ROW, layout.rack_count))
            return [layout.nodes[node] for rack in racks for node in layout.nodes_of_rack(rack)]
        known = {*layout.nodes, *layout.pdus, *layout.cdus, *layout.switches, "bess-1", "k8s-1"}
        if name not in known:
            raise FaultError(f"{name} is no asset of this site, try one of GET /state")
        return [name]


def _nodes(reach: Reach, targets: tuple[str, ...]) -> list[int]:
    index = reach.plant.layout.node_index
    wrong = [name for name in targets if name not in index]
    if wrong:
        raise FaultError(f"{wrong[0]} is no node, try one such as {reach.plant.layout.nodes[0]}")
    return [index[name] for name in targets]


def _hung_node(reach: Reach, targets: tuple[str, ...], _: Mapping[str, object]) -> Heal:
    nodes = _nodes(reach, targets)
    for node, name in zip(nodes, targets, strict=True):
        if reach.plant.machines.state[node] != NodeState.RUNNING:
            raise FaultError(f"{name} does not run, try one that does")
    for node in nodes:
        reach.plant.hang(node)

    def heal() -> None:
        for node in nodes:
            reach.plant.unhang(node)

    return heal


def _gpu_off_bus(reach: Reach, targets: tuple[str, ...], arguments: Mapping[str, object]) -> Heal:
    gpu = _integer(arguments, "gpu", 3, 0, 7)
    nodes = _nodes(reach, targets)
    for node in nodes:
        reach.plant.drop_gpu(node, gpu)

    def heal() -> None:
        reach.plant.machines.present[nodes, gpu] = True
        reach.plant.machines.last_xid[nodes, gpu] = 0

    return heal


def _feed_loss(reach: Reach, targets: tuple[str, ...], _: Mapping[str, object]) -> Heal:
    index = reach.plant.layout.pdu_index
    wrong = [name for name in targets if name not in index]
    if wrong:
        raise FaultError(f"{wrong[0]} is no PDU, try one such as {reach.plant.layout.pdus[-2]}")
    places = [divmod(index[name], 2) for name in targets]

    def set_live(live: bool) -> None:
        for rack, side in places:
            reach.plant.power.feed_live[rack, side] = live

    set_live(False)
    return lambda: set_live(True)


def _pump_fail(reach: Reach, targets: tuple[str, ...], arguments: Mapping[str, object]) -> Heal:
    pump = _integer(arguments, "pump", 1, 1, 2) - 1
    rows = _cdus(reach, targets)
    reach.plant.cooling.pump_healthy[rows, pump] = False

    def heal() -> None:
        reach.plant.cooling.pump_healthy[rows, pump] = True

    return heal


def _leak(reach: Reach, targets: tuple[str, ...], arguments: Mapping[str, object]) -> Heal:
    detector = _integer(arguments, "detector", 1, 1, 2)
    rows = _cdus(reach, targets)
    reach.plant.cooling.leak_bits[rows] |= 1 << (detector - 1)

    def heal() -> None:
        reach.plant.cooling.leak_bits[rows] &= ~(1 << (detector - 1))

    return heal


def _cdus(reach: Reach, targets: tuple[str, ...]) -> list[int]:
    cdus = reach.plant.layout.cdus
    wrong = [name for name in targets if name not in cdus]
    if wrong:
        raise FaultError(f"{wrong[0]} is no CDU, try one of {', '.join(cdus)}")
    return [cdus.index(name) for name in targets]


def _naming(pick: Callable[[Reach], set[str]], *, nodes_only: bool) -> "Starter":
    """A fault that is nothing but a name in one of the sets of `Reach`."""

    def begin(reach: Reach, targets: tuple[str, ...], _: Mapping[str, object]) -> Heal:
        if nodes_only:
            _nodes(reach, targets)
        names = pick(reach)
        fresh = set(targets) - names
        names |= fresh
        return lambda: names.difference_update(fresh)

    return begin


def _slow(reach: Reach, targets: tuple[str, ...], arguments: Mapping[str, object]) -> Heal:
    seconds = arguments.get("delay_seconds", 2.0)
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds <= 60:
        raise FaultError(f"delay_seconds is {seconds!r}, try a number up to 60")
    for name in targets:
        reach.slow_seconds[name] = float(seconds)

    def heal() -> None:
        for name in targets:
            reach.slow_seconds.pop(name, None)

    return heal


Starter = Callable[[Reach, tuple[str, ...], Mapping[str, object]], Heal]
STARTERS: Mapping[str, Starter] = {
    "hung-node": _hung_node,
    "gpu-off-bus": _gpu_off_bus,
    "feed-loss": _feed_loss,
    "pump-fail": _pump_fail,
    "leak": _leak,
    "slow": _slow,
    "partition": _naming(lambda reach: reach.partitioned, nodes_only=True),
    "bmc-mute": _naming(lambda reach: reach.mute_bmcs, nodes_only=True),
    "bmc-lies": _naming(lambda reach: reach.lying_bmcs, nodes_only=True),
    "agent-silent": _naming(lambda reach: reach.silent_agents, nodes_only=True),
    "exporter-silent": _naming(lambda reach: reach.silent_exporters, nodes_only=True),
    "lost-replies": _naming(lambda reach: reach.lossy, nodes_only=False),
    "pdu-silent": _naming(lambda reach: reach.silent_devices, nodes_only=False),
    "device-silent": _naming(lambda reach: reach.silent_devices, nodes_only=False),
}
