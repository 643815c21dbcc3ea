"""Faults of the power tree."""

from collections.abc import Mapping

from simulator.faults.kind import Heal, Kind, Settings, Target, places_of
from simulator.reach import Reach


def _feed_loss(reach: Reach, targets: tuple[str, ...], _: Settings) -> Heal:
    places = [divmod(pdu, 2) for pdu in places_of(reach.plant.layout.pdus, targets, "PDU")]

    def set_live(live: bool) -> None:
        for rack, side in places:
            reach.plant.power.feed_live[rack, side] = live

    set_live(False)
    return lambda: set_live(True)


POWER: Mapping[str, Kind] = {
    "feed-loss": Kind(meaning="the input of a PDU is dead", on=Target.PDU, begin=_feed_loss),
}
