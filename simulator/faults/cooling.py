"""Faults of the coolant loops."""

from collections.abc import Mapping

from simulator.faults.kind import Argument, Heal, Kind, Settings, Target, number, places_of, whole
from simulator.reach import Reach

PUMP = Argument(name="pump", default=1, low=1, high=2, meaning="which pump")
DETECTOR = Argument(name="detector", default=1, low=1, high=2, meaning="which detector")


def _cdus(reach: Reach, targets: tuple[str, ...]) -> list[int]:
    return places_of(reach.plant.layout.cdus, targets, "CDU")


def _pump_fail(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    pump, rows = whole(settings, "pump") - 1, _cdus(reach, targets)
    reach.plant.cooling.pump_healthy[rows, pump] = False

    def heal() -> None:
        reach.plant.cooling.pump_healthy[rows, pump] = True

    return heal


def _flow_loss(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    rows = _cdus(reach, targets)
    reach.plant.cooling.pump_speed[rows] = number(settings, "ratio")

    def heal() -> None:
        reach.plant.cooling.pump_speed[rows] = 1.0

    return heal


def _heat_stays(reach: Reach, targets: tuple[str, ...], _: Settings) -> Heal:
    rows = _cdus(reach, targets)
    reach.plant.cooling.rejecting[rows] = False

    def heal() -> None:
        reach.plant.cooling.rejecting[rows] = True

    return heal


def _leak(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    bit = 1 << (whole(settings, "detector") - 1)
    rows = _cdus(reach, targets)
    reach.plant.cooling.leak_bits[rows] |= bit

    def heal() -> None:
        reach.plant.cooling.leak_bits[rows] &= ~bit

    return heal


def _rack_leak(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    racks, cooling = places_of(reach.plant.layout.racks, targets, "rack"), reach.plant.cooling
    detector = ("rope", "tray").index(str(settings["detector"]))
    flowing = number(settings, "liters_per_minute")

    def set_wet(wet: bool, liters: float) -> None:
        cooling.rack_leak[racks, detector] = wet
        cooling.leak_liters_per_minute[racks] = liters
        cooling.gather_leaks()

    set_wet(True, flowing)
    return lambda: set_wet(False, 0.0)


COOLING: Mapping[str, Kind] = {
    "pump-fail": Kind(meaning="a pump of a CDU stops", on=Target.CDU, begin=_pump_fail, arguments=(PUMP,)),
    "flow-loss": Kind(meaning="both pumps of a CDU turn more slowly", on=Target.CDU, begin=_flow_loss, arguments=(
        Argument(name="ratio", default=0.5, low=0.0, high=1.0, meaning="of their speed"),)),
    "heat-stays": Kind(meaning="coolant flows, and the facility takes no heat away", on=Target.CDU, begin=_heat_stays),
    "leak": Kind(meaning="a leak of the CDU's loop; a detector of the CDU is wet", on=Target.CDU, begin=_leak,
        arguments=(DETECTOR,)),
    "rack-leak": Kind(meaning="a detector of a rack is wet, and coolant may flow out", on=Target.RACK, begin=_rack_leak, arguments=(
        Argument(name="detector", default="rope", words=("rope", "tray"), meaning="which detector"),
        Argument(name="liters_per_minute", default=0.0, low=0.0, high=1_000.0, meaning="how much flows out"))),
}  # fmt: skip
