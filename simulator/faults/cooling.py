"""Faults of the coolant loops."""

from collections.abc import Mapping

from simulator.faults.kind import Argument, Heal, Kind, Settings, Target, places_of, whole
from simulator.reach import Reach

PUMP = Argument(name="pump", default=1, low=1, high=2, meaning="which pump")
DETECTOR = Argument(name="detector", default=1, low=1, high=2, meaning="which detector")


def _pump_fail(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    pump, rows = whole(settings, "pump") - 1, places_of(reach.plant.layout.cdus, targets, "CDU")
    reach.plant.cooling.pump_healthy[rows, pump] = False

    def heal() -> None:
        reach.plant.cooling.pump_healthy[rows, pump] = True

    return heal


def _leak(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    bit = 1 << (whole(settings, "detector") - 1)
    rows = places_of(reach.plant.layout.cdus, targets, "CDU")
    reach.plant.cooling.leak_bits[rows] |= bit

    def heal() -> None:
        reach.plant.cooling.leak_bits[rows] &= ~bit

    return heal


COOLING: Mapping[str, Kind] = {
    "pump-fail": Kind(meaning="a pump of a CDU stops", on=Target.CDU, begin=_pump_fail, arguments=(PUMP,)),
    "leak": Kind(
        meaning="a leak of the CDU's loop; a detector of the CDU is wet",
        on=Target.CDU,
        begin=_leak,
        arguments=(DETECTOR,),
    ),
}
