"""Faults of nodes, their GPUs and their jobs."""

from collections.abc import Mapping

from simulator.faults.kind import Argument, FaultError, Heal, Kind, Settings, Target, nodes_of, number, places_of, whole
from simulator.gpuhealth import COUNTERS
from simulator.layout import GPUS
from simulator.machines import NodeState
from simulator.reach import Reach

GPU = Argument(name="gpu", default=3, low=0, high=7, meaning="number of the GPU")
CODE = Argument(name="code", default=79, low=1, high=99_999, meaning="number of the error")
FATAL = Argument(name="grade", default="fatal", words=("fatal", "non-fatal"), meaning="what the driver calls it")
SLOWER = Argument(name="factor", default=1.18, low=1.0, high=100.0, meaning="how much longer a step takes")
XID_TEXTS: Mapping[int, str] = {
    13: "Graphics SM Warp Exception",
    31: "MMU Fault",
    48: "An uncorrectable double bit error (DBE) has been detected on GPU",
    63: "Row Remapper: New row marked for remapping",
    64: "Row Remapper: Row remapping failed",
    74: "NVLink: fatal error detected",
    79: "GPU has fallen off the bus.",
    94: "Contained ECC error",
    95: "Uncontained ECC error",
    119: "Timeout waiting for RPC from GSP!",
}
"""The driver's own words; other codes get none that matters."""


def nothing() -> None:
    """Nothing heals by itself."""


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


def _dead_node(reach: Reach, targets: tuple[str, ...], _: Settings) -> Heal:
    for node in nodes_of(reach, targets):
        reach.plant.die(node)
    return nothing


