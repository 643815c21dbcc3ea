"""Faults of the product's own parts: named here so that a scenario can ask for them, carried out by whoever runs the product."""

from collections.abc import Mapping

from simulator.faults.kind import Argument, FaultError, Heal, Kind, Settings, Target
from simulator.reach import Reach

SECONDS = Argument(name="seconds", default=5.0, low=0.0, high=86_400.0, meaning="for how long, or by how much")
RATIO = Argument(name="ratio", default=0.1, low=0.0, high=1.0, meaning="of how many messages")


def _refuse(_: Reach, targets: tuple[str, ...], __: Settings) -> Heal:
    raise FaultError(f"{targets[0]} is no part of the site, try `hallkeeper scenario run`")


def _house(meaning: str, *arguments: Argument) -> Kind:
    return Kind(meaning=meaning, on=Target.HOUSE, begin=_refuse, arguments=arguments)


HOUSE: Mapping[str, Kind] = {
    "process-crash": _house("a part of the product is killed and started again after so many seconds", SECONDS),
    "process-pause": _house("a part of the product stands still (SIGSTOP) for so many seconds", SECONDS),
    "bus-leader-dies": _house("the bus takes no message for so many seconds", SECONDS),
    "bus-loss": _house("messages on telemetry topics are lost", RATIO),
    "bus-duplicate": _house("messages come twice", RATIO),
    "bus-reorder": _house("messages come out of order", RATIO),
    "collector-wedged": _house("a collector repeats the last values of the targets that `asset` names under new times",
                               Argument(name="asset", default="all", meaning="the asset whose readings stand still, or all")),
    "clock-jump": _house("the wall clock of a part jumps by so many seconds", Argument(
        name="seconds", default=300.0, low=-86_400.0, high=86_400.0, meaning="by how much")),
    "disk-full": _house("a part cannot write to its disk"),
}  # fmt: skip
