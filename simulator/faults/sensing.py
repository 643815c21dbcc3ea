"""Instruments that lie: stuck, fixed at a value, or wrong by an offset or a factor."""

from collections.abc import Mapping

import numpy as np

from simulator.faults.kind import Argument, FaultError, Heal, Kind, Settings, Target, number, whole
from simulator.instruments import MEASURED
from simulator.plant import Plant
from simulator.reach import Reach
from simulator.sensors import Lie, Place

OF_CDUS = ("supply-celsius", "return-celsius", "flow", "pressure", "level", "pump-rpm")
OF_NODES = ("outlet-watts", "gpu-celsius", "gpu-watts", "node-watts")
ALL = -1


def _sensor(reach: Reach, targets: tuple[str, ...], settings: Settings) -> Heal:
    quantity, lie, plant = str(settings["quantity"]), Lie(str(settings["how"])), reach.plant
    places = [_place(plant, quantity, name, whole(settings, "place")) for name in targets]
    for place in places:
        value = number(settings, "value")
        if lie is Lie.STUCK:
            value = float(np.mean(MEASURED[quantity](plant)[place]))
        plant.sensors.distort(quantity, place, lie, value)

    def heal() -> None:
        for place in places:
            plant.sensors.mend(quantity, place)

    return heal


def _place(plant: Plant, quantity: str, name: str, number_there: int) -> Place:
    """The index of an instrument: of an asset, and where it has several the one of that number."""
    layout = plant.layout
    inner: Place = () if number_there == ALL else (number_there,)
    if quantity in OF_CDUS and name in layout.cdus:
        return (layout.cdus.index(name), *(inner if quantity == "pump-rpm" else ()))
    if quantity == "phase-amperes" and name in layout.pdu_index:
        return (*divmod(layout.pdu_index[name], 2), *inner)
    if quantity in OF_NODES and name in layout.node_index:
        return (layout.node_index[name], *(inner if quantity != "node-watts" else ()))
    raise FaultError(
        f"{name} has no instrument for {quantity}, try {'a CDU' if quantity in OF_CDUS else 'a node or PDU'}"
    )


SENSING: Mapping[str, Kind] = {
    "sensor": Kind(meaning="an instrument shows something else than the truth", on=Target.ANY, begin=_sensor, arguments=(
        Argument(name="quantity", default="supply-celsius", words=tuple(MEASURED), meaning="what it measures"),
        Argument(name="how", default="stuck", words=tuple(Lie), meaning="how it is wrong"),
        Argument(name="value", default=0.0, low=-1e12, high=1e12, meaning="the value, offset or factor; unused where it is stuck"),
        Argument(name="place", default=ALL, low=ALL, high=16, meaning="which pump, phase, GPU or side, from 0; -1 for all"))),
}  # fmt: skip
