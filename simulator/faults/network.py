"""Faults of what answers: silence, lies, lost and late replies."""

from collections.abc import Callable, Mapping

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


NETWORK: Mapping[str, Kind] = {
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
