"""Faults of nodes and their GPUs."""

from collections.abc import Mapping

from simulator.faults.kind import Argument, FaultError, Heal, Kind, Settings, Target, nodes_of, whole
from simulator.machines import NodeState
from simulator.reach import Reach

GPU = Argument(name="gpu", default=3, low=0, high=7, meaning="number of the GPU")


def _hung_node(reach: Reach, targets: tuple[str, ...], _: Settings) -> Heal:
    nodes = nodes_of(reach, targets)
    for node, name in zip(nodes, targets, strict=True):
        if reach.plant.machines.state[node] != NodeState.RUNNING:
            raise FaultError(f"{name} does not run, try one that does")
    for node in nodes:
        reach.plant.hang(node)

    def heal() -> None:
        for node in nodes:
            reach.plant.unhang(node)

    return heal


def _gpu_off_bus(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    gpu = whole(settings, "gpu")
    nodes = nodes_of(reach, targets)
    for node in nodes:
        reach.plant.drop_gpu(node, gpu)

    def heal() -> None:
        reach.plant.machines.present[nodes, gpu] = True
        reach.plant.machines.last_xid[nodes, gpu] = 0

    return heal


MACHINES: Mapping[str, Kind] = {
    "hung-node": Kind(meaning="the host stops doing anything; power stays", on=Target.NODE, begin=_hung_node),
    "gpu-off-bus": Kind(
        meaning="a GPU falls off the bus (XID 79); power brings it back",
        on=Target.NODE,
        begin=_gpu_off_bus,
        arguments=(GPU,),
    ),
}
