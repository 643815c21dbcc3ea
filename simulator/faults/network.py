"""Faults of what answers: silence, lies, lost and late replies."""

from collections.abc import Callable, Mapping

from simulator.fabric import CLEAN_BIT_ERROR_RATIO
from simulator.faults.kind import Argument, Heal, Kind, Settings, Target, nodes_of, number
from simulator.reach import Reach

DELAY = Argument(name="delay_seconds", default=2.0, low=0.001, high=60.0, meaning="by how much replies are late")


def _naming(meaning: str, on: Target, pick: Callable[[Reach], set[str]]) -> Kind:
    """A fault that is nothing but a name in one of the sets of `Reach`."""

    def begin(reach: Reach, targets: tuple[str, ...], _: Settings) -> Heal:
        if on is Target.NODE:
            nodes_of(reach, targets)
        names = pick(reach)
        fresh = set(targets) - names
        names |= fresh
        return lambda: names.difference_update(fresh)

    return Kind(meaning=meaning, on=on, begin=begin)


def _slow(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    seconds = number(settings, "delay_seconds")
    for name in targets:
        reach.slow_seconds[name] = seconds

    def heal() -> None:
        for name in targets:
            reach.slow_seconds.pop(name, None)

    return heal


def _cut(reach: Reach, targets: tuple[str, ...], _: Settings) -> Heal:
    nodes = nodes_of(reach, targets)
    reach.plant.fabric.cut_off(nodes)

    def heal() -> None:
        reach.plant.fabric.cut[nodes] = False

    return heal


def _decay(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    nodes, fabric = nodes_of(reach, targets), reach.plant.fabric
    fabric.symbol_errors_per_second[nodes] = number(settings, "symbol_errors_per_second")
    fabric.bit_error_ratio[nodes] = number(settings, "bit_error_ratio")
    reach.plant.straggling[nodes] = number(settings, "factor")

    def heal() -> None:
        fabric.symbol_errors_per_second[nodes] = 0.0
        fabric.bit_error_ratio[nodes] = CLEAN_BIT_ERROR_RATIO
        reach.plant.straggling[nodes] = 1.0

    return heal


NETWORK: Mapping[str, Kind] = {
    "fabric-cut": Kind(meaning="a node's fabric link is down although the host runs", on=Target.NODE, begin=_cut),
    "fabric-decay": Kind(
        meaning="a node's fabric link makes errors, and its job waits for it",
        on=Target.NODE,
        begin=_decay,
        arguments=(
            Argument(name="symbol_errors_per_second", default=40.0, low=0.0, high=1e6, meaning="how many"),
            Argument(name="bit_error_ratio", default=1e-9, low=0.0, high=1.0, meaning="of the link"),
            Argument(name="factor", default=1.18, low=1.0, high=100.0, meaning="how much longer a step takes"),
        ),
    ),
    "slow": Kind(meaning="replies are late", on=Target.ANY, begin=_slow, arguments=(DELAY,)),
    "partition": _naming("agent, exporter, BMC and kubelet are cut off", Target.NODE, lambda reach: reach.partitioned),
    "bmc-mute": _naming("the BMC does not answer", Target.NODE, lambda reach: reach.mute_bmcs),
    "bmc-lies": _naming("the BMC says off while current flows", Target.NODE, lambda reach: reach.lying_bmcs),
    "agent-silent": _naming("the agent does not answer", Target.NODE, lambda reach: reach.silent_agents),
    "exporter-silent": _naming("the GPU exporter does not answer", Target.NODE, lambda reach: reach.silent_exporters),
    "lost-replies": _naming("requests arrive and replies are lost", Target.ANY, lambda reach: reach.lossy),
    "pdu-silent": _naming("the device does not answer", Target.ANY, lambda reach: reach.silent_devices),
    "device-silent": _naming("the device does not answer", Target.ANY, lambda reach: reach.silent_devices),
}
