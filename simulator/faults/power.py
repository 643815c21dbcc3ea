"""Faults of the power tree and of what feeds it."""

from collections.abc import Mapping

from simulator.faults.kind import Argument, FaultError, Heal, Kind, Settings, Target, nodes_of, number, places_of
from simulator.faults.machines import nothing
from simulator.generators import STRINGS, StringState
from simulator.reach import Reach
from simulator.sources import Curtailment

GRIDS = ("grid-1", "grid-2")
STRING_NAMES = tuple(f"gen-{place + 1}" for place in range(STRINGS))
RATIO = Argument(name="ratio", default=0.5, low=0.0, high=1.0, meaning="what is left")


def _feed_loss(reach: Reach, targets: tuple[str, ...], _: Settings) -> Heal:
    places = [divmod(pdu, 2) for pdu in places_of(reach.plant.layout.pdus, targets, "PDU")]

    def set_live(live: bool) -> None:
        for rack, side in places:
            reach.plant.power.feed_live[rack, side] = live

    set_live(False)
    return lambda: set_live(True)


def _side_loss(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    sides = places_of(reach.plant.layout.sides, targets, "substation")
    silent = set(reach.plant.layout.pdus) if settings["meters"] == "silent" else set()
    silent &= {name for side in sides for name in reach.plant.layout.pdus[side::2]}
    reach.plant.sources.side_faulty[sides] = True
    reach.silent_devices |= silent

    def heal() -> None:
        reach.plant.sources.side_faulty[sides] = False
        reach.silent_devices.difference_update(silent)

    return heal


def _grid_loss(reach: Reach, targets: tuple[str, ...], _: Settings) -> Heal:
    grids = places_of(GRIDS, targets, "grid supply")
    reach.plant.sources.grid_live[grids] = False

    def heal() -> None:
        reach.plant.sources.grid_live[grids] = True

    return heal


def _sag(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    sides = places_of(reach.plant.layout.sides, targets, "substation")
    ratio = number(settings, "ratio")
    reach.plant.power.side_volts_ratio[sides] = ratio
    reach.plant.sources.sags[sides] += ratio < 0.7

    def heal() -> None:
        reach.plant.power.side_volts_ratio[sides] = 1.0

    return heal


def _string_trip(reach: Reach, targets: tuple[str, ...], _: Settings) -> Heal:
    strings = places_of(STRING_NAMES, targets, "generator string")
    for place in strings:
        reach.plant.sources.generators.trip(place)

    def heal() -> None:
        for place in strings:
            reach.plant.sources.generators.reset(place)
        reach.plant.sources.generators.start(strings)

    return heal


def _string_refuses(reach: Reach, targets: tuple[str, ...], _: Settings) -> Heal:
    strings = places_of(STRING_NAMES, targets, "generator string")
    generators = reach.plant.sources.generators
    generators.starts_refused[strings] = True

    def heal() -> None:
        generators.starts_refused[strings] = False
        for place in strings:
            generators.reset(place)

    return heal


def _nox(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    strings = places_of(STRING_NAMES, targets, "generator string")
    generators = reach.plant.sources.generators
    before = generators.nox_ratio[strings].copy()
    generators.nox_ratio[strings] = number(settings, "ppm") * 1e-6
    generators.analyser_valid[strings] = settings["analyser"] == "valid"

    def heal() -> None:
        generators.nox_ratio[strings] = before
        generators.analyser_valid[strings] = True

    return heal


def _strings_run(reach: Reach, targets: tuple[str, ...], _: Settings) -> Heal:
    strings = places_of(STRING_NAMES, targets, "generator string")
    generators = reach.plant.sources.generators
    for place in strings:
        if generators.state[place] != StringState.STOPPED:
            raise FaultError(f"{STRING_NAMES[place]} does not stand, try one that does")
    generators.start(strings)
    return generators.stop


def _bess(reach: Reach, _: tuple[str, ...], settings: Settings) -> Heal:
    battery = reach.plant.battery
    battery.available_ratio = number(settings, "ratio")
    battery.connected = battery.available_ratio > 0.0

    def heal() -> None:
        battery.available_ratio, battery.connected = 1.0, True

    return heal


def _bess_charge(reach: Reach, _: tuple[str, ...], settings: Settings) -> Heal:
    reach.plant.battery.charge_ratio = number(settings, "ratio")
    return nothing


def _bess_runaway(reach: Reach, _: tuple[str, ...], settings: Settings) -> Heal:
    battery = reach.plant.battery
    battery.heating_kelvin_per_second = number(settings, "kelvin_per_second")
    gas = number(settings, "gas_after_seconds")
    reach.plant.after(gas, lambda: setattr(battery, "offgas", battery.heating_kelvin_per_second > 0.0))

    def heal() -> None:
        battery.heating_kelvin_per_second = 0.0
        battery.offgas = battery.smoke = False

    return heal


def _crossed(reach: Reach, targets: tuple[str, ...], _: Settings) -> Heal:
    nodes = nodes_of(reach, targets)
    if len(nodes) != 2 or reach.plant.layout.rack_of[nodes[0]] != reach.plant.layout.rack_of[nodes[1]]:
        raise FaultError("crossed outlets are of two nodes of one rack, try two such")
    reach.plant.power.cross(*nodes)
    return lambda: reach.plant.power.cross(*nodes)


def _curtailment(reach: Reach, _: tuple[str, ...], settings: Settings) -> Heal:
    sources, now = reach.plant.sources, reach.plant.now
    begins = now + number(settings, "notice_seconds")
    sources.curtailment = Curtailment(number(settings, "watts"), begins, begins + number(settings, "lasts_seconds"))

    def heal() -> None:
        sources.curtailment = None

    return heal


POWER: Mapping[str, Kind] = {
    "feed-loss": Kind(meaning="the input of a PDU is dead", on=Target.PDU, begin=_feed_loss),
    "side-loss": Kind(meaning="a substation is dead in itself: everything on its side", on=Target.SIDE, begin=_side_loss,
        arguments=(Argument(name="meters", default="silent", words=("silent", "answer"), meaning="what its PDUs' agents do"),)),
    "grid-loss": Kind(meaning="a grid supply is gone; battery and strings take over", on=Target.GRID, begin=_grid_loss),
    "sag": Kind(meaning="the voltage of a side is low", on=Target.SIDE, begin=_sag, arguments=(RATIO,)),
    "string-trip": Kind(meaning="a generator string trips", on=Target.STRING, begin=_string_trip),
    "string-refuses": Kind(meaning="a generator string will not start", on=Target.STRING, begin=_string_refuses),
    "strings-run": Kind(meaning="generator strings are started", on=Target.STRING, begin=_strings_run),
    "nox": Kind(meaning="what the analyser of a string shows", on=Target.STRING, begin=_nox, arguments=(
        Argument(name="ppm", default=27.0, low=0.0, high=500.0, meaning="NOx at 15 % oxygen"),
        Argument(name="analyser", default="valid", words=("valid", "invalid"), meaning="whether the value counts"))),
    "bess-limited": Kind(meaning="the battery can give less; with 0 nothing", on=Target.BATTERY, begin=_bess, arguments=(RATIO,)),
    "bess-charge": Kind(meaning="the battery's state of charge is set", on=Target.BATTERY, begin=_bess_charge, arguments=(RATIO,)),
    "bess-runaway": Kind(meaning="cells of a string heat up and give off gas", on=Target.BATTERY, begin=_bess_runaway, arguments=(
        Argument(name="kelvin_per_second", default=0.0433, low=0.0, high=10.0, meaning="how fast"),
        Argument(name="gas_after_seconds", default=300.0, low=0.0, high=86_400.0, meaning="when the detector sees gas"))),
    "curtailment": Kind(meaning="the utility asks for less from the grid", on=Target.GRID, begin=_curtailment, arguments=(
        Argument(name="watts", default=1e6, low=0.0, high=1e10, meaning="what may be drawn at most"),
        Argument(name="notice_seconds", default=5_400.0, low=0.0, high=604_800.0, meaning="until it begins"),
        Argument(name="lasts_seconds", default=3_600.0, low=1.0, high=604_800.0, meaning="how long it lasts"))),
    "crossed-outlets": Kind(meaning="two nodes hang on each other's outlets: the map is wrong", on=Target.NODE, begin=_crossed),
}  # fmt: skip