def _gpu_off_bus(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    gpu = whole(settings, "gpu")
    nodes = nodes_of(reach, targets)
    for node in nodes:
        reach.plant.drop_gpu(node, gpu)

    def heal() -> None:
        reach.plant.machines.present[nodes, gpu] = True
        reach.plant.machines.last_xid[nodes, gpu] = 0

    return heal


def _gpus_off_bus(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    apart = number(settings, "apart_seconds")
    for node in nodes_of(reach, targets):
        for gpu in range(GPUS):
            reach.plant.after(gpu * apart, lambda node=node, gpu=gpu: reach.plant.drop_gpu(node, gpu))  # type: ignore[misc]
    return nothing


def _xid(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    code, gpu = whole(settings, "code"), whole(settings, "gpu")
    for node in nodes_of(reach, targets):
        reach.plant.log_xid(node, gpu, code, XID_TEXTS.get(code, "error"))
    return nothing


def _sxid(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    for node in nodes_of(reach, targets):
        reach.plant.log_sxid(node, whole(settings, "code"), fatal=settings["grade"] == "fatal")
    return nothing


def _errors(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    counter, gpu, nodes = str(settings["counter"]), whole(settings, "gpu"), nodes_of(reach, targets)
    for node in nodes:
        reach.plant.health.count[counter][node, gpu] += number(settings, "at_once")
        reach.plant.health.grow(counter, node, gpu, number(settings, "each_second"))

    def heal() -> None:
        for node in nodes:
            reach.plant.health.grow(counter, node, gpu, 0.0)

    return heal


def _remap(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    nodes, gpu, failed = nodes_of(reach, targets), whole(settings, "gpu"), settings["outcome"] == "failed"
    flags = reach.plant.health.remap_failed if failed else reach.plant.health.remap_pending
    flags[nodes, gpu] = True
    for node in nodes:
        code = 64 if failed else 63
        reach.plant.log_xid(node, gpu, code, XID_TEXTS[code])

    def heal() -> None:
        flags[nodes, gpu] = False

    return heal


def _plate(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    nodes, gpu = nodes_of(reach, targets), whole(settings, "gpu")
    for node in nodes:
        reach.plant.machines.set_plate(
            node, gpu, flow=number(settings, "flow"), resistance=number(settings, "resistance")
        )

    def heal() -> None:
        for node in nodes:
            reach.plant.machines.set_plate(node, gpu)

    return heal


def _straggler(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    nodes = nodes_of(reach, targets)
    reach.plant.straggling[nodes] = number(settings, "factor")

    def heal() -> None:
        reach.plant.straggling[nodes] = 1.0

    return heal


def _clock(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    nodes = nodes_of(reach, targets)
    reach.plant.clock_offset_seconds[nodes] = number(settings, "seconds")

    def heal() -> None:
        reach.plant.clock_offset_seconds[nodes] = 0.0

    return heal


def _rollout(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    nodes, versions = nodes_of(reach, targets), reach.plant.driver_versions
    before = [versions[node] for node in nodes]
    for node in nodes:
        versions[node] = str(settings["version"])

    def heal() -> None:
        for node, version in zip(nodes, before, strict=True):
            versions[node] = version

    return heal


def _poison(reach: Reach, targets: tuple[str, ...], _: Settings) -> Heal:
    _jobs(reach, targets)
    reach.plant.poisoned |= set(targets)
    return lambda: reach.plant.poisoned.difference_update(targets)


def _swing(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    nodes = [node for job in _jobs(reach, targets) for node in reach.plant.nodes_of_job(job)]

    def swing(ratio: float) -> None:
        for node in nodes:
            reach.plant.machines.set_swing(node, ratio=ratio, hertz=number(settings, "hertz"))

    swing(number(settings, "ratio"))
    return lambda: swing(0.0)


def _jobs(reach: Reach, targets: tuple[str, ...]) -> tuple[str, ...]:
    places_of(tuple(job.key for job in reach.plant.layout.jobs), targets, "job")
    return targets


def _of_nodes(meaning: str, begin: object, *arguments: Argument) -> Kind:
    return Kind(meaning=meaning, on=Target.NODE, begin=begin, arguments=arguments)  # type: ignore[arg-type]


MACHINES: Mapping[str, Kind] = {
    "hung-node": _of_nodes("the host stops doing anything; power stays", _hung_node),
    "dead-node": _of_nodes("the host's power supplies die: it is off and will not start", _dead_node),
    "gpu-off-bus": _of_nodes("a GPU falls off the bus (XID 79); power brings it back", _gpu_off_bus, GPU),
    "gpus-off-bus": _of_nodes("all GPUs of a node fall off the bus, one after the other", _gpus_off_bus, Argument(
        name="apart_seconds", default=2.5, low=0.0, high=600.0, meaning="time between them")),
    "xid": _of_nodes("the driver logs an XID", _xid, GPU, CODE),
    "sxid": _of_nodes("the driver logs an SXID of an NVSwitch", _sxid, CODE, FATAL),
    "gpu-errors": _of_nodes("a GPU's error counter grows", _errors, GPU,
        Argument(name="counter", default="sbe", words=COUNTERS, meaning="which counter"),
        Argument(name="each_second", default=0.0, low=0.0, high=1e9, meaning="how fast"),
        Argument(name="at_once", default=0.0, low=0.0, high=1e12, meaning="how much at the beginning")),
    "row-remap": _of_nodes("a row of a GPU's memory is remapped: pending until a reset, or failed", _remap, GPU,
        Argument(name="outcome", default="pending", words=("pending", "failed"), meaning="what became of it")),
    "cold-plate": _of_nodes("one cold plate gets less coolant, or hands on heat worse", _plate, GPU,
        Argument(name="flow", default=1.0, low=0.0, high=1.0, meaning="of its flow"),
        Argument(name="resistance", default=1.0, low=0.5, high=20.0, meaning="of its thermal resistance")),
    "straggler": _of_nodes("a node computes more slowly", _straggler, SLOWER),
    "driver-rollout": _of_nodes("nodes run another version of the GPU driver", _rollout, Argument(
        name="version", default="580.126.01", meaning="which")),
    "clock-offset": _of_nodes("a node's clock is wrong", _clock, Argument(
        name="seconds", default=300.0, low=-86_400.0, high=86_400.0, meaning="by how much")),
    "poisoned-job": Kind(meaning="a job crashes every host that starts a rank of it", on=Target.JOB, begin=_poison),
    "job-swing": Kind(meaning="a job's GPUs rest for half of each iteration", on=Target.JOB, begin=_swing, arguments=(
        Argument(name="ratio", default=0.6, low=0.0, high=1.0, meaning="of their power that they give up"),
        Argument(name="hertz", default=0.4, low=0.01, high=20.0, meaning="iterations a second"))),
}  # fmt: skip
